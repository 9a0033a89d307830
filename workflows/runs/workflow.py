"""The nouns of a run: what a workflow must offer, what a slide comes to, and who may watch."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..report.cohort_report import Failure
from .inputs import SlideInput

__all__ = ["CohortRun", "Progress", "Receipt", "RunOptions", "SlideOutcome", "Workflow"]


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
