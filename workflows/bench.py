"""What the engine adds to the work itself, and what memory a worker needs. Figures are ratios of one run."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..tiling import Engine, Job
from ..wsi import PhantomSettings, write_phantom
from .ihc.ki67 import Ki67
from .runs.cohort import run_cohort
from .runs.inputs import SlideInput, find_slides
from .runs.workflow import RunOptions
from .slides.nuclei import NucleiStage, detect_tile, find_nuclei, open_plane
from .slides.plan import SlidePlan, load_plan

__all__ = ["benchmark_engine", "benchmark_memory", "time_bare", "warm_up"]

FEWEST_TILES = 8
"""With fewer tiles two workers end unevenly and the ratio says nothing about the engine."""


def benchmark_engine(path: Path, *, mpp: float | None = None, rounds: int = 3) -> dict[str, Any]:
    """Compare the block engine with the same work run bare, and two workers with one.

    Bare is reading, unmixing and detecting of the same tiles by the same function, in a pool of as many
    plain processes: no scheduler, nothing written. The engine's figure includes landing every result on
    disk. Worker start-up is left out on both sides; the sides alternate, after one round that warms both.

    Parameters
    ----------
    path : Path
        A slide with at least 8 tiles of tissue.
    mpp : float, optional
        um per level-0 pixel, in place of what the file says.
    rounds : int
        Counted rounds.

    Returns
    -------
    dict
        Seconds (medians), ``overhead_1`` and ``overhead_2`` = engine / bare with one and two workers
        (medians of the rounds' ratios), ``speedup_2`` = one worker / two workers through the engine.
    """
    (slide,) = find_slides([path], mpp=mpp)
    seconds: dict[str, list[float]] = {name: [] for name in ("bare_1", "engine_1", "bare_2", "engine_2")}
    with tempfile.TemporaryDirectory() as scratch:
        workflow = Ki67()
        place = workflow.prepare(slide, Path(scratch) / "plan").place
        plan = load_plan(place)
        if len(plan.tiles) < FEWEST_TILES:
            raise SettingsError(
                f"{path.name} has {len(plan.tiles)} tiles of tissue, too few to time workers",
                "Take a larger slide, such as: slidelab phantom big.tiff --size 20000",
            )
        for number in range(rounds + 1):
            for workers in (1, 2):
                bare = time_bare(slide, place, plan.tiles, workers=workers)
                folder = Path(scratch) / f"round-{number}-{workers}"
                engine = _time_engine(slide, place, plan, folder=folder, workers=workers)
                if number:  # the first round warms the file cache for both sides
                    seconds[f"bare_{workers}"].append(bare)
                    seconds[f"engine_{workers}"].append(engine)
    return _engine_figures(seconds, tiles=len(plan.tiles))


def _engine_figures(seconds: dict[str, list[float]], *, tiles: int) -> dict[str, Any]:
    """Turn seconds per round into medians and ratios."""

    def ratio(above: str, below: str) -> float:
        pairs = zip(seconds[above], seconds[below], strict=True)
        return round(statistics.median(a / b for a, b in pairs), 3)

    figures: dict[str, Any] = {
        f"{name}_s": round(statistics.median(values), 3) for name, values in seconds.items()
    }
    return figures | {
        "overhead_1": ratio("engine_1", "bare_1"),
        "overhead_2": ratio("engine_2", "bare_2"),
        "speedup_2": ratio("engine_1", "engine_2"),
        "tiles": tiles,
    }


def time_bare(slide: SlideInput, place: Path, tiles: Sequence[int], *, workers: int) -> float:
    """Seconds for all tiles in a plain pool of processes."""
    context = get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_one_thread) as pool:
        list(pool.map(warm_up, [(slide, place)] * (4 * workers)))
        started = time.perf_counter()
        for _ in pool.map(partial(_detect_bare, slide, place), tiles):
            pass
        return time.perf_counter() - started


def _time_engine(slide: SlideInput, place: Path, plan: SlidePlan, *, folder: Path, workers: int) -> float:
    """Seconds for all tiles through Dask, each landed on disk."""
    stage = NucleiStage(folder)
    errors: list[BaseException] = []

    def follow(result: Any) -> list[Job]:
        if result.error:
            errors.append(result.error)
        return []

    with Engine(scheduler="processes", workers=workers) as engine:
        engine.run([Job(warm_up, ((slide, place),)) for _ in range(4 * workers)], follow)
        started = time.perf_counter()
        engine.run((Job(detect_tile, (slide, place, index, stage)) for index in plan.tiles), follow)
        seconds = time.perf_counter() - started
    if errors:
        raise errors[0]
    return seconds


def _one_thread() -> None:
    """Give a plain process as many threads as Dask gives its workers: one."""
    os.environ["OMP_NUM_THREADS"] = "1"


def warm_up(address: tuple[SlideInput, Path]) -> None:
    """Import, open and plan in a worker before the clock runs."""
    slide, place = address
    plan = load_plan(place)
    plane = open_plane(str(slide.path), slide.mpp, plan.asked_mpp, plan.fingerprint)
    find_nuclei(plane, plan, index=plan.tiles[0], seconds={})


def _detect_bare(slide: SlideInput, place: Path, index: int) -> int:
    """Read and detect one tile and forget it."""
    plan = load_plan(place)
    plane = open_plane(str(slide.path), slide.mpp, plan.asked_mpp, plan.fingerprint)
    return len(find_nuclei(plane, plan, index=index, seconds={}))


def benchmark_memory(
    folder: Path, *, sizes: tuple[int, int], progress: Callable[[int, int], None] | None = None
) -> dict[str, Any]:
    """Compare the peak memory of a worker on a small and on a large phantom slide.

    Both are scored whole, from file to report, by two worker processes.

    Parameters
    ----------
    folder : Path
        Where phantoms are painted; those that are there are used again.
    sizes : (int, int)
        Side of the small and of the large phantom, px at 0.25 um.
    progress : callable, optional
        Called with done and total while a phantom is painted.

    Returns
    -------
    dict
        ``peak_rss_mb`` of either, their ``ratio``, cells counted and seconds.
    """
    figures: dict[str, Any] = {}
    folder.mkdir(parents=True, exist_ok=True)
    for size in sizes:
        path = folder / f"phantom-{size}.tiff"
        if not path.exists():
            write_phantom(
                path, PhantomSettings(width=size, height=size, seed=1), progress=progress, workers=2
            )
        with tempfile.TemporaryDirectory(dir=folder) as out:
            options = RunOptions(Path(out) / "run", workers=2)
            run = run_cohort(Ki67(), find_slides([path]), options=options)
        headline = run.outcomes[0].to_json(None)
        figures[f"peak_rss_mb_{size}"] = round(run.peak_memory_mb)
        figures[f"cells_{size}"] = headline["denominator"]
        figures[f"seconds_{size}"] = round(run.wall_seconds, 1)
    small, large = (figures[f"peak_rss_mb_{size}"] for size in sizes)
    return figures | {"ratio": round(large / small, 3)}
