"""The mark of finished outputs: what lets a run go on without doing a slide twice."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...tiling import stage_key, write_json
from .provenance import describe_software
from .workflow import Receipt

__all__ = ["DoneMark"]

REPORTS = ("report.json", "report.html", "report.pdf")
"""What must not stand for another run's settings, should this one fail half-way."""


@dataclass(frozen=True)
class DoneMark:
    """A small file in a slide's work folder; its name carries all that the outputs depend on."""

    folder: Path
    """The slide's results."""
    facts: Mapping[str, Any]
    """All that the outputs depend on but the software, as plain JSON values."""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return (
            self.folder / "work" / f"done-{stage_key({'software': describe_software(), **self.facts})}.json"
        )

    def receipt(
        self,
        place: Path,
        *,
        tiles: Sequence[int],
        finished: Collection[int],
        unseen_mm2: float = 0.0,
        outputs: Sequence[str] = (),
    ) -> Receipt:
        """Say what is to do: nothing where the outputs are whole, else what has not landed.

        Outputs of other settings are removed then.

        Parameters
        ----------
        place : Path
            Folder of the plan.
        tiles : sequence of int
            Tiles of the plan.
        finished : collection of int
            Those whose results have landed.
        unseen_mm2 : float
            Area that could not be read while looking for tissue.
        outputs : sequence of str
            Files beside the reports that tell of the settings.
        """
        if self.path.is_file() and (self.folder / "report.json").is_file():
            record = json.loads(self.path.read_text(encoding="utf-8"))
            return Receipt(place, len(tiles), (), record, unseen_mm2)
        stale = [self.folder / name for name in (*REPORTS, *outputs)]
        for path in (*stale, *(self.folder / "work").glob("done-*.json")):
            path.unlink(missing_ok=True)
        todo = tuple(index for index in tiles if index not in finished)
        return Receipt(place, len(tiles), todo, None, unseen_mm2)

    def write(self, record: Mapping[str, Any]) -> None:
        """Say that the outputs are whole."""
        write_json(self.path, dict(record))
