"""How fast a smear is counted, from images to report."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from ..tiling import Engine, Job
from .smear.inputs import find_smears
from .smear.look import PartSummary
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
        its three parts ``plan``, ``parts`` and ``report``; shares of the parts' time by phase;
        ``peak_rss_mb`` of a worker.
    """
    smear = find_smears([source], mpp=mpp)[0]
    summaries: list[PartSummary] = []
    errors: list[BaseException] = []

    def follow(result: Any) -> list[Job]:
        if result.error:
            errors.append(result.error)
        elif isinstance(result.value, PartSummary):
            summaries.append(result.value)
        return []

    with (
        tempfile.TemporaryDirectory() as scratch,
        Engine(scheduler="processes", workers=workers) as engine,
    ):
        folder = Path(scratch) / smear.slide_id
        engine.run([Job(load_smear, (workflow,)) for _ in range(4 * workers)], follow)
        clock = [time.perf_counter()]
        receipt = workflow.prepare(smear, folder)
        clock.append(time.perf_counter())
        jobs = (Job(workflow.process, (smear, folder, receipt.place, index)) for index in receipt.todo)
        engine.run(jobs, follow)
        clock.append(time.perf_counter())
        memory = engine.peak_memory_mb()
        if errors:
            raise errors[0]
        record = workflow.finish(smear, folder, receipt.place, ())
        clock.append(time.perf_counter())
    area = float(record["areas_mm2"]["assessed" if record["smear"]["kind"] == "slide" else "smear"])
    spent: dict[str, float] = {}
    for summary in summaries:
        for phase, seconds in summary.seconds.items():
            spent[phase] = spent.get(phase, 0.0) + seconds
    total = sum(spent.values())
    wall = clock[-1] - clock[0]
    names = ("plan", "parts", "report")
    return {
        "workflow": workflow.name,
        "networks": ", ".join(
            each.name for each in (workflow.reader, workflow.white, workflow.red) if each is not None
        ),
        "workers": workers,
        "parts": len(summaries),
        "cells": sum(summary.cells for summary in summaries),
        "mm2": round(area, 4),
        "s": round(wall, 2),
        "s_per_mm2": round(wall / area, 2),
        "parts_per_minute": round(60 * len(summaries) / wall, 1),
        **{f"{name}_s": round(clock[at + 1] - clock[at], 2) for at, name in enumerate(names)},
        **{f"{phase}_share": round(seconds / total, 3) for phase, seconds in sorted(spent.items())},
        "peak_rss_mb": round(memory),
    }


def load_smear(workflow: SmearCount) -> None:
    """Load the libraries of a worker: a pickled workflow brings them along."""
    import torch

    torch.set_num_threads(1)
