"""Writes a slide's table of cells anew, as a pathologist corrected it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError
from .cell_edits import IGNORED, MISSING, CellEdits
from .cell_file import FURTHER_COLUMNS, CellFileWriter, read_cells
from .cell_rule import NOT_TUMOUR, CellClass, Role
from .tally import OUTSIDE_REGION

if TYPE_CHECKING:
    import pyarrow as pa

    from .tumour_region import TumourRegion

__all__ = ["BY_HAND", "DrawnRegion", "EditCounts", "correct_cells", "read_cell_ids"]

BY_HAND = "left out by hand"
"""Why cells that a person took out of the count do not count."""


@dataclass
class EditCounts:
    """How many cells were changed, and in which way."""

    deleted: int = 0
    """Removed."""
    added: int = 0
    """Drawn."""
    reclassified: int = 0
    """Given another class."""
    excluded: int = 0
    """Counted before, and left out by hand."""
    counted_again: int = 0
    """Left out before, and counted by hand."""
    outside_region: int = 0
    """Left out because they lie outside of a drawn region."""
    inside_region: int = 0
    """Counted because they lie in a drawn region, and did not in that of the run."""
    moves: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Cells given another class, by the class before and after."""

    @property
    def total(self) -> int:
        """All changes."""
        changed = self.deleted + self.added + self.reclassified + self.excluded + self.counted_again
        return changed + self.outside_region + self.inside_region


@dataclass(frozen=True)
class DrawnRegion:
    """Where cells count, by a person's outlines."""

    region: TumourRegion
    """The outline."""
    reason: str = OUTSIDE_REGION
    """Why cells outside do not count."""


def read_cell_ids(path: Path) -> NDArray[np.bytes_]:
    """Return the names of all cells in the order of their file: (N,) of 36 bytes."""
    parts = [batch["cell_id"].to_numpy(zero_copy_only=False) for batch in read_cells(path, ["cell_id"])]
    return np.concatenate(parts).astype("S36") if parts else np.empty(0, "S36")


def correct_cells(
    source: Path,
    target: Path,
    *,
    edits: CellEdits,
    classes: Sequence[CellClass],
    drawn: DrawnRegion | None = None,
    added: pa.Table | None = None,
    partial: bool = False,
) -> EditCounts:
    """Stream a table of cells into another one, with the edits made.

    Parameters
    ----------
    source, target : Path
        ``cells.parquet`` of the run, and the file to make.
    edits : CellEdits
        What the corrected file says of each cell.
    classes : sequence of CellClass
        Classes of the marker.
    drawn : DrawnRegion, optional
        Where cells count from now on.
    added : pyarrow.Table, optional
        Cells of ``edits.drawn``, in that order, from `measure_added_cells`.
    partial : bool
        Whether cells that the file lacks stay as they are.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    further = [name for name in FURTHER_COLUMNS if name in pq.read_schema(source).names]
    corrector = _Corrector(classes, drawn, partial)
    start = 0
    with CellFileWriter(target, probabilities=further) as writer:
        for batch in read_cells(source):
            codes = edits.codes[start : start + batch.num_rows]
            start += batch.num_rows
            kept = corrector.correct(pa.Table.from_batches([batch]), codes)
            if kept.num_rows:
                writer.write(kept)
        if added is not None:
            writer.write(corrector.add(added, [cell.code for cell in edits.drawn]))
    return corrector.counts


class _Corrector:
    """Makes the edits batch by batch, and counts them."""

    def __init__(self, classes: Sequence[CellClass], drawn: DrawnRegion | None, partial: bool) -> None:
        self.names = np.array([each.name for each in classes], object)
        self.codes = {each.name: code for code, each in enumerate(classes)}
        self.role_reasons = np.array(
            [NOT_TUMOUR if each.role is Role.OUT else "" for each in classes], object
        )
        self.drawn = drawn
        self.partial = partial
        self.counts = EditCounts()

    def correct(self, table: pa.Table, found: NDArray[np.int16]) -> pa.Table:
        """Return the cells that are left, with their new classes and reasons."""
        import pyarrow as pa

        label, reason = (_texts(table, name) for name in ("label", "excluded"))
        code = np.array([self._code(name) for name in label], np.int16)
        before = np.where((reason == "") | (reason == NOT_TUMOUR), code, IGNORED)
        changed = (found != MISSING) & (found != before)
        out = changed & (found == IGNORED)
        again = changed & (before == IGNORED)
        other = changed & (found >= 0) & ~again
        given = found >= 0
        self._count(before[other], found[other])
        self.counts.excluded += int(out.sum())
        self.counts.counted_again += int(again.sum())
        code = np.where(changed & given, found, code)
        label = np.where(changed & given, self.names[code], label)
        reason = np.where(out, BY_HAND, np.where(changed & given, self.role_reasons[code], reason))
        reason = self._by_region(table, code, reason)
        kept = np.full(len(found), True) if self.partial else found != MISSING
        self.counts.deleted += int((~kept).sum())
        return _with_columns(table, label, reason).filter(pa.array(kept))

    def add(self, table: pa.Table, codes: Sequence[int]) -> pa.Table:
        """Return drawn cells with their classes and reasons."""
        code = np.array(codes, np.int16)
        reason = self._by_region(table, code, self.role_reasons[code])
        self.counts.added += len(code)
        return _with_columns(table, self.names[code], reason)

    def _code(self, name: str) -> int:
        """Return the code of a class of the run's file."""
        try:
            return self.codes[name]
        except KeyError as error:
            raise InvalidTableError(
                f"cells.parquet has cells of class {name!r}, which the marker does not have",
                "Run the slide again with this version.",
            ) from error

    def _count(self, before: NDArray[np.int16], after: NDArray[np.int16]) -> None:
        """Note which classes became which."""
        self.counts.reclassified += len(before)
        pairs, numbers = np.unique(np.stack([before, after], axis=1), axis=0, return_counts=True)
        for (old, new), number in zip(pairs, numbers, strict=True):
            self.counts.moves[str(self.names[old]), str(self.names[new])] += int(number)

    def _by_region(
        self, table: pa.Table, code: NDArray[np.int16], reason: NDArray[np.object_]
    ) -> NDArray[np.object_]:
        """Return why cells do not count once a region was drawn; what spoils the slide comes before it."""
        if self.drawn is None or not len(code):
            return reason
        inside = self.drawn.region.covers(table["x"].to_numpy(), table["y"].to_numpy())
        out = ~inside & ((reason == "") | (reason == NOT_TUMOUR))
        back = inside & (reason == OUTSIDE_REGION) if self.drawn.reason == OUTSIDE_REGION else out & False
        self.counts.outside_region += int(out.sum())
        self.counts.inside_region += int(back.sum())
        return np.where(out, self.drawn.reason, np.where(back, self.role_reasons[code], reason))


def _texts(table: pa.Table, name: str) -> NDArray[np.object_]:
    """Return a column of texts."""
    return np.array(table[name].combine_chunks().dictionary_decode().to_pylist(), object)


def _with_columns(table: pa.Table, label: NDArray[np.object_], reason: NDArray[np.object_]) -> pa.Table:
    """Return cells with these classes and reasons."""
    import pyarrow as pa

    table = table.drop_columns([name for name in ("label", "excluded") if name in table.column_names])
    label_column, reason_column = (pa.array(column.tolist(), pa.string()) for column in (label, reason))
    return table.append_column("label", label_column).append_column("excluded", reason_column)
