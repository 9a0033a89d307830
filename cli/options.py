"""What the verbs of the command line share: options, printing, logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer

if TYPE_CHECKING:
    from ..workflows import CohortRun, RunOptions
    from ..workflows.runs.workflow import Workflow
    from ..workflows.slides.normalisation import Normalisation

__all__ = [
    "Clean",
    "Debug",
    "Device",
    "Json",
    "LicensePolicy",
    "Model",
    "Mpp",
    "Normalise",
    "Out",
    "Profile",
    "Resume",
    "RetryFailed",
    "Scheduler",
    "Slides",
    "StainProfileFile",
    "Tumour",
    "Workers",
    "choose_normalisation",
    "choose_scheduler",
    "configure_logging",
    "print_figures",
    "print_json",
    "run_slides",
    "say",
]

Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, for programs.")]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks and debug logs.")]
Mpp = Annotated[
    float | None,
    typer.Option(help="um per level-0 pixel, in place of what the files say.", show_default=False),
]
Model = Annotated[str, typer.Option(help="auto, a name from `slidelab models list`, or unmixed-nuclei.")]
LicensePolicy = Annotated[
    Literal["research", "permissive"],
    typer.Option(help="research, or permissive: refuse weights trained on data for research only."),
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
Normalise = Annotated[
    Literal["none", "reinhard", "macenko", "vahadane", "cyclegan", "distilled"],
    typer.Option(help="Colours that networks see; stain is always measured on pixels as scanned."),
]
StainProfileFile = Annotated[
    Path | None,
    typer.Option(
        "--stain-profile",
        help="Colours of the slide from an earlier run, in place of fitting them.",
        show_default=False,
    ),
]
Workers = Annotated[int, typer.Option(help="Parallel workers; 0 is one per core.")]
Out = Annotated[Path, typer.Option(help="Results folder; run again to resume.")]
Tumour = Annotated[
    Path | None,
    typer.Option(
        help="Outlines of the tumour: QuPath GeoJSON or ASAP XML, or a folder with one per slide.",
        show_default=False,
    ),
]
Scheduler = Annotated[
    str,
    typer.Option(help="auto (threads on one card, else processes), processes, threads, or tcp://..."),
]
Resume = Annotated[
    bool, typer.Option("--resume/--overwrite", help="Go on with an earlier run, or throw it away.")
]
RetryFailed = Annotated[
    bool, typer.Option("--retry-failed", help="Take the slides of the earlier run in --out that failed.")
]
Clean = Annotated[bool, typer.Option("--clean", help="Remove block fragments of finished slides.")]
Profile = Annotated[bool, typer.Option("--profile", help="Print where the time went.")]
Slides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Files, folders, globs, or a CSV list with columns path, mpp, id.", show_default=False
    ),
]


def choose_normalisation(
    method: str, profile: Path | None, *, policy: Literal["research", "permissive"]
) -> Normalisation:
    """Return what --normalise and --stain-profile ask for."""
    from ..workflows.slides.normalisation import Normalisation

    return Normalisation.read(method, profile, policy=policy)


def choose_scheduler(asked: str, *, runs_on_card: bool) -> str:
    """Return what runs the tiles: one process holds a card, and its threads decode while others compute."""
    if asked != "auto":
        return asked
    return "threads" if runs_on_card else "processes"


def run_slides(
    workflow: Workflow,
    slides: list[str] | None,
    *,
    options: RunOptions,
    mpp: float | None,
    retry_failed: bool,
    as_json: bool,
    profile: bool,
) -> NoReturn:
    """Run a workflow over slides, show how far it is, print what came out, and end with its exit code."""
    from ..workflows import find_slides, run_cohort, slides_to_retry
    from ..workflows.runs.terminal import watch

    inputs = slides_to_retry(options.out, mpp=mpp) if retry_failed else find_slides(slides or [], mpp=mpp)
    with watch(len(inputs), quiet=as_json) as progress:
        run = run_cohort(workflow, inputs, options=options, progress=progress)
    _print_run(run, as_json=as_json, profile=profile)
    raise typer.Exit(run.exit_code)


def _print_run(run: CohortRun, *, as_json: bool, profile: bool) -> None:
    """Print one line per slide, then where to look."""
    if as_json:
        for outcome in run.outcomes:
            print_json(outcome.to_json(run.out))
        return
    from ..workflows.runs.terminal import describe_profile, describe_run

    say(describe_run(run))
    if profile:
        say(describe_profile(run))


def say(text: str) -> None:
    """Print for people."""
    typer.echo(text)


def print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    typer.echo(json.dumps(value, allow_nan=False))


def print_figures(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a bench's figures as one JSON object or a line each."""
    if as_json:
        print_json(figures)
        return
    width = max(map(len, figures))
    for name, value in figures.items():
        say(f"{name:<{width}}  {value}")


def configure_logging(*, debug: bool) -> None:
    """Send logs to standard error; only the command line may do that, never the library."""
    import logging

    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("distributed", "asyncio", "tifffile", "matplotlib", "PIL", "bokeh", "tornado"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
