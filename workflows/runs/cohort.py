"""Runs a workflow over a cohort: every slide attempted, every failure told, finished work never redone."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from ...errors import SettingsError, SlidelabError, UnreadableSlideError
from ...tiling import Engine, Job, JobResult
from ..report.cohort_report import Failure, SlideRow, write_cohort_report
from .inputs import SlideInput
from .run_folder import open_folder, result_hash, write_run_file
from .workflow import CohortRun, Progress, Receipt, RunOptions, SlideOutcome, Workflow

__all__ = ["run_cohort"]

logger = logging.getLogger(__name__)


def run_cohort(
    workflow: Workflow,
    slides: Sequence[SlideInput],
    *,
    options: RunOptions,
    progress: Progress | None = None,
) -> CohortRun:
    """Run a workflow over slides into a results folder.

    Parameters
    ----------
    workflow : Workflow
        The question.
    slides : sequence of SlideInput
        What to work on.
    options : RunOptions
        Folder and workers.
    progress : Progress, optional
        Told of every step, in this process.

    Returns
    -------
    CohortRun
        An outcome per slide, in the order given. A slide that fails is an outcome too, never an exception.

    Raises
    ------
    RunFolderError
        If the folder holds something else than an earlier run of the same workflow.
    SettingsError
        If there is nothing to run.
    """
    if not slides:
        raise SettingsError("there are no slides to run", "Name files, folders or a CSV list.")
    open_folder(workflow, options)
    tracker = _Tracker(workflow, options, progress)
    write_run_file(workflow, options, slides, status="running", extra={})
    with Engine(scheduler=options.scheduler, workers=options.workers) as engine:
        started = time.perf_counter()
        engine.run(map(tracker.first_job, slides), tracker.follow)
        wall_seconds, peak = time.perf_counter() - started, engine.peak_memory_mb()
    outcomes = tuple(tracker.outcomes[slide.slide_id] for slide in slides)
    run = CohortRun(options.out, outcomes, wall_seconds, peak)
    write_cohort_report(
        options.out,
        title=workflow.name,
        rows=[_summary_row(outcome) for outcome in outcomes],
        failures=[failure for outcome in outcomes for failure in outcome.failures],
    )
    extra = {
        "result_sha256": result_hash(options.out, outcomes),
        "wall_seconds": round(run.wall_seconds, 3),
        "peak_memory_mb": round(run.peak_memory_mb),
        "scheduler": engine.scheduler,
        "workers": engine.workers,
    }
    write_run_file(workflow, options, slides, status="done", extra=extra, outcomes=outcomes)
    return run


class _Tracker:
    """Follows each slide from preparation over its tiles to its report; lives in the driver only."""

    def __init__(self, workflow: Workflow, options: RunOptions, progress: Progress | None) -> None:
        self.workflow = workflow
        self.options = options
        self.progress = progress
        self.outcomes: dict[str, SlideOutcome] = {}
        self._waiting: dict[str, int] = {}

    def first_job(self, slide: SlideInput) -> Job:
        """Begin with a slide."""
        self.outcomes[slide.slide_id] = SlideOutcome(slide)
        return Job(self.workflow.prepare, (slide, self._folder(slide)), tag=partial(self._prepared, slide))

    def follow(self, result: JobResult) -> Iterable[Job]:
        """Hand a result to whoever waits for it; returns the next jobs."""
        next_jobs: Iterable[Job] = result.job.tag(result)
        return next_jobs

    def _prepared(self, slide: SlideInput, result: JobResult) -> Iterable[Job]:
        """A slide has its plan: queue its tiles."""
        if result.error is not None:
            self._fail(slide, "open", result.error)
            return self._end(slide)
        receipt: Receipt = result.value
        if self.progress:
            self.progress.planned(slide, tiles=receipt.tiles, todo=len(receipt.todo))
        if receipt.unseen_mm2 > 0:
            self._fail(slide, "tissue", _damaged(receipt.unseen_mm2))
        if receipt.record is not None:
            self.outcomes[slide.slide_id].record = receipt.record
            return self._end(slide)
        if not receipt.todo:
            return [self._finish_job(slide, receipt.place)]
        self._waiting[slide.slide_id] = len(receipt.todo)
        return self._tile_jobs(slide, receipt)

    def _tile_jobs(self, slide: SlideInput, receipt: Receipt) -> Iterator[Job]:
        """Make a job per tile."""
        for index in receipt.todo:
            yield Job(
                self.workflow.process,
                (slide, self._folder(slide), receipt.place, index),
                tag=partial(self._tile_done, slide, receipt.place, index),
            )

    def _tile_done(self, slide: SlideInput, place: Path, index: int, result: JobResult) -> Iterable[Job]:
        """Count a tile; after the last one the slide can be finished."""
        outcome = self.outcomes[slide.slide_id]
        if result.error is not None:
            self._fail(slide, f"tile {index}", result.error, tile=index)
        else:
            for phase, seconds in result.value.seconds.items():
                outcome.seconds[phase] = outcome.seconds.get(phase, 0.0) + seconds
            outcome.cells += result.value.cells
        if self.progress:
            self.progress.advanced(slide)
        self._waiting[slide.slide_id] -= 1
        return [] if self._waiting[slide.slide_id] else [self._finish_job(slide, place)]

    def _finish_job(self, slide: SlideInput, place: Path) -> Job:
        """Make the job that writes a slide's outputs."""
        failures = tuple(self.outcomes[slide.slide_id].failures)
        return Job(
            self.workflow.finish,
            (slide, self._folder(slide), place, failures),
            tag=partial(self._finished, slide),
        )

    def _finished(self, slide: SlideInput, result: JobResult) -> Iterable[Job]:
        """A slide has its outputs."""
        if result.error is not None:
            self._fail(slide, "report", result.error)
        else:
            self.outcomes[slide.slide_id].record = result.value
            if self.options.clean and not self.outcomes[slide.slide_id].failures:
                # The plan and the mark of a finished slide stay: they are small, and resuming needs them.
                for fragments in (self._folder(slide) / "work").glob("cells-*"):
                    shutil.rmtree(fragments, ignore_errors=True)
        return self._end(slide)

    def _end(self, slide: SlideInput) -> Iterable[Job]:
        """Close a slide."""
        if self.progress:
            self.progress.ended(self.outcomes[slide.slide_id])
        return []

    def _fail(self, slide: SlideInput, stage: str, error: BaseException, *, tile: int | None = None) -> None:
        """Note a failure with its reason and advice; the traceback goes to the log."""
        logger.debug("%s: %s failed", slide.slide_id, stage, exc_info=error)
        if isinstance(error, SlidelabError):
            reason, advice = error.what, error.advice
        else:
            reason = f"{type(error).__name__}: {error}".splitlines()[0]
            advice = "This looks like a fault of slidelab: run again with --debug and report what it prints."
        self.outcomes[slide.slide_id].failures.append(
            Failure(slide.slide_id, str(slide.path), stage, reason, advice, tile)
        )

    def _folder(self, slide: SlideInput) -> Path:
        """Return the slide's results folder."""
        return self.options.out / "slides" / slide.slide_id


def _damaged(area_mm2: float) -> UnreadableSlideError:
    """Describe parts of a slide that could not be looked at."""
    return UnreadableSlideError(
        f"{area_mm2:.3f} mm2 could not be read while looking for tissue",
        "copy the file again, or scan the slide again; the result covers the rest",
    )


def _summary_row(outcome: SlideOutcome) -> SlideRow:
    """Turn an outcome into its line of the summary."""
    return SlideRow.from_record(outcome.slide.slide_id, str(outcome.slide.path), outcome.record)
