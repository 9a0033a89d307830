"""The verbs that measure speed and memory of what every workflow stands on."""

# Annotations are read when verbs are made, so they are not postponed here.
from pathlib import Path
from typing import Annotated

import typer

from .options import (
    Device,
    Json,
    LicensePolicy,
    Model,
    Mpp,
    print_figures,
)

__all__ = ["bench_app"]

bench_app = typer.Typer(no_args_is_help=True, help="Measure slidelab on this machine.")


@bench_app.command("read")
def bench_read(
    slide: Path,
    window: Annotated[int, typer.Option(help="Side of the windows read, px.")] = 1024,
    rounds: Annotated[int, typer.Option(help="Rounds per side, in turn.")] = 5,
    threads: Annotated[int, typer.Option(help="Reading threads.")] = 1,
    as_json: Json = False,
) -> None:
    """Native reading against OpenSlide's read_region, the same windows in turn."""
    from ..wsi import benchmark_reading

    print_figures(benchmark_reading(slide, window=window, rounds=rounds, threads=threads), as_json=as_json)


@bench_app.command("engine")
def bench_engine(
    slide: Path,
    mpp: Mpp = None,
    rounds: Annotated[int, typer.Option(help="Rounds per side, in turn.")] = 3,
    as_json: Json = False,
) -> None:
    """The block engine against its own work run bare, and two workers against one."""
    from ..workflows.bench import benchmark_engine

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
    from ..errors import SettingsError
    from ..workflows import choose_detector
    from ..workflows.bench_cells import benchmark_cells
    from ..workflows.ihc.markers import MARKERS

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
    from ..workflows.bench import benchmark_memory
    from ..workflows.runs.terminal import bar

    with bar("painting phantoms", quiet=as_json) as advance:
        figures = benchmark_memory(folder, sizes=(small, large), progress=advance)
    print_figures(figures, as_json=as_json)
