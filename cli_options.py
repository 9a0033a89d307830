"""What the verbs of the command line share: options, printing, logs."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from .workflows import CohortRun

__all__ = [
    "Debug",
    "Device",
    "Json",
    "LicensePolicy",
    "Model",
    "Mpp",
    "Slides",
    "Workers",
    "configure_logging",
    "print_figures",
    "print_json",
    "print_run",
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
Workers = Annotated[int, typer.Option(help="Parallel workers; 0 is one per core.")]
Slides = Annotated[
    list[str] | None,
    typer.Argument(
        help="Files, folders, globs, or a CSV list with columns path, mpp, id.", show_default=False
    ),
]


def print_run(run: CohortRun, *, as_json: bool, profile: bool) -> None:
    """Print one line per slide, then where to look."""
    if as_json:
        for outcome in run.outcomes:
            print_json(outcome.to_json(run.out))
        return
    from .workflows.runs.terminal import describe_profile, describe_run

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
