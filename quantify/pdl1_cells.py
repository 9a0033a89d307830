"""Which cells count in which PD-L1 score: kind of cell, place of the stain, distance to the tumour."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import index

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError, SettingsError
from .fields import check_cells
from .pdl1_cutoffs import pdl1_cutoffs


class CellKind(StrEnum):
    """Kinds of cells that the PD-L1 rules tell apart."""

    TUMOUR = "tumour"
    """Viable and invasive."""
    LYMPHOCYTE = "lymphocyte"
    MACROPHAGE = "macrophage"
    IMMUNE = "immune"
    """Lymphocyte or macrophage, or so it is hoped: a detector that cannot tell immune cells apart."""
    PLASMA_CELL = "plasma cell"
    NEUTROPHIL = "neutrophil"
    EOSINOPHIL = "eosinophil"
    DENDRITIC_CELL = "dendritic cell"
    FIBROBLAST = "fibroblast"
    ENDOTHELIUM = "endothelium"
    NECROTIC = "necrotic"
    DEBRIS = "debris"
    ANTHRACOTIC_MACROPHAGE = "anthracotic macrophage"
    IN_SITU = "in-situ"
    """Dysplastic epithelium too."""
    NORMAL_EPITHELIUM = "normal epithelium"
    OTHER = "other"


COMBINED_KINDS = (CellKind.LYMPHOCYTE, CellKind.MACROPHAGE, CellKind.IMMUNE)
"""Immune cells that may count in the combined positive score."""

TOO_FAR = "far from tumour"
NOT_LINKED = "not linked to tumour"


@dataclass(frozen=True, slots=True)
class Pdl1Areas:
    """Areas for the scores that are shares of the tumour area, mm²; None = not measured."""

    tumour_mm2: float
    """Tumour cells with the stroma in and next to them."""
    stained_immune_mm2: float | None = None
    """Occupied by stained immune cells: numerator of IC."""
    stained_mm2: float | None = None
    """Covered by stained tumour cells and stained immune cells together: numerator of TAP."""
    immune_mm2: float | None = None
    """Holding immune cells, stained or not: numerator of ICP."""
    stroma_mm2: float | None = None
    """Stroma within the tumour area; SP142 needs some."""

    def __post_init__(self) -> None:
        parts = (self.stained_immune_mm2, self.stained_mm2, self.immune_mm2, self.stroma_mm2)
        sizes = [part for part in parts if part is not None]
        sound = 0 <= self.tumour_mm2 < np.inf and all(0 <= size <= self.tumour_mm2 for size in sizes)
        if sound and self.immune_mm2 is not None and self.stained_immune_mm2 is not None:
            sound = self.stained_immune_mm2 <= self.immune_mm2
        if not sound:
            raise InvalidTableError(
                f"{self} make no sense", "Every part lies within the tumour area, in mm²."
            )


@dataclass(frozen=True, slots=True)
class Pdl1Evidence:
    """What was counted and measured on a PD-L1 slide."""

    tumour: int
    """Viable invasive tumour cells: the denominator of TPS and CPS."""
    tumour_positive: int
    """Those with partial or complete linear membrane stain of any intensity."""
    lymphocytes_positive: int | None = None
    """Stained lymphocytes near the tumour; None = not looked for, which is not zero."""
    macrophages_positive: int | None = None
    """As lymphocytes; both are given or neither."""
    immune_positive: int | None = None
    """Stained immune cells near the tumour of which it is not known what they are."""
    left_out: Mapping[str, int] = field(default_factory=dict)
    """Stained cells that count nowhere, by reason."""
    areas: Pdl1Areas | None = None

    def __post_init__(self) -> None:
        if (self.lymphocytes_positive is None) != (self.macrophages_positive is None):
            raise InvalidTableError(
                "lymphocytes without macrophages, or the other way round",
                "Give both counts, 0 where there are none, or neither.",
            )
        parts = (self.lymphocytes_positive, self.macrophages_positive, self.immune_positive)
        counts = [index(count) for count in (self.tumour, self.tumour_positive, *parts) if count is not None]
        if min(counts) < 0 or self.tumour_positive > self.tumour:
            raise InvalidTableError(
                f"{counts} are no counts of PD-L1 cells", "Positive cells are part of all."
            )

    @property
    def combined_immune(self) -> int | None:
        """Stained immune cells of the combined positive score; None if nobody looked for any."""
        parts = (self.lymphocytes_positive, self.macrophages_positive, self.immune_positive)
        known = [count for count in parts if count is not None]
        return sum(known) if known else None


def count_pdl1_cells(
    kinds: ArrayLike,
    *,
    membrane: ArrayLike,
    cytoplasm: ArrayLike,
    positions_um: ArrayLike,
    finds: Collection[CellKind],
    linked: ArrayLike | None = None,
    reach_um: float | None = None,
) -> Pdl1Evidence:
    """Count the cells of a slide by the rules of TPS and CPS.

    Parameters
    ----------
    kinds : (N,) array of str
        Values of ``CellKind``.
    membrane : (N,) array of bool
        Whether each cell has partial or complete linear membrane stain of any intensity.
    cytoplasm : (N,) array of bool
        Whether its cytoplasm is stained. Enough for an immune cell, not for a tumour cell.
    positions_um : (N, 2) array
        Centres x, y, um.
    finds : collection of CellKind
        The kinds that the detector can find at all. Where it finds no immune cells, their counts are None and
        not 0.
    linked : (N,) array of bool, optional
        False for immune cells that belong to something else: an ulcer, gastritis, in-situ or normal
        epithelium.
    reach_um : float, optional
        An immune cell counts within this distance of the nearest viable tumour cell, stained or not. By
        default that of the packaged cut-offs, a project rule that stands for "the same 20x field".

    Returns
    -------
    Pdl1Evidence
        Without areas. A kind of immune cell is 0 where none is stained, None where it was not looked for.

    Raises
    ------
    InvalidTableError
        If the columns do not fit, or there is a kind that ``finds`` does not name.
    SettingsError
        If the reach is not positive, or one of lymphocytes and macrophages is found without the other.

    Notes
    -----
    The order of the cells does not matter; each counts once at most.
    """
    kind = np.asarray(kinds, dtype=np.str_)
    points = np.asarray(positions_um, dtype=np.float64).reshape(-1, 2)
    x, y, on_membrane = check_cells(points[:, 0], points[:, 1], membrane)
    _, _, in_cytoplasm = check_cells(x, y, cytoplasm)
    _, _, is_linked = check_cells(x, y, np.ones(x.size, dtype=np.bool_) if linked is None else linked)
    found = {CellKind(each) for each in finds}
    if (CellKind.LYMPHOCYTE in found) != (CellKind.MACROPHAGE in found):
        raise SettingsError(
            "a detector that finds lymphocytes but no macrophages, or the other way round",
            'Call its cells "immune": the score needs both, and one must not be taken for none.',
        )
    unknown = set(np.unique(kind).tolist()) - found
    if kind.shape != x.shape or unknown:
        raise InvalidTableError(
            f"kinds of cells of shape {kind.shape} for {x.size} cells, unknown: {sorted(unknown)}",
            f"The detector is said to find {', '.join(sorted(found))}.",
        )
    reach = pdl1_cutoffs().adjacency_um if reach_um is None else reach_um
    if not 0 < reach < np.inf:
        raise SettingsError(f"a distance to the tumour of {reach} um", "Use a positive length, 500 um say.")
    is_tumour = kind == CellKind.TUMOUR
    may_count = np.isin(kind, COMBINED_KINDS) & (on_membrane | in_cytoplasm)
    near = np.zeros(x.size, dtype=np.bool_)
    asked = may_count & is_linked
    near[asked] = _near_tumour(points[asked], points[is_tumour], reach)
    counted = {each: int((asked & near & (kind == each)).sum()) for each in COMBINED_KINDS}
    left_out = {
        NOT_LINKED: int((may_count & ~is_linked).sum()),
        TOO_FAR: int((asked & ~near).sum()),
        **_other_stained(kind[~is_tumour & (on_membrane | in_cytoplasm)]),
    }
    told = CellKind.LYMPHOCYTE in found
    return Pdl1Evidence(
        tumour=int(is_tumour.sum()),
        tumour_positive=int((is_tumour & on_membrane).sum()),
        lymphocytes_positive=counted[CellKind.LYMPHOCYTE] if told else None,
        macrophages_positive=counted[CellKind.MACROPHAGE] if told else None,
        immune_positive=counted[CellKind.IMMUNE] if CellKind.IMMUNE in found else None,
        left_out={reason: count for reason, count in left_out.items() if count},
    )


def _near_tumour(cells: NDArray[np.float64], tumour: NDArray[np.float64], reach: float) -> NDArray[np.bool_]:
    """Return which cells lie within reach of a tumour cell, the limit included."""
    if not len(cells) or not len(tumour):
        return np.zeros(len(cells), dtype=np.bool_)
    from scipy.spatial import cKDTree

    distance, _ = cKDTree(tumour).query(cells)
    near: NDArray[np.bool_] = np.asarray(distance) <= reach
    return near


def _other_stained(kinds: NDArray[np.str_]) -> dict[str, int]:
    """Count stained cells of the kinds that no score counts."""
    names, counts = np.unique(kinds[~np.isin(kinds, COMBINED_KINDS)], return_counts=True)
    return dict(zip(names.tolist(), counts.tolist(), strict=True))
