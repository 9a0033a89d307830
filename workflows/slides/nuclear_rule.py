"""Rules of nuclear markers: which nuclei count, which are positive, and how strongly."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...quantify import IntensityBins, intensity_levels
from .cell_rule import OTHER, CellClass, Role

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["NEGATIVE", "POSITIVE", "IntensityRule", "NuclearRule"]

POSITIVE = CellClass("Positive", (250, 62, 62), Role.POSITIVE)
NEGATIVE = CellClass("Negative", (112, 112, 225), Role.NEGATIVE)
"""QuPath's own names and colours of the two classes that drive its counts."""
INTENSITIES = (
    NEGATIVE,
    CellClass("1+", (255, 215, 0), Role.POSITIVE),
    CellClass("2+", (225, 150, 50), Role.POSITIVE),
    CellClass("3+", (200, 50, 50), Role.POSITIVE),
)
"""QuPath's names of the intensity classes, which its H-score reads."""


@dataclass(frozen=True)
class NuclearRule:
    """A nucleus is positive or negative."""

    positive_od: float | None
    """Least mean DAB density of a positive nucleus, OD (base 10); None: the network's class decides."""
    tumour_threshold: float | None
    """Least probability of tumour of a nucleus that counts; None: all count."""

    classes = (POSITIVE, NEGATIVE, OTHER)
    columns = ("dab_od_mean",)

    @property
    def threshold(self) -> float | None:
        """Density from which a nucleus is positive."""
        return self.positive_od

    def judge(self, table: pa.Table) -> NDArray[np.uint8]:
        """Judge nuclei by ``dab_od_mean`` or ``positive_probability``, and ``tumour_probability``."""
        code = np.where(_is_tumour(table, self.tumour_threshold), ~_is_positive(table, self.positive_od), 2)
        return code.astype(np.uint8)

    def strength(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the mean DAB density of nuclei."""
        return np.asarray(table["dab_od_mean"].to_numpy())


@dataclass(frozen=True)
class IntensityRule:
    """A nucleus is negative, or weakly, moderately or strongly positive."""

    bins: IntensityBins
    """Densities from which a nucleus is weak, moderate or strong."""
    tumour_threshold: float | None
    """Least probability of tumour of a nucleus that counts; None: all count."""

    classes = (*INTENSITIES, OTHER)
    columns = ("dab_od_mean",)

    @property
    def threshold(self) -> float | None:
        """Density from which a nucleus is positive."""
        return self.bins.weak

    def judge(self, table: pa.Table) -> NDArray[np.uint8]:
        """Grade nuclei by ``dab_od_mean``."""
        level = intensity_levels(table["dab_od_mean"].to_numpy(), bins=self.bins)
        code = np.where(_is_tumour(table, self.tumour_threshold), level, len(INTENSITIES))
        return code.astype(np.uint8)

    def strength(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the mean DAB density of nuclei."""
        return np.asarray(table["dab_od_mean"].to_numpy())


def _is_positive(table: pa.Table, least: float | None) -> NDArray[np.bool_]:
    """Tell which nuclei are positive: (N,)."""
    if least is None:
        return np.asarray(table["positive_probability"].to_numpy() >= np.float32(0.5))
    return np.asarray(table["dab_od_mean"].to_numpy() >= np.float32(least))


def _is_tumour(table: pa.Table, least: float | None) -> NDArray[np.bool_]:
    """Tell which nuclei are of the tumour, as far as the detector can: (N,)."""
    if least is None:
        return np.ones(table.num_rows, bool)
    return np.asarray(table["tumour_probability"].to_numpy() >= np.float32(least))
