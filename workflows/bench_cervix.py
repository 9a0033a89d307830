"""How fast cervical slides are screened, from slide file to report."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from ..tiling import Engine, Job
from .cervix.cohort import find_stacks
from .cervix.tile import TileSummary
from .cervix.workflow import CervicalScreening

__all__ = ["benchmark_screening"]

SLIDE_MM2 = 225.0
"""A square of 15 mm: what is said of a whole preparation."""


def benchmark_screening(
    path: Path, *, workflow: CervicalScreening, mpp: float | None = None, workers: int = 2
) -> dict[str, Any]:
    """Time the whole road of one slide; only the start of the workers is left out.

    Parameters
    ----------
    path : Path
        The slide.
    workflow : CervicalScreening
        With its networks.
    mpp : float, optional
        um per level-0 pixel, in place of what the file says.
    workers : int
        Processes, one thread each.

    Returns
    -------
    dict
        ``s_per_mm2`` (wall seconds per mm2 of scanned area) of the whole road and of its three parts:
        ``plan``, ``tiles`` and ``report``; ``minutes_per_225_mm2``; nuclei and named cells per mm2; shares of
        the tiles' time by phase; ``peak_rss_mb`` of a worker.
    """
    (slide,) = find_stacks([path], mpp=mpp)
    summaries: list[TileSummary] = []
    errors: list[BaseException] = []

    def follow(result: Any) -> list[Job]:
        if result.error:
            errors.append(result.error)
        elif isinstance(result.value, TileSummary):
            summaries.append(result.value)
        return []

    with (
        tempfile.TemporaryDirectory() as scratch,
        Engine(scheduler="processes", workers=workers) as engine,
    ):
        folder = Path(scratch) / slide.slide_id
        engine.run([Job(load_screening, (workflow,)) for _ in range(4 * workers)], follow)
        clock = [time.perf_counter()]
        receipt = workflow.prepare(slide, folder)
        clock.append(time.perf_counter())
        tiles = (Job(workflow.process, (slide, folder, receipt.place, index)) for index in receipt.todo)
        engine.run(tiles, follow)
        clock.append(time.perf_counter())
        memory = engine.peak_memory_mb()
        if errors:
            raise errors[0]
        record = workflow.finish(slide, folder, receipt.place, ())
        clock.append(time.perf_counter())
    area = float(record["areas_mm2"]["scanned"])
    spent: dict[str, float] = {}
    for summary in summaries:
        for phase, seconds in summary.seconds.items():
            spent[phase] = spent.get(phase, 0.0) + seconds
    total = sum(spent.values()) or 1.0
    parts = {name: clock[at + 1] - clock[at] for at, name in enumerate(("plan", "tiles", "report"))}
    per_mm2 = (clock[-1] - clock[0]) / area
    return {
        "workflow": workflow.name,
        "models": f"{workflow.detector.name}, {workflow.calls.name}",
        "workers": workers,
        "scanned_mm2": round(area, 3),
        "nuclei_per_mm2": round(sum(each.cells for each in summaries) / area),
        "named_per_mm2": round(record["cervix"]["looked"] / area),
        "s_per_mm2": round(per_mm2, 3),
        "minutes_per_225_mm2": round(per_mm2 * SLIDE_MM2 / 60, 2),
        **{f"{name}_s_per_mm2": round(seconds / area, 3) for name, seconds in parts.items()},
        **{f"{phase}_share": round(seconds / total, 3) for phase, seconds in sorted(spent.items())},
        "peak_rss_mb": round(memory),
    }


def load_screening(workflow: CervicalScreening) -> None:
    """Load the libraries of a worker: a pickled workflow brings them along."""
    import torch

    torch.set_num_threads(1)
