"""Membrane stain of cells, judged from the ring of densities around each: how complete, how strong."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .intensity import START_BINS, IntensityBins, intensity_levels, settled_od

COMPLETE_SHARE = 0.9
"""Least share of the directions stained in a complete membrane: a project rule, as none is published."""
SOME_SHARE = 0.1
"""Least share stained in a membrane with any stain: a project rule. Less is a neighbour's or a speck."""
MEMBRANE_CONTRAST_OD = 0.1
"""By how much a membrane must exceed the cell's cytoplasm, OD: a project rule. An evenly brown cell has no
membrane stain, however dark it is."""


class MembraneClass(IntEnum):
    """What a cell's membrane shows; each cell has exactly one."""

    NO = 0
    """None, or cytoplasm only."""
    IF = 1
    """Incomplete, faint."""
    IM = 2
    """Incomplete, moderate or intense."""
    CW = 3
    """Complete, weak or moderate."""
    CI = 4
    """Complete, intense."""


@dataclass(frozen=True, slots=True, eq=False)
class MembraneJudgement:
    """The membranes of N cells."""

    completeness: NDArray[np.float32]
    """(N,) share of the directions that are stained, 0-1."""
    intensity_od: NDArray[np.float32]
    """(N,) mean density of the stained directions; 0 where none is."""
    levels: NDArray[np.int8]
    """(N,) strength of that mean: 0 none, 1 faint, 2 moderate, 3 intense; 0 wherever the class is NO."""
    classes: NDArray[np.int8]
    """(N,) values of ``MembraneClass``."""

    @property
    def stained(self) -> NDArray[np.bool_]:
        """(N,) whether the membrane is stained, in part or whole: such a tumour cell is PD-L1 positive."""
        stained: NDArray[np.bool_] = self.classes != MembraneClass.NO
        return stained

    @property
    def names(self) -> list[str]:
        """(N,) names of the classes, such as "CI"."""
        return [MembraneClass(int(code)).name for code in self.classes]


def judge_membranes(
    membrane_od: ArrayLike,
    cytoplasm_od: ArrayLike,
    *,
    bins: IntensityBins = START_BINS,
    complete_share: float = COMPLETE_SHARE,
    some_share: float = SOME_SHARE,
    contrast: float = MEMBRANE_CONTRAST_OD,
) -> MembraneJudgement:
    """Judge how complete and how strong the membrane stain of each cell is.

    A direction is stained if its density reaches ``bins.weak`` and exceeds the cytoplasm's by ``contrast``.

    Parameters
    ----------
    membrane_od : (N, D) array
        DAB density of the membrane in D even directions around each cell, OD (base 10).
    cytoplasm_od : (N,) array
        Mean DAB density of each cell's cytoplasm, OD.
    bins : IntensityBins
        Least densities of faint, moderate and intense stain.
    complete_share : float
        Least share of the directions stained in a complete membrane, 0-1.
    some_share : float
        Least share of the directions stained in a membrane that shows any stain, 0-1.
    contrast : float
        Least difference to the cytoplasm, OD.

    Returns
    -------
    MembraneJudgement
        A cell's strength is that of the mean density over its stained directions.

    Raises
    ------
    InvalidTableError
        If a density is not finite or the arrays do not fit.
    SettingsError
        If the shares are not 0 < some <= complete <= 1, or the contrast is negative.

    Notes
    -----
    Turning or mirroring a ring changes nothing. All limits are inclusive.
    """
    if not (0 < some_share <= complete_share <= 1 and contrast >= 0):
        raise SettingsError(
            f"shares of stained membrane {some_share} and {complete_share}, contrast {contrast} OD",
            "Give rising shares within 0-1 and a contrast of 0 or more.",
        )
    ring, cytoplasm = settled_od(membrane_od, dimensions=2), settled_od(cytoplasm_od)
    if len(ring) != len(cytoplasm) or ring.shape[1] == 0:
        raise InvalidTableError(
            f"rings of shape {ring.shape} and {len(cytoplasm)} cytoplasms do not fit",
            "Give one of each per cell.",
        )
    above = settled_od(ring - cytoplasm[:, None], dimensions=2)  # or 0.3 - 0.2 would fall short of 0.1
    stained = (ring >= bins.weak) & (above >= contrast)
    directions = stained.sum(axis=1)
    # whole numbers divided once: 9 of 10 is the same float as 0.9
    completeness = directions / ring.shape[1]
    intensity = np.where(stained, ring, 0.0).sum(axis=1) / np.maximum(directions, 1)
    levels = np.where(completeness >= some_share, intensity_levels(intensity, bins=bins), 0).astype(np.int8)
    complete = completeness >= complete_share
    return MembraneJudgement(
        completeness=completeness.astype(np.float32),
        intensity_od=intensity.astype(np.float32),
        levels=levels,
        classes=_classes(levels, complete),
    )


def _classes(levels: NDArray[np.int8], complete: NDArray[np.bool_]) -> NDArray[np.int8]:
    """Return the class that each strength and completeness make."""
    whole = np.where(levels == 3, MembraneClass.CI, MembraneClass.CW)
    part = np.where(levels >= 2, MembraneClass.IM, MembraneClass.IF)
    classes = np.where(complete, whole, part)
    return np.where(levels == 0, MembraneClass.NO, classes).astype(np.int8)
