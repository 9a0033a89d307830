"""Verbs of the command line for cervical cytology: screening, its calibration, and how fast it is."""

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
    Out,
    Profile,
    Resume,
    RetryFailed,
    Scheduler,
    Slides,
    Workers,
    choose_scheduler,
    configure_logging,
    print_figures,
    print_json,
    say,
)

__all__ = ["bench_cervix", "calibrate_cervix", "screen_app", "screen_cervix"]

screen_app = typer.Typer(no_args_is_help=True, help="Screen cytology slides.")

Preparation = Literal["thinprep", "surepath", "conventional"]


@screen_app.callback()
def _screen() -> None:
    """Screen cytology slides."""


@screen_app.command("cervix")
def screen_cervix(  # noqa: PLR0913 -- one parameter per documented option of the command line
    slides: Slides = None,
    preparation: Annotated[
        Preparation, typer.Option(help="thinprep, surepath or conventional: what adequacy is judged by.")
    ] = "thinprep",
    planes: Annotated[
        Literal["extended", "best", "middle"],
        typer.Option(help="Several focal planes: blended, the sharpest of each block, or the middle one."),
    ] = "extended",
    age: Annotated[int | None, typer.Option(help="Of the woman, years.", show_default=False)] = None,
    lower_count: Annotated[
        str | None,
        typer.Option(
            help="Accept fewer cells: atrophy, radiation, chemotherapy, hysterectomy.", show_default=False
        ),
    ] = None,
    lab: Annotated[
        Path | None,
        typer.Option(help="Profile from `slidelab calibrate cervix`; needed to clear.", show_default=False),
    ] = None,
    thorough: Annotated[
        bool, typer.Option("--thorough", help="Name plainly normal cells and neutrophils too.")
    ] = False,
    viewer: Annotated[
        str,
        typer.Option(help="Address of a slide viewer with {slide}, {x}, {y}, for links.", show_default=False),
    ] = "",
    out: Out = Path("results"),
    mpp: Mpp = None,
    model: Annotated[
        str, typer.Option(help="Classifier: auto, a name from `slidelab models list`, or size-rules.")
    ] = "auto",
    detector: Annotated[
        str, typer.Option(help="Detector of nuclei: auto, or a name from `slidelab models list`.")
    ] = "auto",
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
    """Cervical slides by the Bethesda System: calls, adequacy, organisms, gallery, worklist by risk."""
    from ..workflows import RunOptions, slides_to_retry
    from ..workflows.cervix.call_reader import choose_calls
    from ..workflows.cervix.cohort import find_stacks, join_planes, screen_cohort
    from ..workflows.cervix.find_nuclei import choose_nuclei
    from ..workflows.cervix.lab import CervixLab
    from ..workflows.cervix.plan import ScreeningSettings
    from ..workflows.cervix.workflow import CervicalScreening
    from ..workflows.runs.terminal import describe_profile, describe_run, watch

    configure_logging(debug=debug)
    workflow = CervicalScreening(
        plan=ScreeningSettings(
            preparation=preparation, blend=planes, age=age, lower_count=lower_count, thorough=thorough
        ),
        detector=choose_nuclei(detector, policy=license_policy, device=device),
        calls=choose_calls(model, policy=license_policy, device=device),
        lab=None if lab is None else CervixLab.read(lab),
        viewer=viewer,
    )
    options = RunOptions(
        out,
        scheduler=choose_scheduler(scheduler, runs_on_card=workflow.runs_on_card),
        workers=workers,
        overwrite=not resume,
        clean=clean,
    )
    inputs = (
        join_planes(slides_to_retry(out, mpp=mpp)) if retry_failed else find_stacks(slides or [], mpp=mpp)
    )
    with watch(len(inputs), quiet=as_json) as progress:
        run = screen_cohort(workflow, inputs, options=options, progress=progress)
    if as_json:
        for outcome in run.outcomes:
            print_json(outcome.to_json(run.out))
    else:
        say(describe_run(run))
        say(f"worklist: {run.out / 'worklist.html'}")
        if profile:
            say(describe_profile(run))
    raise typer.Exit(run.exit_code)


def calibrate_cervix(  # noqa: PLR0913 -- one parameter per documented option of the command line
    tuning: Annotated[Path, typer.Argument(help="Run of `screen cervix` that the threshold is picked on.")],
    proving: Annotated[Path, typer.Argument(help="Run of other slides that proves it.")],
    diagnoses: Annotated[
        Path, typer.Option(help="CSV: slide, diagnosis (Bethesda code, or normal/abnormal), patient.")
    ],
    name: Annotated[str, typer.Option(help="Of the profile: laboratory and preparation.")],
    out: Annotated[Path, typer.Option(help="The .json to write.")],
    sensitivity: Annotated[
        float, typer.Option(help="Percent of abnormal slides to keep on the tuning run.")
    ] = 100.0,
    version: Annotated[int, typer.Option(help="Raise it with each calibration.")] = 1,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace an existing profile.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Pick and prove the risk below which negative cervical slides need no reading: a profile for --lab."""
    from fractions import Fraction

    from ..workflows.cervix.calibrate import calibrate_screening

    configure_logging(debug=debug)
    made = calibrate_screening(
        tuning,
        proving,
        diagnoses=diagnoses,
        name=name,
        version=version,
        sensitivity=Fraction(str(sensitivity)) / 100,
    )
    path = made.profile.write(out, overwrite=overwrite)
    if as_json:
        print_json({"path": str(path), **made.to_json()})
    else:
        say(f"{made.to_text()}\n\nwritten: {path}")


def bench_cervix(
    slide: Path,
    mpp: Mpp = None,
    model: Annotated[str, typer.Option(help="Classifier: auto, a name, or size-rules.")] = "auto",
    workers: Annotated[int, typer.Option(help="Worker processes, one thread each.")] = 2,
    as_json: Json = False,
) -> None:
    """Seconds per mm2 of scanned area from slide to cervical report: plan, tiles by phase, report."""
    from ..workflows.bench_cervix import benchmark_screening
    from ..workflows.cervix.call_reader import choose_calls
    from ..workflows.cervix.workflow import CervicalScreening

    workflow = CervicalScreening(calls=choose_calls(model))
    print_figures(benchmark_screening(slide, workflow=workflow, mpp=mpp, workers=workers), as_json=as_json)
