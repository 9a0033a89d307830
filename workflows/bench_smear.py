"""How fast a smear is counted, from images to report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .bench_road import phase_shares, time_road
from .smear.inputs import find_smears
from .smear.workflow import SmearCount

__all__ = ["benchmark_smear"]


def benchmark_smear(
    source: str | Path, *, workflow: SmearCount, mpp: float | None = None, workers: int = 2
) -> dict[str, Any]:
    """Time the whole road of one smear; only the start of the workers is left out.

    Parameters
    ----------
    source : str or Path
        A folder of field images, or a slide.
    workflow : SmearCount
        With its networks.
    mpp : float, optional
        um per pixel; without it a scale that no image states is judged, which is part of the plan's time.
    workers : int
        Processes, one thread each.

    Returns
    -------
    dict
        ``s_per_mm2`` (wall seconds per mm2 of images) of the whole road, ``parts_per_minute``, seconds of
        its three parts ``plan``, ``tiles`` and ``report``; shares of the parts' time by phase;
        ``peak_rss_mb`` of a worker.
    """
    smear = find_smears([source], mpp=mpp)[0]
    times = time_road(smear, workflow=workflow, workers=workers)
    is_slide = times.record["smear"]["kind"] == "slide"
    area = float(times.record["areas_mm2"]["assessed" if is_slide else "smear"])
    networks = (workflow.reader, workflow.white, workflow.red)
    return {
        "workflow": workflow.name,
        "networks": ", ".join(each.name for each in networks if each is not None),
        "workers": workers,
        "parts": len(times.summaries),
        "cells": sum(summary.cells for summary in times.summaries),
        "mm2": round(area, 4),
        "s": round(times.total, 2),
        "s_per_mm2": round(times.total / area, 2),
        "parts_per_minute": round(60 * len(times.summaries) / times.total, 1),
        **{f"{name}_s": round(seconds, 2) for name, seconds in times.parts().items()},
        **phase_shares(times.summaries),
        "peak_rss_mb": round(times.peak_rss_mb),
    }
