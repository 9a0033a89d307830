"""How fast tissue is graded, from slide file to report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .bench_road import phase_shares, time_road
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
    times = time_road(slide, workflow=workflow, workers=workers)
    area = float(times.record["areas_mm2"]["tissue"])
    networks = (workflow.tissue, workflow.signet, workflow.nuclei)
    return {
        "workflow": workflow.name,
        "networks": ", ".join(each.name for each in networks if each is not None),
        "workers": workers,
        "tissue_mm2": round(area, 3),
        "s_per_mm2": round(times.total / area, 3),
        **{f"{name}_s_per_mm2": round(seconds, 3) for name, seconds in times.parts(per=area).items()},
        **phase_shares(times.summaries),
        "peak_rss_mb": round(times.peak_rss_mb),
    }
