"""How fast cells are found and written, phase by phase, and what the road adds to the bare detector."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from ..tiling import Engine, Job
from .bench import time_bare, warm_up
from .bench_road import phase_shares
from .ihc.workflow import IhcWorkflow
from .runs.inputs import SlideInput, find_slides
from .slides.nuclei import BlockSummary, NucleiStage, detect_tile
from .slides.plan import SlidePlan, load_plan

__all__ = ["benchmark_cells"]


def benchmark_cells(
    path: Path, *, workflow: IhcWorkflow, mpp: float | None = None, workers: int = 2
) -> dict[str, Any]:
    """Time the road from slide file to polygons and measurements on disk.

    Start of the workers, loading of the network, tissue and quality are left out; decoding, unmixing,
    network, outlines, measurements and writing are in. Bare is the same function over the same tiles in
    as many plain processes, nothing written.

    Parameters
    ----------
    path : Path
        The slide.
    workflow : IhcWorkflow
        The marker: membranes take longer than nuclei. Its detector finds the cells.
    mpp : float, optional
        um per level-0 pixel, in place of what the file says.
    workers : int
        Processes; threads of one process when the detector runs on a card.

    Returns
    -------
    dict
        ``s_per_mm2`` (wall seconds per mm2 of tissue), ``cells_per_s``, shares of the workers' time by
        phase, ``road_of_bare`` (throughput through the road / bare), ``peak_rss_mb`` of a worker.
    """
    (slide,) = find_slides([path], mpp=mpp)
    with tempfile.TemporaryDirectory() as scratch:
        place = workflow.prepare(slide, Path(scratch) / "plan").place
        plan = load_plan(place)
        bare = time_bare(slide, place, plan.tiles, workers=workers)
        wall, summaries, memory = _time_road(slide, place, plan, folder=Path(scratch), workers=workers)
        area = plan.areas_mm2()["tissue"]
    cells = sum(summary.cells for summary in summaries)
    return {
        "workflow": workflow.name,
        "detector": workflow.detector.name,
        "workers": workers,
        "tissue_mm2": round(area, 3),
        "cells": cells,
        "seconds": round(wall, 2),
        "s_per_mm2": round(wall / area, 3),
        "cells_per_s": round(cells / wall),
        **phase_shares(summaries),
        "road_of_bare": round(bare / wall, 3),
        "peak_rss_mb": round(memory),
    }


def _time_road(
    slide: SlideInput, place: Path, plan: SlidePlan, *, folder: Path, workers: int
) -> tuple[float, list[BlockSummary], float]:
    """Seconds for all tiles through Dask, each landed on disk; their summaries; peak MB of a worker."""
    stage, summaries, errors = NucleiStage(folder), [], []

    def follow(result: Any) -> list[Job]:
        if result.error:
            errors.append(result.error)
        elif isinstance(result.value, BlockSummary):
            summaries.append(result.value)
        return []

    with Engine(scheduler="processes", workers=workers) as engine:
        engine.run([Job(warm_up, ((slide, place),)) for _ in range(4 * workers)], follow)
        started = time.perf_counter()
        engine.run((Job(detect_tile, (slide, place, index, stage)) for index in plan.tiles), follow)
        wall = time.perf_counter() - started
        memory = engine.peak_memory_mb()
    if errors:
        raise errors[0]
    return wall, summaries, memory
