"""Rules of membrane markers: what the ring around each cell shows, and which kind of cell it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...quantify import (
    IntensityBins,
    MembraneClass,
    MembraneJudgement,
    judge_membranes,
    membrane_strength,
)
from .cell_file import RING
from .cell_rule import OTHER, CellClass, Role

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["HER2_CLASSES", "IMMUNE_NEGATIVE", "IMMUNE_POSITIVE", "Her2Rule", "Pdl1Rule", "read_rings"]

CYTOPLASM = "cytoplasm_dab_od_mean"

COMPLETE_INTENSE = CellClass("Complete intense", (200, 30, 30), Role.POSITIVE)
INCOMPLETE_INTENSE = "Incomplete intense"
HER2_CLASSES = (
    COMPLETE_INTENSE,
    CellClass("Complete weak to moderate", (230, 130, 40), Role.NEGATIVE),
    CellClass(INCOMPLETE_INTENSE, (205, 60, 150), Role.NEGATIVE),
    CellClass("Incomplete moderate", (150, 90, 200), Role.NEGATIVE),
    CellClass("Incomplete faint", (240, 205, 60), Role.NEGATIVE),
    CellClass("No membrane stain", (112, 112, 225), Role.NEGATIVE),
    CellClass("Nuclear stain", (40, 40, 40), Role.NEGATIVE),
)
"""From 3+ to 0; the names are those of the guideline's classes. The last has no membrane stain either: its
nucleus is browner than its membrane, which in many cells means another marker."""
NUCLEAR_CODE = 6
"""Place of the last."""
CODES = {
    MembraneClass.CI: 0,
    MembraneClass.CW: 1,
    MembraneClass.IM: 3,
    MembraneClass.IF: 4,
    MembraneClass.NO: 5,
}
"""Place of each membrane class among ``HER2_CLASSES``; an intense incomplete one is moved to its own."""

TUMOUR_POSITIVE = CellClass("Tumor: Positive", (200, 30, 30), Role.POSITIVE)
TUMOUR_NEGATIVE = CellClass("Tumor: Negative", (112, 112, 225), Role.NEGATIVE)
TUMOUR_NUCLEAR = CellClass("Tumor: Nuclear stain", (40, 40, 40), Role.NEGATIVE)
IMMUNE_POSITIVE = CellClass("Immune cells: Positive", (240, 150, 30), Role.BESIDE)
IMMUNE_NEGATIVE = CellClass("Immune cells: Negative", (60, 160, 110), Role.BESIDE)
"""QuPath's base classes with its derived ones."""

IMMUNE_NUCLEUS_UM2 = (12.0, 90.0)
"""Area of a nucleus that may be a lymphocyte's (from 12) or a macrophage's (up to 90): a project rule."""
IMMUNE_ELONGATION = 1.8
"""Longest nucleus, long over short axis, that may be an immune cell's: fibroblasts and endothelium are
longer. A project rule."""


@dataclass(frozen=True)
class Her2Rule:
    """A tumour cell has one of six kinds of membrane stain."""

    bins: IntensityBins
    """Densities of faint, moderate and intense membranes."""
    tumour_threshold: float | None
    """Least probability of tumour of a nucleus whose cell counts; None: all count."""
    by_intensity_alone: bool = False
    """Whether an incomplete intense membrane is positive, as in gastric cancer."""

    columns = (CYTOPLASM, RING)

    @property
    def classes(self) -> tuple[CellClass, ...]:
        """The six, and cells that do not count."""
        if not self.by_intensity_alone:
            return (*HER2_CLASSES, OTHER)
        positive = CellClass(INCOMPLETE_INTENSE, HER2_CLASSES[2].color, Role.POSITIVE)
        return (*HER2_CLASSES[:2], positive, *HER2_CLASSES[3:], OTHER)

    @property
    def threshold(self) -> float | None:
        """Density from which a membrane is intense."""
        return self.bins.strong

    def judgement(self, table: pa.Table | pa.RecordBatch) -> MembraneJudgement:
        """Judge the membranes of all cells."""
        return judge_membranes(*read_rings(table), bins=self.bins)

    def judge(self, table: pa.Table) -> NDArray[np.uint8]:
        """Return the class of each cell."""
        found = self.judgement(table)
        places = np.zeros(len(MembraneClass), np.uint8)
        for each, place in CODES.items():
            places[each] = place
        code = places[found.classes]
        code[(found.classes == MembraneClass.IM) & (found.levels == 3)] = 2
        code[is_nuclear(table, found, bins=self.bins)] = NUCLEAR_CODE
        return np.where(is_tumour(table, self.tumour_threshold), code, len(HER2_CLASSES)).astype(np.uint8)

    def strength(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the density of membranes that are complete (gastric: stained), 0 for the others."""
        found = self.judgement(table)
        enough = found.stained if self.by_intensity_alone else found.classes >= MembraneClass.CW
        return np.where(enough, found.intensity_od, 0).astype(np.float32)


@dataclass(frozen=True)
class Pdl1Rule:
    """A tumour cell has membrane stain or not; an immune cell any stain or not."""

    bins: IntensityBins
    """Densities; the weak one decides."""
    tumour_threshold: float | None
    """Least probability of tumour of a nucleus whose cell is a tumour cell; None: all are taken for such."""

    classes = (
        TUMOUR_POSITIVE,
        TUMOUR_NEGATIVE,
        IMMUNE_POSITIVE,
        IMMUNE_NEGATIVE,
        TUMOUR_NUCLEAR,
        OTHER,
    )
    columns = (CYTOPLASM, RING)

    @property
    def threshold(self) -> float | None:
        """Density from which a membrane is stained."""
        return self.bins.weak

    @property
    def finds_immune(self) -> bool:
        """Whether immune cells can be found at all."""
        return self.tumour_threshold is not None

    def judge(self, table: pa.Table) -> NDArray[np.uint8]:
        """Return the class of each cell."""
        ring, cytoplasm = read_rings(table)
        found = judge_membranes(ring, cytoplasm, bins=self.bins)
        membrane = found.stained
        code = np.where(membrane, 0, 1)
        code[is_nuclear(table, found, bins=self.bins)] = 4
        if self.tumour_threshold is None:
            return code.astype(np.uint8)
        area, elongation = table["area_um2"].to_numpy(), table["nucleus_elongation"].to_numpy()
        least, most = IMMUNE_NUCLEUS_UM2
        immune = (area >= least) & (area <= most) & (elongation <= IMMUNE_ELONGATION)
        stained = membrane | (cytoplasm >= self.bins.weak)
        beside = np.where(immune, np.where(stained, 2, 3), 5)
        return np.where(is_tumour(table, self.tumour_threshold), code, beside).astype(np.uint8)

    def strength(self, table: pa.Table | pa.RecordBatch) -> NDArray[np.float32]:
        """Return the weak threshold at which each membrane still is stained."""
        return np.asarray(membrane_strength(*read_rings(table)), np.float32)


def read_rings(table: pa.Table | pa.RecordBatch) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the densities of the membranes (N, D) and of the cytoplasms (N,) of landed cells, OD."""
    import pyarrow as pa

    column = table[RING]
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
    hundredths = column.flatten().to_numpy().reshape(len(column), -1)
    return hundredths.astype(np.float32) / np.float32(100), table[CYTOPLASM].to_numpy()


def is_nuclear(
    table: pa.Table | pa.RecordBatch, found: MembraneJudgement, *, bins: IntensityBins
) -> NDArray[np.bool_]:
    """Tell which cells are stained in the nucleus, and there no less than on the membrane: (N,)."""
    nucleus = table["dab_od_mean"].to_numpy()
    return np.asarray((nucleus >= np.float32(bins.weak)) & (nucleus >= found.intensity_od))


def is_tumour(table: pa.Table, least: float | None) -> NDArray[np.bool_]:
    """Tell which cells are of the tumour, as far as the detector can: (N,)."""
    if least is None:
        return np.ones(table.num_rows, bool)
    return np.asarray(table["tumour_probability"].to_numpy() >= np.float32(least))
