"""What a corrected report says beyond one that was made by the software alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ...quantify import Flag, Score, SlideResult, round_half_up

__all__ = ["Correction", "show_score"]


@dataclass(frozen=True)
class Correction:
    """A report that is made again from cells that a person has looked through."""

    settings: Mapping[str, Any]
    """Settings of the run, as its report printed them."""
    before: tuple[Score, ...] = ()
    """Scores of the run."""
    changes: str = ""
    """What was changed, as "12 cells deleted, 3 added"; empty: nothing was."""
    edits: Mapping[str, str] = field(default_factory=dict)
    """Name and digest of the corrected file."""

    @property
    def flags(self) -> tuple[str, ...]:
        """The warning that a person had a hand in the result."""
        return (Flag.CORRECTED_BY_HAND,) if self.changes else ()

    def told_settings(self) -> dict[str, Any]:
        """Return the settings that the report prints."""
        return {**self.settings, **({"edits": dict(self.edits)} if self.changes else {})}

    def sentences(self, result: SlideResult) -> tuple[str, ...]:
        """Say what was changed and what it made of the headline."""
        if not self.changes:
            return ()
        before = {score.name: score for score in self.before}.get(result.headline.name)
        text = f"Corrected by hand: {self.changes}"
        if before is not None:
            text += (
                f"; {result.headline.name} {show_score(before)} before, {show_score(result.headline)} after"
            )
        return (f"{text}.",)


def show_score(score: Score) -> str:
    """Return a score's value to one decimal, as reports show it: small corrections must be seen."""
    if score.value is None:
        return "not assessable"
    return f"{round_half_up(score.value, places=1)} {score.unit}".rstrip()
