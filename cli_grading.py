"""Verbs of the command line that grade tissue: lesions found, outlined and named."""

# Annotations are read when verbs are made, so they are not postponed here.
from pathlib import Path
from typing import Annotated, Literal

import typer

from .cli_options import (
    Debug,
    Device,
    Json,
    LicensePolicy,
    Mpp,
    Slides,
    Workers,
    configure_logging,
    print_figures,
    print_run,
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
    out: Annotated[Path, typer.Option(help="Results folder; run again to resume.")] = Path("results"),
    mpp: Mpp = None,
    model: Annotated[
        str, typer.Option(help="Tissue network: auto, or a name from `slidelab models list`.")
    ] = "auto",
    signet_model: Annotated[
        str, typer.Option(help="Detector of signet-ring cells: auto (none where none is at hand), or a name.")
    ] = "auto",
    license_policy: LicensePolicy = "research",
    device: Device = "auto",
    workers: Workers = 0,
    scheduler: Annotated[
        str,
        typer.Option(help="auto (threads on one card, else processes), processes, threads, or tcp://..."),
    ] = "auto",
    resume: Annotated[
        bool, typer.Option("--resume/--overwrite", help="Go on with an earlier run, or throw it away.")
    ] = True,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Take the slides of the earlier run in --out that failed.")
    ] = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove block fragments of finished slides.")
    ] = False,
    profile: Annotated[bool, typer.Option("--profile", help="Print where the time went.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Colorectal lesions by class, area and fragment: polyp, serrated, LGIN, HGIN, carcinoma, signet-ring."""
    from .workflows import RunOptions, find_slides, run_cohort, slides_to_retry
    from .workflows.colorectal.tissue_reader import choose_signet, choose_tissue
    from .workflows.colorectal.workflow import ColorectalGrading
    from .workflows.runs.terminal import watch

    configure_logging(debug=debug)
    tissue = choose_tissue(model, policy=license_policy, device=device)
    signet = None if no_signet else choose_signet(signet_model, policy=license_policy, device=device)
    if scheduler == "auto":  # one process holds a card; its threads decode while others compute
        scheduler = "threads" if tissue.runs_on_card else "processes"
    options = RunOptions(out, scheduler=scheduler, workers=workers, overwrite=not resume, clean=clean)
    workflow = ColorectalGrading(tissue=tissue, signet=signet, kind=kind)
    inputs = slides_to_retry(out, mpp=mpp) if retry_failed else find_slides(slides or [], mpp=mpp)
    with watch(len(inputs), quiet=as_json) as progress:
        run = run_cohort(workflow, inputs, options=options, progress=progress)
    print_run(run, as_json=as_json, profile=profile)
    raise typer.Exit(run.exit_code)


def bench_grade(
    slide: Path,
    mpp: Mpp = None,
    workers: Annotated[int, typer.Option(help="Worker processes, one thread each.")] = 2,
    no_signet: Annotated[bool, typer.Option("--no-signet", help="Leave these cells out.")] = False,
    as_json: Json = False,
) -> None:
    """Seconds per mm2 of tissue from slide to colorectal report: plan, tiles by phase, report."""
    from .workflows.bench_grading import benchmark_grading
    from .workflows.colorectal.tissue_reader import choose_signet, choose_tissue
    from .workflows.colorectal.workflow import ColorectalGrading

    workflow = ColorectalGrading(tissue=choose_tissue("auto"), signet=None if no_signet else choose_signet())
    print_figures(benchmark_grading(slide, workflow=workflow, mpp=mpp, workers=workers), as_json=as_json)
