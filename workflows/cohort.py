"""Runs a workflow over a cohort: every slide attempted, every failure told, finished work never redone."""

from __future__ import annotations

import hashlib
import json
import logging
import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ..errors import RunFolderError, SettingsError, SlidelabError, UnreadableSlideError
from ..tiling import Engine, Job, JobResult, write_json
from .cohort_report import Failure, SlideRow, write_cohort_report
from .inputs import SlideInput
from .provenance import describe_software

__all__ = ["CohortRun", "Progress", "RunOptions", "SlideOutcome", "Workflow", "run_cohort", "slides_to_retry"]

logger = logging.getLogger(__name__)

RUN_FILE = "run.json"


@dataclass(frozen=True)
class RunOptions:
    """Where a run goes and how it is executed; nothing here changes a number."""

    out: Path
    """Results folder."""
    scheduler: str = "processes"
    """``threads``, ``processes`` or the address of a Dask scheduler."""
    workers: int = 0
    """Local workers; 0 is one per core."""
    overwrite: bool = False
    """Throw earlier results of this folder away instead of resuming."""
    clean: bool = False
    """Remove the block fragments of a slide once its results are complete."""


@dataclass(frozen=True)
class Receipt:
    """What the preparation of a slide sends back."""

    place: Path
    """Folder of the plan."""
    tiles: int
    """Tiles with tissue."""
    todo: tuple[int, ...]
    """Those whose results are not on disk yet."""
    record: dict[str, Any] | None = None
    """The finished result of an earlier run with the same settings."""
    unseen_mm2: float = 0.0
    """Area that could not be read while looking for tissue, mm2."""


class Workflow(Protocol):
    """One clinical question. Its methods run on workers, so it must pickle."""

    @property
    def name(self) -> str:
        """Such as ``ki67``."""
        ...

    def settings(self) -> dict[str, Any]:
        """Return everything that shapes its numbers, as plain JSON values."""
        ...

    def prepare(self, slide: SlideInput, folder: Path) -> Receipt:
        """Look at the slide and say which tiles are to do."""
        ...

    def process(self, slide: SlideInput, folder: Path, place: Path, index: int) -> Any:
        """Work on one tile; returns something with ``seconds`` and ``cells``."""
        ...

    def finish(
        self, slide: SlideInput, folder: Path, place: Path, failures: tuple[Failure, ...]
    ) -> dict[str, Any]:
        """Write the slide's outputs and return its result record, as in ``report.json``."""
        ...


class Progress(Protocol):
    """Whoever wants to watch."""

    def planned(self, slide: SlideInput, *, tiles: int, todo: int) -> None:
        """A slide has been prepared."""

    def advanced(self, slide: SlideInput) -> None:
        """One tile is done, well or not."""

    def ended(self, outcome: SlideOutcome) -> None:
        """A slide is complete or has failed."""


@dataclass
class SlideOutcome:
    """What became of one slide."""

    slide: SlideInput
    record: dict[str, Any] | None = None
    """Content of its ``report.json``; None when the slide failed."""
    failures: list[Failure] = field(default_factory=list)
    """Everything that went wrong, also for a slide with a (partial) result."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Worker seconds by phase, of the tiles done in this run."""
    cells: int = 0
    """Cells found in this run."""

    @property
    def status(self) -> str:
        """The result's status, or ``FAILED``."""
        return str(self.record["status"]) if self.record else "FAILED"

    def to_json(self, out: Path | None) -> dict[str, Any]:
        """Return the line that ``--json`` prints: the headline score, or why there is none.

        Parameters
        ----------
        out : Path or None
            The run's folder, to name the report; None leaves it out.
        """
        headline: dict[str, Any] = self.record["scores"][0] if self.record else {}
        interval = headline.get("interval") or {}
        line = {
            "slide": self.slide.slide_id,
            "status": self.status,
            "score": headline.get("name"),
            "value": headline.get("value"),
            "low": interval.get("low"),
            "high": interval.get("high"),
            "numerator": headline.get("numerator"),
            "denominator": headline.get("denominator"),
            "unit": headline.get("unit"),
            "flags": list(self.record["flags"]) if self.record else [],
            "report": None,
        }
        if self.record and out is not None:
            line["report"] = str(out / "slides" / self.slide.slide_id / "report.html")
        if self.failures:
            line["failures"] = [asdict(failure) for failure in self.failures]
        return line


@dataclass(frozen=True)
class CohortRun:
    """A finished run."""

    out: Path
    outcomes: tuple[SlideOutcome, ...]
    wall_seconds: float
    """From the first slide's preparation to the last report, without the start of the workers."""
    peak_memory_mb: float
    """Greatest peak memory of any worker process, MB."""

    @property
    def exit_code(self) -> int:
        """0 when all slides were scored whole, 2 when some failed, 1 when none has a result."""
        if not any(outcome.record for outcome in self.outcomes):
            return 1
        return 2 if any(outcome.failures for outcome in self.outcomes) else 0


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
    _open_folder(workflow, options)
    tracker = _Tracker(workflow, options, progress)
    _write_run_file(workflow, options, slides, status="running", extra={})
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
        "result_sha256": _result_hash(options.out, outcomes),
        "wall_seconds": round(run.wall_seconds, 3),
        "peak_memory_mb": round(run.peak_memory_mb),
        "scheduler": engine.scheduler,
        "workers": engine.workers,
    }
    _write_run_file(workflow, options, slides, status="done", extra=extra, outcomes=outcomes)
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
                shutil.rmtree(self._folder(slide) / "work", ignore_errors=True)
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


def slides_to_retry(out: Path, *, mpp: float | None = None) -> list[SlideInput]:
    """List the slides of an earlier run, so that running them again takes up those that failed.

    Parameters
    ----------
    out : Path
        The earlier run's folder.
    mpp : float, optional
        um per level-0 pixel for the slides that failed; the others keep what they had.

    Returns
    -------
    list of SlideInput
        All slides of that run: those with a whole result are found finished and not worked on again.

    Raises
    ------
    RunFolderError
        If the folder holds no run.
    """
    path = out / RUN_FILE
    if not path.is_file():
        raise RunFolderError(
            f"{out} holds no earlier run", "Name the folder that an earlier run has written."
        )
    slides = []
    for row in json.loads(path.read_text(encoding="utf-8"))["slides"]:
        has_failed = row.get("failures", 1) > 0
        slides.append(SlideInput(Path(row["path"]), row["id"], mpp if has_failed and mpp else row["mpp"]))
    return slides


def _open_folder(workflow: Workflow, options: RunOptions) -> None:
    """Check that the results folder is new, empty or an earlier run of the same workflow."""
    out = options.out
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file", "Give a folder with --out.")
    run_file = out / RUN_FILE
    if run_file.is_file():
        earlier = json.loads(run_file.read_text(encoding="utf-8")).get("workflow")
        if earlier != workflow.name and not options.overwrite:
            raise RunFolderError(
                f"{out} holds a run of {earlier}, not of {workflow.name}",
                "Give another folder with --out, or --overwrite to throw that run away.",
            )
        if options.overwrite:
            shutil.rmtree(out / "slides", ignore_errors=True)
    elif out.is_dir() and any(out.iterdir()):
        raise RunFolderError(
            f"{out} is not empty and holds no slidelab run", "Give a new or empty folder with --out."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot make the folder {out}: {error.strerror}", "Give another --out."
        ) from error


def _write_run_file(
    workflow: Workflow,
    options: RunOptions,
    slides: Sequence[SlideInput],
    *,
    status: str,
    extra: dict[str, Any],
    outcomes: tuple[SlideOutcome, ...] = (),
) -> None:
    """Write ``run.json``: the only file of a run that holds times and machine facts."""
    by_id = {outcome.slide.slide_id: outcome for outcome in outcomes}
    rows = []
    for slide in slides:
        row: dict[str, Any] = {"id": slide.slide_id, "path": str(slide.path), "mpp": slide.mpp}
        if outcome := by_id.get(slide.slide_id):
            seconds = {phase: round(value, 3) for phase, value in outcome.seconds.items()}
            row |= {"status": outcome.status, "failures": len(outcome.failures), "seconds": seconds}
        rows.append(row)
    value = {
        "workflow": workflow.name,
        "status": status,
        "software": describe_software(),
        "settings": workflow.settings(),
        **extra,
        "slides": rows,
    }
    write_json(options.out / RUN_FILE, value)


def _summary_row(outcome: SlideOutcome) -> SlideRow:
    """Turn an outcome into its line of the summary."""
    return SlideRow.from_record(outcome.slide.slide_id, str(outcome.slide.path), outcome.record)


def _result_hash(out: Path, outcomes: Iterable[SlideOutcome]) -> str:
    """Digest of all results, equal for equal results whatever the workers and interruptions."""
    digest = hashlib.sha256()
    for outcome in sorted(outcomes, key=lambda each: each.slide.slide_id):
        for name in ("report.json", "cells.parquet"):
            path = out / "slides" / outcome.slide.slide_id / name
            if outcome.record and path.is_file():
                with path.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
