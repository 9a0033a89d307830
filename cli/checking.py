"""The verbs around a finished run: held against readers, fitted to a laboratory, corrected by hand."""

# Annotations are read when verbs are made, so they are not postponed here.
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from .options import (
    Debug,
    Device,
    Json,
    LicensePolicy,
    configure_logging,
    print_json,
    say,
)

__all__ = ["calibrate_app", "rescore", "validate_app"]


class _RunFirst(TyperGroup):
    """`validate RUN` means `validate run RUN`, and so does `calibrate RUN`: what names no verb is the run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb in where it was left out."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


validate_app = typer.Typer(
    cls=_RunFirst, no_args_is_help=True, help="Hold runs against readings, networks against labelled images."
)
calibrate_app = typer.Typer(
    cls=_RunFirst, no_args_is_help=True, help="Fit thresholds to a laboratory's own slides."
)


@calibrate_app.command("run")
def calibrate_markers(  # noqa: PLR0913 -- one parameter per documented option of the command line
    run: Annotated[Path, typer.Argument(help="Folder of the run that scored control or reference slides.")],
    name: Annotated[str, typer.Option(help="Of the profile: laboratory, marker, clone.")],
    out: Annotated[Path, typer.Option(help="The .toml to write; a picture goes beside it.")],
    controls: Annotated[
        Path | None,
        typer.Option(
            help="CSV: slide, level (negative, weak, moderate, strong or 0, 1+, 2+, 3+).", show_default=False
        ),
    ] = None,
    reference: Annotated[
        Path | None, typer.Option(help="CSV: slide, percent and/or h_score.", show_default=False)
    ] = None,
    marker: Annotated[
        str | None, typer.Option(help="Make sure that the run is of this marker.", show_default=False)
    ] = None,
    version: Annotated[int, typer.Option(help="Raise it with each calibration.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing profile.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Fit weak, moderate and strong to a laboratory's own slides: a profile for `score --lab`."""
    from ..workflows.calibrate import calibrate_run

    configure_logging(debug=debug)
    made = calibrate_run(
        run, name=name, marker=marker, controls=controls, reference=reference, version=version
    )
    path = made.write(out, overwrite=overwrite)
    if as_json:
        print_json({"path": str(path), **made.to_json()})
    else:
        say(f"{made.to_text()}\n\nwritten: {path}")


def rescore(
    run: Annotated[Path, typer.Argument(help="Results folder of the run.")],
    edits: Annotated[Path, typer.Option(help="Objects exported from QuPath: .geojson or .geojson.gz.")],
    slide: Annotated[
        str | None, typer.Option(help="Id of the slide, where the run has several.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the corrected results; default: rescored in the slide's folder.",
            show_default=False,
        ),
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="The file holds changed cells only; leave the others.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Score a slide again from its cells as corrected in QuPath, and list what changed."""
    from ..workflows.rescore import rescore_slide

    configure_logging(debug=debug)
    done = rescore_slide(run, edits=edits, slide=slide, out=out, partial=partial)
    if as_json:
        print_json({**done.to_json(), "out": str(done.out)})
    else:
        say(done.to_text())


@validate_app.command("run")
def validate_finished_run(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Results folder of a finished run.")],
    reference: Annotated[
        Path, typer.Option(help="CSV list: slide, value and/or category, optionally patient and reader.")
    ],
    cutoff: Annotated[
        list[float] | None,
        typer.Option(help="Cut-off for sensitivity and specificity; repeat for more.", show_default=False),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder to write into; default: the run's.", show_default=False)
    ] = None,
    allow_unmatched: Annotated[
        bool, typer.Option("--allow-unmatched", help="List slides that only one side has, and go on.")
    ] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """A run beside reference readings: kappa, ICC, bias, limits, sensitivity, with intervals and a report."""
    from ..workflows.validate_run import validate_run

    configure_logging(debug=debug)
    validation = validate_run(run, reference, out=out, cutoffs=cutoff or (), allow_unmatched=allow_unmatched)
    if as_json:
        print_json(validation.to_json())
    else:
        say(validation.to_text())


@validate_app.command("detector")
def validate_detector(  # noqa: PLR0913 -- one parameter per documented option of the command line
    data: Annotated[Path, typer.Option(help="Folder of the known collections, or a CSV manifest.")],
    model: Annotated[list[str] | None, typer.Option(help="A model; repeat for more.")] = None,
    stain: Annotated[Literal["H-DAB", "H&E"], typer.Option(help="Which collections.")] = "H-DAB",
    part: Annotated[
        Literal["validation", "tuning", "training"], typer.Option(help="Which cases of them.")
    ] = "validation",
    out: Annotated[Path, typer.Option(help="Folder for tables and plot.")] = Path("validation"),
    license_policy: LicensePolicy = "research",
    device: Device = "auto",
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """F1, AP, PQ, AJI, counts and index errors of detectors, beside the baseline, with intervals."""
    from ..workflows.learning.validate_detector import validate_models, write_validation
    from ..workflows.runs.terminal import bar

    configure_logging(debug=debug)
    with bar("images", quiet=as_json) as advance:
        report = validate_models(
            model or ["auto", "unmixed-nuclei"],
            data=data,
            stain=stain,
            part=part,
            policy=license_policy,
            device=device,
            progress=advance,
        )
    write_validation(report, out)
    if as_json:
        print_json(report.to_json())
    else:
        say(report.to_markdown())
        say(f"written: {out}")
