"""What corrections by hand made of a slide's result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from ..quantify import Score
from .ihc.correction import show_score
from .slides.correct_cells import EditCounts

__all__ = ["Rescoring", "ScoreChange", "describe_edits"]

FORMAT = "slidelab.changes/1"
"""Name and version of the layout of ``changes.json``."""


@dataclass(frozen=True)
class ScoreChange:
    """One score of a slide before and after the corrections."""

    before: Score
    after: Score

    @property
    def difference(self) -> float | None:
        """After less before, None where one of them is not assessable."""
        if self.before.value is None or self.after.value is None:
            return None
        return self.after.value - self.before.value

    def to_json(self) -> dict[str, Any]:
        """Return plain types."""
        kept = ("value", "numerator", "denominator", "interval", "status", "category")
        sides = {
            name: {key: score.to_json()[key] for key in kept}
            for name, score in (("before", self.before), ("after", self.after))
        }
        return {
            "name": self.after.name,
            "unit": self.after.unit,
            "difference": self.difference,
            **sides,
        }


@dataclass(frozen=True)
class Rescoring:
    """What corrections by hand made of a slide's result."""

    slide: str
    """Id of the slide."""
    out: Path
    """Folder of the corrected results."""
    edits_file: str
    """Name of the corrected file."""
    edits_sha256: str
    """Its digest."""
    partial: bool
    """Whether cells that the file lacks were left as they are."""
    counts: EditCounts
    """Edits of each kind."""
    classes: Mapping[str, tuple[int, int]]
    """Counted cells of each class before and after."""
    excluded: Mapping[str, tuple[int, int]]
    """Cells left out for each reason before and after."""
    scores: tuple[ScoreChange, ...]
    """All scores, the headline first."""
    region_drawn: bool = False
    """Whether outlines of tissue were read."""

    @property
    def changed(self) -> bool:
        """Whether anything was changed."""
        return self.counts.total > 0

    def to_json(self) -> dict[str, Any]:
        """Return what ``changes.json`` holds."""
        moves = self.counts.moves
        counts = {each.name: getattr(self.counts, each.name) for each in fields(self.counts)}
        del counts["moves"]
        return {
            "format": FORMAT,
            "slide": self.slide,
            "edits": {"file": self.edits_file, "sha256": self.edits_sha256, "partial": self.partial},
            "changed": self.changed,
            "region_drawn": self.region_drawn,
            "counts": counts,
            "moves": [
                {"before": old, "after": new, "cells": number} for (old, new), number in sorted(moves.items())
            ],
            "classes": {name: _pair(pair) for name, pair in self.classes.items()},
            "excluded": {name: _pair(pair) for name, pair in self.excluded.items()},
            "scores": [score.to_json() for score in self.scores],
        }

    def to_text(self) -> str:
        """Return the same for people, a line each."""
        lines = [f"{self.slide}: {describe_edits(self.counts) or 'nothing was changed'}"]
        for score in self.scores:
            lines.append(
                f"  {score.after.name}: {show_score(score.before)} before, {show_score(score.after)} after"
            )
            if score.before.category != score.after.category:
                lines[-1] += (
                    f" ({score.before.category or 'no category'} -> {score.after.category or 'none'})"
                )
        return "\n".join([*lines, f"  report: {self.out / 'report.html'}"])


def describe_edits(counts: EditCounts) -> str:
    """Return the edits as words, "" where there are none."""
    told = (
        (counts.deleted, "deleted"),
        (counts.added, "added"),
        (counts.reclassified, "given another class"),
        (counts.excluded, "left out"),
        (counts.counted_again, "counted again"),
        (counts.outside_region, "left out by drawn outlines"),
        (counts.inside_region, "taken in by drawn outlines"),
    )
    parts = [f"{number:,} {words}" for number, words in told if number]
    if parts:
        first, *rest = parts
        number, _, words = first.partition(" ")
        parts = [f"{number} {'cell' if number == '1' else 'cells'} {words}", *rest]
    return ", ".join(parts)


def _pair(pair: tuple[int, int]) -> dict[str, int]:
    """Return two numbers with their names."""
    return {"before": pair[0], "after": pair[1]}
