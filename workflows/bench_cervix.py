"""How fast cervical slides are screened, from slide file to report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .bench_road import phase_shares, time_road
from .cervix.cohort import find_stacks
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
    times = time_road(slide, workflow=workflow, workers=workers)
    area = float(times.record["areas_mm2"]["scanned"])
    per_mm2 = times.total / area
    return {
        "workflow": workflow.name,
        "models": f"{workflow.detector.name}, {workflow.calls.name}",
        "workers": workers,
        "scanned_mm2": round(area, 3),
        "nuclei_per_mm2": round(sum(each.cells for each in times.summaries) / area),
        "named_per_mm2": round(times.record["cervix"]["looked"] / area),
        "s_per_mm2": round(per_mm2, 3),
        "minutes_per_225_mm2": round(per_mm2 * SLIDE_MM2 / 60, 2),
        **{f"{name}_s_per_mm2": round(seconds, 3) for name, seconds in times.parts(per=area).items()},
        **phase_shares(times.summaries),
        "peak_rss_mb": round(times.peak_rss_mb),
    }
