"""The cells of a slide: measured against its own intermediate cells, and sorted into the kinds of a smear."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...models.cytoplasm import CellBodies, bound_cells
from ...quantify import CellMeasures, SlideReference, relative_measures, slide_reference
from ...quantify.cervical_cutoffs import NILM
from .call_reader import CallReader
from .nuclei import NucleusTable
from .plan import ScreeningPlan

__all__ = ["KINDS", "ScreenedCells", "measure_slide"]

Floats = NDArray[np.float32]

KINDS = ("superficial", "intermediate", "metaplastic", "endocervical", "neutrophil", "other")
"""What a cell is by its measures; calls of the classifier stand beside it."""
REASONS = ("", "outside", "out_of_focus", "pen", "fold", "bubble", "debris", "thick")
"""Why a nucleus does not count: index into this."""
LEAST_SEEN = 0.8
"""Share of a cell's border that rules of size must have seen."""
LEAST_STEEPNESS = 0.33
"""Nuclei whose density falls by less than this share over 1 um are out of focus: labelled nuclei of real
fields have 0.4 and more, phantoms from 5 um out of focus on less."""
GROUP_UM = 12.0
"""Nuclei of cells whose centres are nearer than this belong to one group."""


@dataclass(frozen=True)
class SectionLimits:
    """What no smear is like: all three together (project rules).

    Set between the fields of smears of two collections and one section of skin, which were looked at.
    """

    nuclei: int = 500
    """Fewer say nothing."""
    per_mm2: float = 2000.0
    """At least, of the area that can be assessed."""
    seen: float = 0.2
    """At most, share of nuclei whose cell's border is seen."""


@dataclass(frozen=True)
class KindLimits:
    """What tells the kinds of normal cells apart, in um2 (project rules after the sizes of SCORING)."""

    pyknotic_upto: float = 26.0
    """Superficial nuclei are pyknotic; intermediate ones are 35."""
    mature_upto: float = 80.0
    """Larger nuclei are not those of normal mature cells."""
    least_nucleus: float = 14.0
    """Smaller ones are fragments."""
    mature_cell_from: float = 450.0
    """Superficial and intermediate cells are 1000-2000; a part may lie under a neighbour."""
    mature_nc_upto: float = 0.1
    sheet_rays_um: float = 10.0
    """In a sheet, where borders are not seen, stain reaches so far on three quarters of all sides."""
    small_cell_from: float = 70.0
    small_cell_upto: float = 450.0
    small_nc: tuple[float, float] = (0.1, 0.42)
    """Parabasal, metaplastic and endocervical cells; above begins what may be high-grade."""
    small_nucleus: tuple[float, float] = (33.0, 80.0)
    small_chance: float = 0.5
    """Least probability of NILM of a small cell that the classifier saw."""
    neutrophil_upto: float = 45.0
    neutrophil_cell_upto: float = 200.0
    sheet_cells: int = 5
    """From so many on a group of small cells is a sheet of endocervical ones."""


@dataclass(frozen=True, eq=False)
class ScreenedCells:
    """All nuclei of a slide with their measures, one per row."""

    nuclei: NucleusTable
    x_um: NDArray[np.float64]
    y_um: NDArray[np.float64]
    reason: NDArray[np.uint8]
    """Index into ``REASONS``; 0 counts."""
    cell_um2: Floats
    """NaN where too little of the cell's border was seen."""
    nc: Floats
    """Nuclear area over that of the whole cell; NaN likewise."""
    closed: Floats
    """Share of the border that is glass."""
    cell_um: Floats
    """(N, RAYS) border of the cell, um from the centre."""
    kind: NDArray[np.uint8]
    """Index into ``KINDS``."""
    group: NDArray[np.intp]
    """Number of the group."""
    group_cells: NDArray[np.intp]
    """Cells of that group."""
    size: Floats
    """R: nuclear area over the median of the slide's intermediate nuclei."""
    hyperchromasia: Floats
    """Density over theirs; NaN without enough of them."""
    reference: SlideReference
    looked: NDArray[np.bool_]
    """Whether there is a call."""
    unknown: NDArray[np.bool_]
    """Whether the call is other or unknown."""
    chance: Floats
    """(N, K) probability of each class."""

    def __len__(self) -> int:
        return len(self.nuclei)

    def excluded(self) -> dict[str, int]:
        """Return how many nuclei do not count, by reason."""
        counts = np.bincount(self.reason, minlength=len(REASONS))
        return {name: int(n) for name, n in zip(REASONS[1:], counts[1:], strict=True) if n}

    def are_like_a_section(self, assessed_mm2: float) -> bool:
        """Tell cells that lie as in a tissue section, on so much assessed area."""
        limits = SectionLimits()
        counted = (self.reason == 0) & (self.nuclei.area_um2 >= KindLimits().least_nucleus)
        nuclei = int(counted.sum())
        if nuclei < limits.nuclei or nuclei < limits.per_mm2 * assessed_mm2:
            return False
        return bool(np.isfinite(self.nc[counted]).mean() <= limits.seen)

    def of_kind(self, name: str) -> NDArray[np.bool_]:
        """Tell which counted cells are of a kind."""
        return np.asarray((self.kind == KINDS.index(name)) & (self.reason == 0))


def measure_slide(plan: ScreeningPlan, nuclei: NucleusTable, *, calls: CallReader) -> ScreenedCells:
    """Measure all nuclei of a slide: reads no pixel.

    Parameters
    ----------
    plan : ScreeningPlan
        Masks and scale.
    nuclei : NucleusTable
        From all tiles.
    calls : CallReader
        What named them, or names them now by their measures.
    """
    mpp = plan.level0_mpp
    x, y = nuclei.x * mpp, nuclei.y * mpp
    reason = _reasons(plan, nuclei)
    loose = _loose_neutrophils(nuclei)
    limits = KindLimits()
    ends = ~loose & (nuclei.area_um2 >= limits.least_nucleus)
    bodies = bound_cells(x, y, nuclear_um2=nuclei.area_um2, rays=nuclei.rays_um, limits=ends)
    nc = (nuclei.area_um2 / bodies.area_um2).astype(np.float32)
    group = _groups(x, y, ends)
    group_cells = np.bincount(group, weights=ends, minlength=len(x)).astype(np.intp)[group]
    group_cells = np.maximum(group_cells, 1)
    reference = _reference(nuclei, bodies, nc, reason)
    measures = CellMeasures(
        nuclear_um2=nuclei.area_um2.astype(np.float64),
        cell_um2=bodies.area_um2.astype(np.float64),
        nc=nc.astype(np.float64),
        nuclear_od=nuclei.od.astype(np.float64),
        nuclei_in_cell=np.ones(len(nuclei), np.int64),
    )
    relative = relative_measures(measures, reference)
    size, dark = relative.size.astype(np.float32), relative.hyperchromasia.astype(np.float32)
    looked, unknown, chance = nuclei.looked, nuclei.unknown, nuclei.chance
    if not calls.side:
        # Between cells of a sheet the line half-way is a guess, and rules of size alone must not use it.
        seen = np.where(bodies.closed >= LEAST_SEEN, nc, np.float32(np.nan))
        chance, unknown = calls.judge(size, seen, dark)
        looked = np.asarray(~loose & (nuclei.area_um2 >= limits.least_nucleus))
    kind = _kinds(nuclei, bodies, nc, group_cells=group_cells, chance=_normal(looked, chance, calls))
    return ScreenedCells(
        nuclei=nuclei,
        x_um=x,
        y_um=y,
        reason=reason,
        cell_um2=bodies.area_um2,
        nc=nc,
        closed=bodies.closed,
        cell_um=bodies.radii,
        kind=kind,
        group=group,
        group_cells=group_cells,
        size=size,
        hyperchromasia=dark,
        reference=reference,
        looked=looked,
        unknown=unknown,
        chance=chance,
    )


def _reasons(plan: ScreeningPlan, nuclei: NucleusTable) -> NDArray[np.uint8]:
    """Return why nuclei do not count: what spoils the place they lie in."""
    codes = plan.quality.reason_at(nuclei.x, nuclei.y)
    names = np.array([REASONS.index(name) if name != "ok" else 0 for name in plan.quality.reasons], np.uint8)
    found = names[codes]
    cells = plan.tissue
    column = np.clip((nuclei.x / cells.downsample).astype(int), 0, cells.mask.shape[1] - 1)
    row = np.clip((nuclei.y / cells.downsample).astype(int), 0, cells.mask.shape[0] - 1)
    found[(found == 0) & plan.thick[row, column]] = REASONS.index("thick")
    found[(found == 0) & (nuclei.steepness < LEAST_STEEPNESS)] = REASONS.index("out_of_focus")
    return found


def _loose_neutrophils(nuclei: NucleusTable) -> NDArray[np.bool_]:
    """Tell lobes and small nuclei with hardly any cytoplasm, before cells are bounded."""
    from .first_look import FirstLook

    rules = FirstLook()
    far = np.sort(np.minimum(nuclei.rays_um, np.float32(1e3)), axis=1)
    long = far[:, 3 * far.shape[1] // 4]
    is_small = nuclei.area_um2 <= rules.neutrophil_upto_um2
    return np.asarray(is_small & (long < rules.neutrophil_rays_um))


def _groups(x: NDArray[np.float64], y: NDArray[np.float64], ends: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Return the number of each nucleus' group: nuclei of cells that hang together by short steps."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial import cKDTree

    if not len(x):
        return np.empty(0, np.intp)
    rows = np.flatnonzero(ends)
    pairs = np.empty((0, 2), np.intp)
    if len(rows) > 1:
        pairs = rows[cKDTree(np.stack([x, y], axis=1)[rows]).query_pairs(GROUP_UM, output_type="ndarray")]
    joined = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(len(x), len(x)))
    return np.asarray(connected_components(joined, directed=False)[1], np.intp)


def _reference(
    nuclei: NucleusTable, bodies: CellBodies, nc: Floats, reason: NDArray[np.uint8]
) -> SlideReference:
    """Return the medians of the slide's own intermediate cells: those whose whole border is seen."""
    limits = KindLimits()
    is_mature = (bodies.area_um2 >= limits.mature_cell_from) & (nc <= limits.mature_nc_upto)
    fits = (nuclei.area_um2 > limits.pyknotic_upto) & (nuclei.area_um2 <= limits.mature_upto)
    rows = is_mature & fits & (reason == 0)
    return slide_reference(nuclei.area_um2[rows], nuclei.od[rows])


def _normal(looked: NDArray[np.bool_], chance: Floats, calls: CallReader) -> Floats:
    """Return the probability that a cell is normal; 1 where nobody had to look."""
    return np.where(looked, chance[:, calls.codes.index(NILM)], np.float32(1))


def _kinds(
    nuclei: NucleusTable, bodies: CellBodies, nc: Floats, *, group_cells: NDArray[np.intp], chance: Floats
) -> NDArray[np.uint8]:
    """Sort cells into `KINDS`."""
    limits, area = KindLimits(), nuclei.area_um2
    far = np.sort(np.minimum(nuclei.rays_um, np.float32(1e3)), axis=1)
    in_sheet = np.isnan(nc) & (far[:, far.shape[1] // 4] >= limits.sheet_rays_um)
    with np.errstate(invalid="ignore"):
        seen = (bodies.area_um2 >= limits.mature_cell_from) & (nc <= limits.mature_nc_upto)
        is_nucleus = (area >= limits.least_nucleus) & (area <= limits.mature_upto)
        mature = is_nucleus & (seen | in_sheet)
        small = (bodies.area_um2 >= limits.small_cell_from) & (bodies.area_um2 < limits.small_cell_upto)
        small &= (nc > limits.small_nc[0]) & (nc <= limits.small_nc[1]) & (chance >= limits.small_chance)
        small &= (area >= limits.small_nucleus[0]) & (area <= limits.small_nucleus[1])
        lobed = (area <= limits.neutrophil_upto) & (bodies.area_um2 < limits.neutrophil_cell_upto)
    sheet = group_cells >= limits.sheet_cells
    rules = (
        (mature & (area <= limits.pyknotic_upto), "superficial"),
        (mature, "intermediate"),
        (small & sheet, "endocervical"),
        (small, "metaplastic"),
        (lobed | (area < limits.least_nucleus), "neutrophil"),
    )
    return np.select(
        [rule for rule, _ in rules], [KINDS.index(name) for _, name in rules], KINDS.index("other")
    ).astype(np.uint8)
