"""The command line: verbs are clinical questions; what is heavy is imported by the verb that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from typer.core import TyperGroup

from .cli_cytology import bench_cervix, calibrate_cervix, screen_app
from .cli_grading import bench_grade, grade_app
from .cli_measure import measure_app
from .cli_normalise import bench_stain, normalise
from .cli_options import (
    Debug,
    Device,
    Json,
    LicensePolicy,
    Model,
    Mpp,
    Workers,
    configure_logging,
    print_figures,
    print_json,
    say,
)
from .cli_scoring import score_app, score_ki67
from .cli_smear import bench_smear, count_app
from .cli_training import train_app

__all__ = ["main"]


class _RunFirst(TyperGroup):
    """`validate RUN` means `validate run RUN`, and so does `calibrate RUN`: what names no verb is the run."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put the verb in where it was left out."""
        if args and args[0] not in self.commands and args[0] != "--help":
            args = ["run", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From scanner file to slide-level pathology report. Research use only.",
)
models_app = typer.Typer(no_args_is_help=True, help="The networks at hand: data, licence, figures.")
validate_app = typer.Typer(
    cls=_RunFirst, no_args_is_help=True, help="Hold runs against readings, networks against labelled images."
)
calibrate_app = typer.Typer(
    cls=_RunFirst, no_args_is_help=True, help="Fit thresholds to a laboratory's own slides."
)
bench_app = typer.Typer(no_args_is_help=True, help="Measure slidelab on this machine.")
app.add_typer(score_app, name="score")
app.add_typer(measure_app, name="measure")
app.add_typer(grade_app, name="grade")
app.add_typer(screen_app, name="screen")
app.add_typer(count_app, name="count")
app.add_typer(models_app, name="models")
app.add_typer(train_app, name="train")
app.add_typer(validate_app, name="validate")
app.add_typer(calibrate_app, name="calibrate")
app.add_typer(bench_app, name="bench")
app.command()(normalise)
calibrate_app.command("cervix")(calibrate_cervix)
bench_app.command("stain")(bench_stain)
bench_app.command("grade")(bench_grade)
bench_app.command("cervix")(bench_cervix)
bench_app.command("smear")(bench_smear)

USAGE_ERROR: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
"""What a wrong option raises: typer brings its own copy of click, or uses an installed one, by version."""


@app.command()
def inspect(slide: Path, mpp: Mpp = None, as_json: Json = False, debug: Debug = False) -> None:
    """What a slide is, its resolution and where that comes from, its health, and what will work."""
    from .wsi import inspect_slide

    configure_logging(debug=debug)
    inspection = inspect_slide(slide, mpp=mpp)
    if as_json:
        print_json(inspection.to_json())
    else:
        say(inspection.to_text())
    raise typer.Exit(0 if inspection.readable else 1)


@app.command()
def phantom(  # noqa: PLR0913 -- one parameter per documented option of the command line
    out: Annotated[Path, typer.Argument(help="The .tiff to write; its truth goes beside it.")],
    kind: Annotated[str, typer.Option(help="ki67, er, pr, her2, pdl1, he, pap or smear.")] = "ki67",
    size: Annotated[int, typer.Option(help="Side of level 0, px.")] = 4096,
    truth: Annotated[
        float | None,
        typer.Option(
            help="Percent. ki67, er, pr: positive tumour nuclei; her2: cells with complete intense membrane; "
            "pdl1: tumour proportion score; he: tumour nuclei.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[int, typer.Option(help="Another seed, another slide.")] = 1,
    scanner: Annotated[str, typer.Option(help="Look of the scanner: a or b.")] = "a",
    mpp: Annotated[float, typer.Option(help="um per level-0 pixel.")] = 0.25,
    artefacts: Annotated[bool, typer.Option(help="Pen, folds, blur, bubbles and debris.")] = True,
    workers: Workers = 0,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Paint a procedural whole slide of which every cell is known."""
    from .tiling import available_cores
    from .workflows.runs.terminal import bar
    from .wsi import PhantomSettings, write_phantom

    configure_logging(debug=debug)
    settings = PhantomSettings(
        kind=kind,
        width=size,
        height=size,
        truth=truth,
        seed=seed,
        scanner=scanner,
        mpp=mpp,
        artefacts=artefacts,
    )
    with bar("painting", quiet=as_json) as advance:
        known = write_phantom(out, settings, progress=advance, workers=workers or available_cores())
    facts = {
        "path": str(known.path),
        "kind": kind,
        "truth": known.value,
        "truth_outside_artefacts": known.value_outside_artefacts,
        "nuclei": known.counts.get("nuclei", 0),
        "truth_cells": str(known.cells_path),
        "truth_json": str(known.json_path),
    }
    if as_json:
        print_json(facts)
    else:
        say(f"{out}: {size} x {size} px, {facts['nuclei']:,} nuclei, truth {known.value or 0:.2f} %")


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
    from .workflows.calibrate import calibrate_run

    configure_logging(debug=debug)
    made = calibrate_run(
        run, name=name, marker=marker, controls=controls, reference=reference, version=version
    )
    path = made.write(out, overwrite=overwrite)
    if as_json:
        print_json({"path": str(path), **made.to_json()})
    else:
        say(f"{made.to_text()}\n\nwritten: {path}")


@app.command()
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
    from .workflows.rescore import rescore_slide

    configure_logging(debug=debug)
    done = rescore_slide(run, edits=edits, slide=slide, out=out, partial=partial)
    if as_json:
        print_json({**done.to_json(), "out": str(done.out)})
    else:
        say(done.to_text())


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo's slide and results.")] = Path("demo"),
    size: Annotated[int, typer.Option(help="Side of the phantom slide, px.")] = 20_000,
    workers: Workers = 0,
    debug: Debug = False,
) -> None:
    """Paint a Ki-67 phantom slide, score it like any other, and show the result beside the truth."""
    from .workflows.demo import compare_with_truth

    slide = out / "phantom-ki67.tiff"
    phantom(slide, size=size, truth=22.0, seed=2026, workers=workers, debug=debug)
    try:
        score_ki67(slides=[str(slide)], out=out / "results", workers=workers, profile=True, debug=debug)
    except typer.Exit as end:
        say(
            compare_with_truth(
                out / "results", slide.stem, truth=slide.with_suffix("").with_suffix(".truth.json")
            )
        )
        raise typer.Exit(end.exit_code) from None


@app.command()
def doctor(as_json: Json = False) -> None:
    """Check this installation: libraries, cores, memory, disk, and a slide read end to end."""
    from .workflows.doctor import examine_installation

    checks = examine_installation()
    if as_json:
        print_json({"ok": all(check.ok for check in checks), "checks": [check.to_json() for check in checks]})
    else:
        for check in checks:
            say(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<22} {check.finding}")
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


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
    from .workflows.validate_run import validate_run

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
    from .workflows.learning.validate_detector import validate_models, write_validation
    from .workflows.runs.terminal import bar

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


@models_app.command("list")
def models_list(license_policy: LicensePolicy = "research", as_json: Json = False) -> None:
    """The networks at hand, and whether the licence policy allows them."""
    from .workflows.learning.model_shelf import list_models

    models = list_models(license_policy)
    if as_json:
        print_json(models.to_json())
    else:
        say(models.to_text())


@models_app.command("show")
def models_show(name: str, as_json: Json = False) -> None:
    """All that is known of one network: data, licence, figures, limits."""
    from .workflows.learning.model_shelf import describe_model

    model = describe_model(name)
    if as_json:
        print_json(model.to_json())
    else:
        say(model.to_text())


@models_app.command("pull")
def models_pull(
    reference: Annotated[str, typer.Argument(help="hf://organisation/repository@revision/name")],
    license_policy: LicensePolicy = "research",
    as_json: Json = False,
) -> None:
    """Fetch a network from a hub, by pinned revision, into the user's model folder."""
    from .workflows.learning.model_shelf import pull_model

    model = pull_model(reference, policy=license_policy)
    if as_json:
        print_json(model.to_json())
    else:
        say(model.to_text())


@bench_app.command("read")
def bench_read(
    slide: Path,
    window: Annotated[int, typer.Option(help="Side of the windows read, px.")] = 1024,
    rounds: Annotated[int, typer.Option(help="Rounds per side, in turn.")] = 5,
    threads: Annotated[int, typer.Option(help="Reading threads.")] = 1,
    as_json: Json = False,
) -> None:
    """Native reading against OpenSlide's read_region, the same windows in turn."""
    from .wsi import benchmark_reading

    print_figures(benchmark_reading(slide, window=window, rounds=rounds, threads=threads), as_json=as_json)


@bench_app.command("engine")
def bench_engine(
    slide: Path,
    mpp: Mpp = None,
    rounds: Annotated[int, typer.Option(help="Rounds per side, in turn.")] = 3,
    as_json: Json = False,
) -> None:
    """The block engine against its own work run bare, and two workers against one."""
    from .workflows.bench import benchmark_engine

    print_figures(benchmark_engine(slide, mpp=mpp, rounds=rounds), as_json=as_json)


@bench_app.command("cells")
def bench_cells(  # noqa: PLR0913 -- one parameter per documented option of the command line
    slide: Path,
    marker: Annotated[str, typer.Option(help="ki67, er, pr, her2, pdl1, immune-he or immune-ihc.")] = "ki67",
    mpp: Mpp = None,
    workers: Annotated[int, typer.Option(help="Worker processes, one thread each.")] = 2,
    model: Model = "auto",
    license_policy: LicensePolicy = "research",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Seconds per mm2 of tissue from slide to cells on disk, by phase, and against the bare detector."""
    from .errors import SettingsError
    from .workflows import choose_detector
    from .workflows.bench_cells import benchmark_cells
    from .workflows.ihc.markers import MARKERS

    if marker not in MARKERS:
        raise SettingsError(f"no marker {marker!r}", f"Choose one of {', '.join(MARKERS)}.")
    stain = "H&E" if marker == "immune-he" else "H-DAB"
    detector = choose_detector(model, stain=stain, policy=license_policy, device=device)
    workflow = MARKERS[marker](detector=detector)
    print_figures(benchmark_cells(slide, workflow=workflow, mpp=mpp, workers=workers), as_json=as_json)


@bench_app.command("memory")
def bench_memory(
    folder: Annotated[Path, typer.Argument(help="Where the phantoms are painted and kept.")],
    small: Annotated[int, typer.Option(help="Side of the small phantom, px.")] = 20_000,
    large: Annotated[int, typer.Option(help="Side of the large phantom, px.")] = 60_000,
    as_json: Json = False,
) -> None:
    """Peak memory of a worker on a small and on a large phantom slide."""
    from .workflows.bench import benchmark_memory
    from .workflows.runs.terminal import bar

    with bar("painting phantoms", quiet=as_json) as advance:
        figures = benchmark_memory(folder, sizes=(small, large), progress=advance)
    print_figures(figures, as_json=as_json)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0 (all good), 2 (some slides failed) or 1 (usage, or nothing ran)."""
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    """Run a command and return its exit code, turning errors into one line of what and one of what to do."""
    from .errors import SlidelabError

    try:
        code = app(args=arguments, prog_name="slidelab", standalone_mode=False)
    except SlidelabError as error:
        if "--debug" in arguments:
            raise
        typer.echo(f"error: {error.what}", err=True)
        if error.advice:
            typer.echo(f"   do: {error.advice}", err=True)
        return 1
    except USAGE_ERROR as error:
        # Click itself would exit with 2, which here means that some slides failed.
        error.show()
        return 1
    except (KeyboardInterrupt, typer.Abort):
        typer.echo("interrupted; run the same command again to go on from here", err=True)
        return 130
    return code if isinstance(code, int) else 0
