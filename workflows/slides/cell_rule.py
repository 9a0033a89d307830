"""How cells are judged from what was measured of them: the classes of a marker, and who belongs to which."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NOT_TUMOUR", "OTHER", "CellClass", "CellRule", "Role"]

NOT_TUMOUR = "not tumour"
"""Why cells that are not of the tumour do not count."""


class Role(StrEnum):
    """What a class of cells is to the headline score."""

    POSITIVE = "positive"
    """In its numerator and its denominator."""
    NEGATIVE = "negative"
    """In its denominator."""
    BESIDE = "beside"
    """Counted for another score of the slide."""
    OUT = "out"
    """Not counted."""


@dataclass(frozen=True, slots=True)
class CellClass:
    """One class that cells may be of."""

    name: str
    """As files, pictures and QuPath call it."""
    color: tuple[int, int, int]
    """Of its outlines, red green blue, 0-255."""
    role: Role


OTHER = CellClass("Other", (150, 150, 150), Role.OUT)
"""Cells that are not of the tumour and that no score counts."""


class CellRule(Protocol):
    """How the cells of a marker are judged; what it needs of a slide was fitted before."""

    @property
    def classes(self) -> tuple[CellClass, ...]:
        """Classes that it tells apart."""

    @property
    def threshold(self) -> float | None:
        """Strength from which a cell is positive, OD; None where a network decides."""

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the cell file that `strength` reads."""

    def judge(self, table: pa.Table) -> NDArray[np.uint8]:
        """Return the class of each landed cell, an index into ``classes``: (N,)."""

    def strength(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the highest threshold at which each cell still is positive, OD (base 10): (N,)."""
