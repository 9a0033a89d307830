"""Rules of immune cells: kinds of nuclei on H&E slides, stained cells on H-DAB slides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from .cell_file import CLASS_PROBABILITIES
from .cell_rule import CellClass, Role
from .membrane_rule import CYTOPLASM

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["LYMPHOCYTE", "TUMOUR", "HeRule", "StainedCellRule"]

TUMOUR = CellClass("Tumor", (205, 60, 150), Role.NEGATIVE)
LYMPHOCYTE = CellClass("Immune cells", (20, 150, 70), Role.POSITIVE)
STROMA = CellClass("Stroma", (240, 150, 30), Role.NEGATIVE)
REST = CellClass("Other nuclei", (70, 120, 200), Role.BESIDE)
"""QuPath's names where it has one. Immune cells are lymphocytes and plasma cells; the rest are macrophages,
mitoses, dying cells and what the network could not tell."""


@dataclass(frozen=True)
class HeRule:
    """A nucleus of an H&E slide is of the kind that the network finds most probable."""

    classes = (TUMOUR, LYMPHOCYTE, STROMA, REST)
    columns = CLASS_PROBABILITIES[:1]
    threshold = None

    def judge(self, table: pa.Table) -> NDArray[np.uint8]:
        """Return the class of each nucleus."""
        told = np.stack([table[name].to_numpy() for name in CLASS_PROBABILITIES], axis=1)
        rest = 1 - told.sum(axis=1, keepdims=True)
        return np.asarray(np.concatenate([told, rest], axis=1).argmax(axis=1), np.uint8)

    def strength(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return 0 for every nucleus: nothing is brown here."""
        return np.zeros(table.num_rows, np.float32)


@dataclass(frozen=True)
class StainedCellRule:
    """A cell is stained in its nucleus, or in the rim around it."""

    marker: str
    """Name of the marker, such as CD8."""
    least_od: float
    """Least mean DAB density of nucleus or rim of a stained cell, OD (base 10)."""

    columns = ("dab_od_mean", CYTOPLASM)

    @property
    def classes(self) -> tuple[CellClass, ...]:
        """Stained cells and all others."""
        return (
            CellClass(f"{self.marker}+", (200, 30, 30), Role.POSITIVE),
            CellClass(f"{self.marker}-", (112, 112, 225), Role.NEGATIVE),
        )

    @property
    def threshold(self) -> float | None:
        """Density from which a cell is stained."""
        return self.least_od

    def judge(self, table: pa.Table) -> NDArray[np.uint8]:
        """Return 0 for stained cells and 1 for others."""
        return (self.strength(table) < np.float32(self.least_od)).astype(np.uint8)

    def strength(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the higher of the mean densities of nucleus and rim."""
        return np.asarray(np.maximum(table["dab_od_mean"].to_numpy(), table[CYTOPLASM].to_numpy()))
