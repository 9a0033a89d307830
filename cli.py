"""The command line: verbs are clinical questions; what is heavy is imported by the verb that needs it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

if TYPE_CHECKING:
    from .workflows import CohortRun

__all__ = ["main"]

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="From scanner file to slide-level pathology report. Research use only.",
)
score_app = typer.Typer(no_args_is_help=True, help="Score immunohistochemistry slides.")
models_app = typer.Typer(no_args_is_help=True, help="The networks at hand: data, licence, figures.")
train_app = typer.Typer(no_args_is_help=True, help="Train networks from labelled images.")
validate_app = typer.Typer(no_args_is_help=True, help="Hold networks against labelled images.")
bench_app = typer.Typer(no_args_is_help=True, help="Measure slidelab on this machine.")
app.add_typer(score_app, name="score")
app.add_typer(models_app, name="models")
app.add_typer(train_app, name="train")
app.add_typer(validate_app, name="validate")
app.add_typer(bench_app, name="bench")

USAGE_ERROR: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")
"""What a wrong option raises: typer brings its own copy of click, or uses an installed one, by version."""

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


@score_app.command("ki67")
def score_ki67(  # noqa: PLR0913 -- one parameter per documented option of the command line
    slides: Slides = None,
    out: Annotated[Path, typer.Option(help="Results folder; run again to resume.")] = Path("results"),
    mpp: Mpp = None,
    positive_od: Annotated[
        float | None,
        typer.Option(
            help="Least mean DAB density of a positive nucleus, OD (base 10); default: the network decides.",
            show_default=False,
        ),
    ] = None,
    model: Model = "auto",
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
    """Ki-67 labelling index with interval, hot spot, cells and a report for each slide."""
    from .workflows import Ki67, RunOptions, choose_detector, find_slides, run_cohort, slides_to_retry
    from .workflows.runs.terminal import watch

    _configure_logging(debug=debug)
    detector = choose_detector(model, stain="H-DAB", policy=license_policy, device=device)
    if scheduler == "auto":  # one process holds a card; its threads decode while others compute
        scheduler = "threads" if detector.runs_on_card else "processes"
    options = RunOptions(out, scheduler=scheduler, workers=workers, overwrite=not resume, clean=clean)
    workflow = Ki67(positive_od=positive_od, detector=detector)
    inputs = slides_to_retry(out, mpp=mpp) if retry_failed else find_slides(slides or [], mpp=mpp)
    with watch(len(inputs), quiet=as_json) as progress:
        run = run_cohort(workflow, inputs, options=options, progress=progress)
    _print_run(run, as_json=as_json, profile=profile)
    raise typer.Exit(run.exit_code)


@app.command()
def inspect(slide: Path, mpp: Mpp = None, as_json: Json = False, debug: Debug = False) -> None:
    """What a slide is, its resolution and where that comes from, its health, and what will work."""
    from .wsi import inspect_slide

    _configure_logging(debug=debug)
    inspection = inspect_slide(slide, mpp=mpp)
    if as_json:
        _print_json(inspection.to_json())
    else:
        _say(inspection.to_text())
    raise typer.Exit(0 if inspection.readable else 1)


@app.command()
def phantom(  # noqa: PLR0913 -- one parameter per documented option of the command line
    out: Annotated[Path, typer.Argument(help="The .tiff to write; its truth goes beside it.")],
    kind: Annotated[str, typer.Option(help="ki67 or he.")] = "ki67",
    size: Annotated[int, typer.Option(help="Side of level 0, px.")] = 4096,
    truth: Annotated[
        float | None,
        typer.Option(
            help="ki67: labelling index in percent; he: tumour nuclei in percent.", show_default=False
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

    _configure_logging(debug=debug)
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
        _print_json(facts)
    else:
        _say(f"{out}: {size} x {size} px, {facts['nuclei']:,} nuclei, truth {known.value or 0:.2f} %")


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
        score_ki67([str(slide)], out=out / "results", workers=workers, profile=True, debug=debug)
    except typer.Exit as end:
        _say(
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
        _print_json(
            {"ok": all(check.ok for check in checks), "checks": [check.to_json() for check in checks]}
        )
    else:
        for check in checks:
            _say(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<22} {check.finding}")
    raise typer.Exit(0 if all(check.ok for check in checks) else 1)


@train_app.command("detector")
def train_detector(
    data: Annotated[Path, typer.Option(help="Folder of the known collections, or a CSV manifest.")],
    config: Annotated[str, typer.Option(help="A .toml file, or the name of a configuration of slidelab.")],
    out: Annotated[Path, typer.Option(help="Model folder; run again to go on.")] = Path("models"),
    device: Device = "auto",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Throw an earlier run away.")] = False,
    as_json: Json = False,
    debug: Debug = False,
) -> None:
    """Train a cell detector: card and weights in --out, progress in --out/training."""
    from .workflows.learning.train import find_config, train_detector_model
    from .workflows.runs.terminal import training_bar

    _configure_logging(debug=debug)
    settings = find_config(config)
    with training_bar(settings.steps, quiet=as_json) as report:
        card = train_detector_model(
            settings, data=data, folder=out, device=device, overwrite=overwrite, report=report
        )
    if as_json:
        _print_json({"card": str(card), "weights": str(card.with_suffix(".safetensors"))})
    else:
        _say(f"model: {card}")
        _say(f"use it with: SLIDELAB_MODELS={out} slidelab score ki67 SLIDES --model {settings.name}")


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

    _configure_logging(debug=debug)
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
        _print_json(report.to_json())
    else:
        _say(report.to_markdown())
        _say(f"written: {out}")


@models_app.command("list")
def models_list(license_policy: LicensePolicy = "research", as_json: Json = False) -> None:
    """The networks at hand, and whether the licence policy allows them."""
    from .workflows.learning.model_shelf import list_models

    models = list_models(license_policy)
    if as_json:
        _print_json(models.to_json())
    else:
        _say(models.to_text())


@models_app.command("show")
def models_show(name: str, as_json: Json = False) -> None:
    """All that is known of one network: data, licence, figures, limits."""
    from .workflows.learning.model_shelf import describe_model

    model = describe_model(name)
    if as_json:
        _print_json(model.to_json())
    else:
        _say(model.to_text())


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
        _print_json(model.to_json())
    else:
        _say(model.to_text())


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

    _report(benchmark_reading(slide, window=window, rounds=rounds, threads=threads), as_json=as_json)


@bench_app.command("engine")
def bench_engine(
    slide: Path,
    mpp: Mpp = None,
    rounds: Annotated[int, typer.Option(help="Rounds per side, in turn.")] = 3,
    as_json: Json = False,
) -> None:
    """The block engine against its own work run bare, and two workers against one."""
    from .workflows.bench import benchmark_engine

    _report(benchmark_engine(slide, mpp=mpp, rounds=rounds), as_json=as_json)


@bench_app.command("cells")
def bench_cells(
    slide: Path,
    mpp: Mpp = None,
    workers: Annotated[int, typer.Option(help="Worker processes, one thread each.")] = 2,
    model: Model = "auto",
    license_policy: LicensePolicy = "research",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """Seconds per mm2 of tissue from slide to cells on disk, by phase, and against the bare detector."""
    from .workflows import choose_detector
    from .workflows.bench_cells import benchmark_cells

    detector = choose_detector(model, stain="H-DAB", policy=license_policy, device=device)
    _report(benchmark_cells(slide, detector=detector, mpp=mpp, workers=workers), as_json=as_json)


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
    _report(figures, as_json=as_json)


def _print_run(run: CohortRun, *, as_json: bool, profile: bool) -> None:
    """Print one line per slide, then where to look."""
    if as_json:
        for outcome in run.outcomes:
            _print_json(outcome.to_json(run.out))
        return
    from .workflows.runs.terminal import describe_profile, describe_run

    _say(describe_run(run))
    if profile:
        _say(describe_profile(run))


def _report(figures: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a bench's figures as one JSON object or a line each."""
    if as_json:
        _print_json(figures)
    else:
        width = max(map(len, figures))
        for name, value in figures.items():
            _say(f"{name:<{width}}  {value}")


def _say(text: str) -> None:
    """Print for people."""
    typer.echo(text)


def _print_json(value: Mapping[str, Any]) -> None:
    """Print one JSON object on one line."""
    typer.echo(json.dumps(value, allow_nan=False))


def _configure_logging(*, debug: bool) -> None:
    """Send logs to standard error; only the command line may do that, never the library."""
    import logging

    logging.basicConfig(
        level=logging.DEBUG if debug else logging.WARNING,
        format="%(levelname)s %(name)s: %(message)s",
        stream=sys.stderr,
    )
    for noisy in ("distributed", "asyncio", "tifffile", "matplotlib", "PIL", "bokeh", "tornado"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)


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
