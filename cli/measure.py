"""Verbs of the command line that measure tissue: what it holds, and how near cells lie to each other."""

# Annotations are read when verbs are made, so they are not postponed here.
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from .options import (
    Clean,
    Debug,
    Device,
    Json,
    LicensePolicy,
    Model,
    Mpp,
    Normalise,
    Out,
    Profile,
    Resume,
    RetryFailed,
    Scheduler,
    Slides,
    StainProfileFile,
    Tumour,
    Workers,
    choose_normalisation,
    choose_scheduler,
    configure_logging,
    run_slides,
)

__all__ = ["measure_app", "measure_immune"]

measure_app = typer.Typer(no_args_is_help=True, help="Measure cells and regions of slides.")


@measure_app.callback()
def _measure() -> None:
    """Measure cells and regions of slides."""


@measure_app.command("immune")
def measure_immune(  # noqa: PLR0913 -- one parameter per documented option of the command line
    slides: Slides = None,
    stain: Annotated[
        Literal["he", "cd3", "cd8", "other"],
        typer.Option(help="H&E, or the marker that is stained with DAB; other needs --marker."),
    ] = "he",
    marker: Annotated[
        str | None, typer.Option(help="Name of another marker, such as FOXP3.", show_default=False)
    ] = None,
    positive_od: Annotated[
        float | None,
        typer.Option(
            help="Least mean DAB density of a stained cell's nucleus or rim, OD (base 10); 0.2 by default.",
            show_default=False,
        ),
    ] = None,
    til_scheme: Annotated[
        str, typer.Option(help="Cut-offs of stromal TILs: til-figure, lpbc-50, lpbc-60, til-5, til-30.")
    ] = "til-figure",
    reference_cohort: Annotated[
        Path | None,
        typer.Option(
            help="CSV with the densities of a fixed cohort, for the CD3/CD8 density score.",
            show_default=False,
        ),
    ] = None,
    other_run: Annotated[
        Path | None,
        typer.Option(help="Results folder of the other marker's slides of the cohort.", show_default=False),
    ] = None,
    out: Out = Path("results"),
    mpp: Mpp = None,
    tumour: Tumour = None,
    model: Model = "auto",
    normalise: Normalise = "none",
    stain_profile: StainProfileFile = None,
    license_policy: LicensePolicy = "research",
    device: Device = "auto",
    workers: Workers = 0,
    scheduler: Scheduler = "auto",
    resume: Resume = True,
    retry_failed: RetryFailed = False,
    clean: Clean = False,
    profile: Profile = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Immune cells: stromal TILs (H&E), densities in core and margin, nearest neighbours, G-function."""
    from ..workflows import RunOptions, choose_detector

    configure_logging(debug=debug)
    own = _own_options(stain, marker, positive_od=positive_od, cohort=reference_cohort, other_run=other_run)
    detector = choose_detector(
        model, stain="H&E" if stain == "he" else "H-DAB", policy=license_policy, device=device
    )
    options = RunOptions(
        out,
        scheduler=choose_scheduler(scheduler, runs_on_card=detector.runs_on_card),
        workers=workers,
        overwrite=not resume,
        clean=clean,
    )
    shared: dict[str, Any] = {"detector": detector, "tumour": tumour}
    shared["normalise"] = choose_normalisation(normalise, stain_profile, policy=license_policy)
    workflow = _workflow(stain, {**own, **shared}, scheme=til_scheme)
    run_slides(
        workflow,
        slides,
        options=options,
        mpp=mpp,
        retry_failed=retry_failed,
        as_json=as_json,
        profile=profile,
    )


def _workflow(stain: str, given: dict[str, Any], *, scheme: str) -> Any:
    """Make the workflow of a stain."""
    from ..workflows.immune import HeImmune, StainedImmune

    return HeImmune(scheme=scheme, **given) if stain == "he" else StainedImmune(**given)


def _own_options(
    stain: str,
    marker: str | None,
    *,
    positive_od: float | None,
    cohort: Path | None,
    other_run: Path | None,
) -> dict[str, Any]:
    """Return what is asked of a stained marker, or say what does not go together."""
    from ..errors import SettingsError
    from ..workflows.immune_cohort import read_cohort, read_other_marker

    if stain == "he":
        if any(each is not None for each in (marker, positive_od, cohort, other_run)):
            raise SettingsError(
                "--marker, --positive-od, --reference-cohort or --other-run on H&E slides",
                "They belong to --stain cd3, cd8 or other.",
            )
        return {}
    if (stain == "other") == (marker is None):
        raise SettingsError(
            f"--stain {stain} {'without' if marker is None else 'with'} --marker",
            "Name other markers, such as --stain other --marker FOXP3; cd3 and cd8 have their names.",
        )
    return {
        "marker": marker or stain.upper(),
        "positive_od": positive_od,
        "cohort": None if cohort is None else read_cohort(cohort),
        "other": None if other_run is None else read_other_marker(other_run),
    }
