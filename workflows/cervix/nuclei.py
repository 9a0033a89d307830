"""The nuclei of a cytology slide as columns: what a tile lands, and what all tiles come to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["RAYS", "NucleusTable"]

Floats = NDArray[np.float32]

RAYS = 32
"""Directions in which nuclei and cells are measured."""
FLAT = ("nucleus_px", "rays_um", "chance")
"""Columns of several numbers a row."""


@dataclass(frozen=True, eq=False)
class NucleusTable:
    """One row per nucleus."""

    x: NDArray[np.float64]
    """Centre, level-0 px."""
    y: NDArray[np.float64]
    """Level-0 px."""
    area_um2: Floats
    """Of the nucleus."""
    found: Floats
    """How sure the detector is of it, 0-1."""
    od: Floats
    """Mean optical density of the nucleus in red."""
    contrast: Floats
    """How much denser it is than what lies around it."""
    steepness: Floats
    """How steeply that falls at its border, share per um: what focus it is in."""
    nucleus_px: Floats
    """(N, RAYS) border from the centre, level-0 px."""
    rays_um: Floats
    """(N, RAYS) from `trace_cells`, um; infinite where no glass was met."""
    looked: NDArray[np.bool_]
    """Whether the classifier saw it."""
    unknown: NDArray[np.bool_]
    """Whether that called it other or unknown."""
    chance: Floats
    """(N, K) probability of each class of the classifier; 0 where it did not look."""

    def __len__(self) -> int:
        return len(self.x)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> NucleusTable:
        """Return the chosen rows."""
        return NucleusTable(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})

    @classmethod
    def empty(cls, classes: int) -> NucleusTable:
        """Return a table without rows."""
        flat, none = np.empty(0, np.float32), np.empty(0, bool)
        rays = np.empty((0, RAYS), np.float32)
        place = np.empty(0, np.float64)
        chance = np.empty((0, classes), np.float32)
        return cls(place, place, flat, flat, flat, flat, flat, rays, rays, none, none, chance)

    @classmethod
    def joined(cls, parts: Sequence[NucleusTable], *, classes: int) -> NucleusTable:
        """Return the rows of all parts, from the top left on: the order of the parts does not matter."""
        some = [cls.empty(classes), *parts]
        whole = cls(
            **{each.name: np.concatenate([getattr(part, each.name) for part in some]) for each in fields(cls)}
        )
        return whole.select(np.lexsort((whole.x, whole.y)))

    def to_table(self) -> pa.Table:
        """Return what waits on disk for the finaliser."""
        import pyarrow as pa

        columns: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            columns[each.name] = (
                pa.FixedSizeListArray.from_arrays(pa.array(value.ravel()), value.shape[1])
                if each.name in FLAT
                else pa.array(value)
            )
        return pa.table(columns)

    @classmethod
    def from_table(cls, table: pa.Table) -> NucleusTable:
        """Read back what `to_table` wrote."""
        values = {}
        for each in fields(cls):
            column = table[each.name].combine_chunks()
            if each.name in FLAT:
                width = column.type.list_size
                flat = np.asarray(column.flatten().to_numpy(zero_copy_only=False))
                values[each.name] = flat.reshape(len(column), width)
            else:
                values[each.name] = np.asarray(column.to_numpy(zero_copy_only=False))
        return cls(**values)
