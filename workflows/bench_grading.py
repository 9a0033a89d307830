"""How fast tissue is graded, from slide file to report."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from ..tiling import Engine, Job
from .colorectal.tile import TileSummary
from .colorectal.workflow import ColorectalGrading
from .runs.inputs import find_slides

__all__ = ["benchmark_grading"]


def benchmark_grading(
    path: Path, *, workflow: ColorectalGrading, mpp: float | None = None, workers: int = 2
) -> dict[str, Any]:
    """Time the whole road of one slide; only the start of the workers is left out.

    Parameters
    ----------
    path : Path
        The slide.
    workflow : ColorectalGrading
        With its networks.
    mpp : float, optional
        um per level-0 pixel, in place of what the file says.
    workers : int
        Processes, one thread each.

    Returns
    -------
    dict
        ``s_per_mm2`` (wall seconds per mm2 of tissue) of the whole road and of its three parts: ``plan``,
        ``tiles`` and ``report``; shares of the tiles' time by phase; ``peak_rss_mb`` of a worker.
    """
    (slide,) = find_slides([path], mpp=mpp)
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
        engine.run([Job(load_grading, (workflow,)) for _ in range(4 * workers)], follow)
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
    area = float(record["areas_mm2"]["tissue"])
    spent: dict[str, float] = {}
    for summary in summaries:
        for phase, seconds in summary.seconds.items():
            spent[phase] = spent.get(phase, 0.0) + seconds
    total = sum(spent.values())
    networks = (workflow.tissue, workflow.signet, workflow.nuclei)
    parts = {name: clock[at + 1] - clock[at] for at, name in enumerate(("plan", "tiles", "report"))}
    return {
        "workflow": workflow.name,
        "networks": ", ".join(each.name for each in networks if each is not None),
        "workers": workers,
        "tissue_mm2": round(area, 3),
        "s_per_mm2": round((clock[-1] - clock[0]) / area, 3),
        **{f"{name}_s_per_mm2": round(seconds / area, 3) for name, seconds in parts.items()},
        **{f"{phase}_share": round(seconds / total, 3) for phase, seconds in sorted(spent.items())},
        "peak_rss_mb": round(memory),
    }


def load_grading(workflow: ColorectalGrading) -> None:
    """Load the libraries of a worker: a pickled workflow brings them along."""
    import torch

    torch.set_num_threads(1)
