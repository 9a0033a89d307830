"""The command line: verbs are clinical questions; what is heavy is imported by the verb that needs it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from .bench import bench_app
from .checking import calibrate_app, rescore, validate_app
from .cytology import bench_cervix, calibrate_cervix, screen_app
from .grading import bench_grade, grade_app
from .measure import measure_app
from .models import models_app
from .normalise import bench_stain, normalise
from .options import (
    Debug,
    Json,
    Mpp,
    Workers,
    configure_logging,
    print_json,
    say,
)
from .scoring import score_app, score_ki67
from .smear import bench_smear, count_app
from .training import train_app

__all__ = ["app", "main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From scanner file to slide-level pathology report. Research use only.",
)
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
app.command()(rescore)
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
    from ..wsi import inspect_slide

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
    from ..tiling import available_cores
    from ..workflows.runs.terminal import bar
    from ..wsi import PhantomSettings, write_phantom

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


@app.command()
def demo(
    out: Annotated[Path, typer.Option(help="Folder for the demo's slide and results.")] = Path("demo"),
    size: Annotated[int, typer.Option(help="Side of the phantom slide, px.")] = 20_000,
    workers: Workers = 0,
    debug: Debug = False,
) -> None:
    """Paint a Ki-67 phantom slide, score it like any other, and show the result beside the truth."""
    from ..workflows.demo import compare_with_truth

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
    from ..workflows.doctor import examine_installation

    checks = examine_installation()
    if as_json:
        print_json({"ok": all(check.ok for check in checks), "checks": [check.to_json() for check in checks]})
    else:
        for check in checks:
            say(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<22} {check.finding}")
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; exits with 0 (all good), 2 (some slides failed) or 1 (usage, or nothing ran)."""
    sys.exit(_run(sys.argv[1:] if arguments is None else arguments))


def _run(arguments: list[str]) -> int:
    """Run a command and return its exit code, turning errors into one line of what and one of what to do."""
    from ..errors import SlidelabError

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
