"""The one table that every detector returns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidTableError

__all__ = ["CellTable"]

Floats = NDArray[np.float32]


def _no_rings() -> NDArray[np.uint8]:
    """Stand in for rings that nobody read."""
    return np.empty((0, 0), np.uint8)


@dataclass(frozen=True)
class CellTable:
    """Cells with star-convex outlines, one row per cell, as columns.

    Coordinates are pixels of the image that the detector was given, continuous, with the centre of the
    first pixel at 0.5. Positions and outlines sit on a grid of 1/64 px, so adding a tile's whole-number
    origin is exact and a cell has the same coordinates from whichever tile it was seen.
    """

    x: NDArray[np.float64]
    """Centroid, px: (N,)."""
    y: NDArray[np.float64]
    """Centroid, px: (N,)."""
    outlines: NDArray[np.float64]
    """Vertices x, y of each outline in order, px, not closed: (N, V, 2); of the cell if there are rings."""
    area_um2: Floats
    """Area of the nucleus, um2: (N,)."""
    probability: Floats
    """Detector's confidence, 0-1: (N,)."""
    labels: NDArray[np.uint8]
    """Index into ``classes``: (N,)."""
    classes: tuple[str, ...] = ("Nucleus",)
    """Names of the classes."""
    measurements: Mapping[str, Floats] = field(default_factory=dict)
    """Further columns by name, each (N,), such as ``dab_od_mean`` in OD (base 10)."""
    rings: NDArray[np.uint8] = field(default_factory=_no_rings)
    """Density of the membrane at each vertex of the outline, hundredths of OD, 255 for more: (N, V or 0)."""

    def __post_init__(self) -> None:
        """Check shapes and labels at the door."""
        count = len(self.x)
        columns: list[NDArray[Any]] = [self.y, self.area_um2, self.probability, self.labels]
        columns += self.measurements.values()
        if any(column.shape != (count,) for column in columns):
            raise InvalidTableError(
                "the columns of a cell table have different lengths", "Give every column one value per cell."
            )
        if self.outlines.ndim != 3 or self.outlines.shape[0] != count or self.outlines.shape[2] != 2:
            raise InvalidTableError(
                f"outlines have shape {self.outlines.shape}, expected ({count}, vertices, 2)",
                "Give every cell the same number of vertices.",
            )
        if not self.rings.size and not self.rings.shape[-1]:
            object.__setattr__(self, "rings", np.empty((count, 0), np.uint8))
        if self.rings.shape not in ((count, 0), self.outlines.shape[:2]):
            raise InvalidTableError(
                f"rings have shape {self.rings.shape}, expected {self.outlines.shape[:2]}",
                "Give a ring one value for each vertex of its outline.",
            )
        if count and int(self.labels.max()) >= len(self.classes):
            raise InvalidTableError(
                f"label {int(self.labels.max())} has no name among {self.classes}",
                "Name every class that the labels use.",
            )

    def __len__(self) -> int:
        return len(self.x)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Self:
        """Return the chosen rows, by mask or by index."""
        return type(self)(
            x=self.x[rows],
            y=self.y[rows],
            outlines=self.outlines[rows],
            area_um2=self.area_um2[rows],
            probability=self.probability[rows],
            labels=self.labels[rows],
            classes=self.classes,
            measurements={name: column[rows] for name, column in self.measurements.items()},
            rings=self.rings[rows],
        )

    @classmethod
    def joined(cls, tables: Sequence[Self]) -> Self:
        """Return the rows of several tables, at least one, of the same detector."""
        first = tables[0]
        if len(tables) == 1:
            return first

        def column(name: str) -> Any:
            return np.concatenate([getattr(table, name) for table in tables])

        names = ("x", "y", "outlines", "area_um2", "probability", "labels", "rings")
        return cls(
            **{name: column(name) for name in names},
            classes=first.classes,
            measurements={
                name: np.concatenate([table.measurements[name] for table in tables])
                for name in first.measurements
            },
        )

    def placed(self, *, x: float, y: float, scale: float) -> Self:
        """Return the table in another frame: shift by (x, y) px, then multiply by ``scale``.

        Parameters
        ----------
        x, y : float
            Origin of this table's image in the plane, plane px.
        scale : float
            Level-0 px per plane px.
        """
        return type(self)(
            x=(self.x + x) * scale,
            y=(self.y + y) * scale,
            outlines=(self.outlines + np.array([x, y])) * scale,
            area_um2=self.area_um2,
            probability=self.probability,
            labels=self.labels,
            classes=self.classes,
            measurements=self.measurements,
            rings=self.rings,
        )
