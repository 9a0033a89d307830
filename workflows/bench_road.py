"""The whole road of a slide timed: plan, tiles on worker processes, report; for any workflow."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..tiling import Engine, Job
from .runs.inputs import SlideInput
from .runs.workflow import Workflow

__all__ = ["RoadTimes", "phase_shares", "time_road"]


@dataclass(frozen=True)
class RoadTimes:
    """What the road of one slide took."""

    plan: float
    """Seconds until the tiles are known."""
    tiles: float
    """Seconds for all tiles."""
    report: float
    """Seconds for what follows them."""
    summaries: tuple[Any, ...]
    """What came back from each tile: with ``seconds`` by phase and ``cells``."""
    record: dict[str, Any]
    """The slide's result, as in ``report.json``."""
    peak_rss_mb: float
    """Of a worker."""

    @property
    def total(self) -> float:
        """Seconds of the whole road."""
        return self.plan + self.tiles + self.report

    def parts(self, *, per: float = 1.0) -> dict[str, float]:
        """Return the seconds of the three parts, divided by an area in mm2."""
        return {"plan": self.plan / per, "tiles": self.tiles / per, "report": self.report / per}


def time_road(slide: SlideInput, *, workflow: Workflow, workers: int) -> RoadTimes:
    """Walk the road of one slide; only the start of the workers is left out.

    Parameters
    ----------
    slide : SlideInput
        The slide.
    workflow : Workflow
        With its networks.
    workers : int
        Processes, one thread each.
    """
    summaries: list[Any] = []
    errors: list[BaseException] = []

    def follow(result: Any) -> list[Job]:
        if result.error:
            errors.append(result.error)
        elif result.value is not None:
            summaries.append(result.value)
        return []

    with (
        tempfile.TemporaryDirectory() as scratch,
        Engine(scheduler="processes", workers=workers) as engine,
    ):
        folder = Path(scratch) / slide.slide_id
        engine.run([Job(load_workflow, (workflow,)) for _ in range(4 * workers)], follow)
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
    plan, work, report = (clock[at + 1] - clock[at] for at in range(3))
    return RoadTimes(plan, work, report, tuple(summaries), record, memory)


def phase_shares(summaries: Iterable[Any]) -> dict[str, float]:
    """Return what share of the tiles' time each phase took, as ``PHASE_share``; none without tiles."""
    spent: dict[str, float] = {}
    for summary in summaries:
        for phase, seconds in summary.seconds.items():
            spent[phase] = spent.get(phase, 0.0) + seconds
    total = sum(spent.values()) or 1.0
    return {f"{phase}_share": round(seconds / total, 3) for phase, seconds in sorted(spent.items())}


def load_workflow(workflow: Workflow) -> None:
    """Load the libraries of a worker: a pickled workflow brings them along."""
    import torch

    torch.set_num_threads(1)
