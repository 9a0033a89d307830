"""Verbs of the command line that grade tissue: lesions found, outlined and named."""

# Annotations are read when verbs are made, so they are not postponed here.
from pathlib import Path
from typing import Annotated, Literal

import typer

from .options import (
    Clean,
    Debug,
    Device,
    Json,
    LicensePolicy,
    Mpp,
    Normalise,
    Out,
    Profile,
    Resume,
    RetryFailed,
    Scheduler,
    Slides,
    StainProfileFile,
    Workers,
    choose_normalisation,
    choose_scheduler,
    configure_logging,
    print_figures,
    run_slides,
)

__all__ = ["bench_grade", "grade_app", "grade_colorectal"]

grade_app = typer.Typer(no_args_is_help=True, help="Grade lesions on slides and biopsies.")


@grade_app.callback()
def _grade() -> None:
    """Grade lesions on slides and biopsies."""


@grade_app.command("colorectal")
def grade_colorectal(  # noqa: PLR0913 -- one parameter per documented option of the command line
    slides: Slides = None,
    kind: Annotated[
        Literal["biopsy", "resection"],
        typer.Option(help="biopsy: each fragment is reported; resection: one piece."),
    ] = "biopsy",
    no_signet: Annotated[
        bool, typer.Option("--no-signet", help="Do not look for signet-ring cells; the report says so.")
    ] = False,
    out: Out = Path("results"),
    mpp: Mpp = None,
    model: Annotated[
        str, typer.Option(help="Tissue network: auto, or a name from `slidelab models list`.")
    ] = "auto",
    signet_model: Annotated[
        str, typer.Option(help="Detector of signet-ring cells: auto (none where none is at hand), or a name.")
    ] = "auto",
    budding: Annotated[
        bool,
        typer.Option(
            "--budding",
            help="Resections: mark candidate tumour buds and their densest field. Experimental; not counted.",
        ),
    ] = False,
    nuclei_model: Annotated[
        str, typer.Option(help="Detector of nuclei for --budding: auto, or a name.")
    ] = "auto",
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
    """Colorectal lesions by class, area and fragment: polyp, serrated, LGIN, HGIN, carcinoma, signet-ring."""
    from ..workflows import RunOptions
    from ..workflows.colorectal.tissue_reader import choose_signet, choose_tissue
    from ..workflows.colorectal.tumour_nuclei import choose_nuclei
    from ..workflows.colorectal.workflow import ColorectalGrading

    configure_logging(debug=debug)
    tissue = choose_tissue(model, policy=license_policy, device=device)
    signet = None if no_signet else choose_signet(signet_model, policy=license_policy, device=device)
    options = RunOptions(
        out,
        scheduler=choose_scheduler(scheduler, runs_on_card=tissue.runs_on_card),
        workers=workers,
        overwrite=not resume,
        clean=clean,
    )
    workflow = ColorectalGrading(
        tissue=tissue,
        signet=signet,
        kind=kind,
        normalise=choose_normalisation(normalise, stain_profile, policy=license_policy),
        nuclei=choose_nuclei(nuclei_model, policy=license_policy, device=device) if budding else None,
    )
    run_slides(
        workflow,
        slides,
        options=options,
        mpp=mpp,
        retry_failed=retry_failed,
        as_json=as_json,
        profile=profile,
    )


def bench_grade(
    slide: Path,
    mpp: Mpp = None,
    workers: Annotated[int, typer.Option(help="Worker processes, one thread each.")] = 2,
    no_signet: Annotated[bool, typer.Option("--no-signet", help="Leave these cells out.")] = False,
    budding: Annotated[
        bool, typer.Option("--budding", help="As a resection, with candidate tumour buds.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Seconds per mm2 of tissue from slide to colorectal report: plan, tiles by phase, report."""
    from ..workflows.bench_grading import benchmark_grading
    from ..workflows.colorectal.tissue_reader import choose_signet, choose_tissue
    from ..workflows.colorectal.tumour_nuclei import choose_nuclei
    from ..workflows.colorectal.workflow import ColorectalGrading

    workflow = ColorectalGrading(
        tissue=choose_tissue("auto"),
        signet=None if no_signet else choose_signet(),
        kind="resection" if budding else "biopsy",
        nuclei=choose_nuclei() if budding else None,
    )
    print_figures(benchmark_grading(slide, workflow=workflow, mpp=mpp, workers=workers), as_json=as_json)
