"""What a person sees on the terminal: progress bars, or plain lines elsewhere, and the closing lines."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .inputs import SlideInput
from .workflow import CohortRun, Progress, SlideOutcome

__all__ = ["bar", "describe_profile", "describe_run", "watch"]


@contextmanager
def bar(text: str, *, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show one bar on standard error; gives the function to call with done and total.

    Off a terminal it writes a line at every tenth of the way.
    """
    if quiet or not sys.stderr.isatty():
        yield _lines(text, quiet=quiet)
        return
    with _rich_progress() as progress:
        task = progress.add_task(text, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)


@contextmanager
def watch(slides: int, *, quiet: bool = False) -> Iterator[Progress]:
    """Show the progress of a cohort on standard error, as bars on a terminal and as lines elsewhere."""
    if quiet or not sys.stderr.isatty():
        yield _PlainProgress(slides, quiet=quiet)
        return
    with _rich_progress() as progress:
        yield _RichProgress(slides, progress)


class _RichProgress:
    """A bar for the cohort and one for each slide at work."""

    def __init__(self, slides: int, progress: Any) -> None:
        self._progress = progress
        self._all = progress.add_task("slides", total=slides) if slides > 1 else None
        self._tasks: dict[str, Any] = {}
        if slides == 1:
            self._tasks["?"] = progress.add_task("finding tissue", total=None)

    def planned(self, slide: SlideInput, *, tiles: int, todo: int) -> None:
        """Open the slide's bar; tiles of an earlier run count as done."""
        self._drop("?")
        self._tasks[slide.slide_id] = self._progress.add_task(
            slide.slide_id[:40], total=tiles, completed=tiles - todo
        )

    def advanced(self, slide: SlideInput) -> None:
        """Move the slide's bar; after the last tile the report remains to be written."""
        task = self._tasks[slide.slide_id]
        self._progress.advance(task)
        if self._progress.tasks[self._progress.task_ids.index(task)].finished:
            self._progress.update(task, description=f"{slide.slide_id[:40]}: writing the report")

    def ended(self, outcome: SlideOutcome) -> None:
        """Close the slide's bar."""
        self._drop("?")
        self._drop(outcome.slide.slide_id)
        if self._all is not None:
            self._progress.advance(self._all)

    def _drop(self, name: str) -> None:
        """Remove a bar if it is there."""
        if name in self._tasks:
            self._progress.remove_task(self._tasks.pop(name))


class _PlainProgress:
    """A line per slide, for logs and pipes."""

    def __init__(self, slides: int, *, quiet: bool) -> None:
        self._slides = slides
        self._done = 0
        self._quiet = quiet

    def planned(self, slide: SlideInput, *, tiles: int, todo: int) -> None:
        """Say that a slide is ready."""
        self._say(f"{slide.slide_id}: {todo} of {tiles} tiles to do")

    def advanced(self, slide: SlideInput) -> None:
        """Say nothing: a line per tile would drown the rest."""

    def ended(self, outcome: SlideOutcome) -> None:
        """Say that a slide is complete."""
        self._done += 1
        self._say(f"{outcome.slide.slide_id}: {outcome.status} ({self._done} of {self._slides} slides)")

    def _say(self, text: str) -> None:
        """Write a line to standard error."""
        if not self._quiet:
            sys.stderr.write(text + "\n")


def describe_run(run: CohortRun) -> str:
    """Return a line per slide and where the results are."""
    lines = [_slide_line(outcome) for outcome in run.outcomes]
    first = next((outcome for outcome in run.outcomes if outcome.record), None)
    if first is not None:
        lines.append(f"report: {run.out / 'slides' / first.slide.slide_id / 'report.html'}")
    if len(run.outcomes) > 1:
        lines.append(f"cohort: {run.out / 'cohort.html'}")
    failed = sum(bool(outcome.failures) for outcome in run.outcomes)
    if failed:
        lines.append(f"{failed} of {len(run.outcomes)} slides with failures: {run.out / 'failures.csv'}")
    lines.append("Research use only.")
    return "\n".join(lines)


def _slide_line(outcome: SlideOutcome) -> str:
    """One line: the headline, or why there is none."""
    name = outcome.slide.slide_id
    if outcome.record is None:
        failure = outcome.failures[0]
        return f"{name}: FAILED: {failure.reason}\n   do: {failure.advice}"
    row = outcome.to_json(None)
    if row["value"] is None:
        return f"{name}: {row['status']}"
    interval = f" (95 % CI {row['low']:.1f}-{row['high']:.1f})" if row["low"] is not None else ""
    part, whole = f"{row['numerator']:,}", f"{row['denominator']:,}"
    evidence = outcome.record["words"].get("evidence") or "{part} positive of {whole} nuclei"
    counts = evidence.format(part=part, whole=whole)
    if row["unit"] == "rank":  # which stands for a class and says nothing by itself
        return f"{name}: {row['score']}: {counts}, {row['status']}"
    number = f"{row['value']:.1f} {row['unit']}".rstrip()
    return f"{name}: {row['score']} {number}{interval}, {counts}, {row['status']}"


def describe_profile(run: CohortRun) -> str:
    """Return where the workers' time went, and the phase that limits."""
    total: dict[str, float] = {}
    for outcome in run.outcomes:
        for phase, seconds in outcome.seconds.items():
            total[phase] = total.get(phase, 0.0) + seconds
    spent = sum(total.values())
    if not spent:
        return "profile: no tile was worked on in this run"
    shares = ", ".join(
        f"{phase} {seconds:.1f} s ({100 * seconds / spent:.0f} %)" for phase, seconds in total.items()
    )
    cells = sum(outcome.cells for outcome in run.outcomes)
    slowest = max(total, key=lambda phase: total[phase])
    rate = f"{cells / run.wall_seconds:,.0f} cells/s over " if cells else ""
    return f"profile: {shares}; bottleneck: {slowest}; {rate}{run.wall_seconds:.1f} s"


@contextmanager
def training_bar(steps: int, *, quiet: bool) -> Iterator[Callable[[int, dict[str, float]], None]]:
    """Show how far a training has come and its losses; yields what the training calls after each step."""
    mean: dict[str, float] = {}
    with bar("training", quiet=quiet) as advance:

        def report(step: int, losses: dict[str, float]) -> None:
            for name, value in losses.items():
                mean[name] = 0.98 * mean.get(name, value) + 0.02 * value
            advance(step, steps)
            if step % 500 == 0 and not quiet:
                shown = ", ".join(f"{name} {value:.3f}" for name, value in mean.items())
                sys.stderr.write(f"step {step}: {shown}\n")

        yield report


def _lines(text: str, *, quiet: bool) -> Callable[[int, int], None]:
    """Return a progress function that writes a line at every tenth."""
    tenths = [-1]

    def advance(done: int, total: int) -> None:
        tenth = 10 * done // max(1, total)
        if tenth > tenths[0] and not quiet:
            sys.stderr.write(f"{text}: {10 * tenth} %\n")
        tenths[0] = max(tenths[0], tenth)

    return advance


def _rich_progress() -> Any:
    """Return rich's progress display on standard error."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )
