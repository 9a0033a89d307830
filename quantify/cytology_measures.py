"""Sizes of nuclei in um², N:C ratio and hyperchromasia, against the slide's own intermediate cells."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..errors import InvalidTableError
from .area import pixel_area_mm2
from .cervical_cutoffs import cervical_cutoffs
from .flags import Flag

_UM2_PER_MM2 = 1e6


class SizeType(StrEnum):
    """What size, N:C ratio and shape alone suggest of a cell; never an interpretation of a slide."""

    NORMAL = "normal or reactive"
    GREY_ZONE = "grey zone"
    ASC_US = "ASC-US-type"
    LSIL = "LSIL-type"
    ASC_H = "ASC-H-type"
    HSIL = "HSIL-type"
    SCC = "SCC-type"


@dataclass(frozen=True, slots=True)
class CellMeasures:
    """Nuclei, one per row, measured from masks."""

    nuclear_um2: NDArray[np.float64]
    """(N,) area of the nucleus."""
    cell_um2: NDArray[np.float64]
    """(N,) area of the whole cell, nuclei included; NaN where it has no outline."""
    nc: NDArray[np.float64]
    """(N,) area of all nuclei of the cell / area of the whole cell, 0-1; NaN without an outline."""
    nuclear_od: NDArray[np.float64]
    """(N,) mean optical density of the nucleus, log10 units."""
    nuclei_in_cell: NDArray[np.int64]
    """(N,) nuclei that share the cell; 1 also where it has no outline."""


@dataclass(frozen=True, slots=True)
class SlideReference:
    """The slide's own intermediate cells, to which others are compared."""

    nuclear_um2: float
    """Median area of their nuclei, or the textbook value."""
    nuclear_od: float | None
    """Median optical density of their nuclei; None where there are too few: stain has no textbook value."""
    cells: int
    is_own: bool
    """False where there are too few, and the textbook value stands in."""

    @property
    def flags(self) -> tuple[Flag, ...]:
        """A warning where the reference is not the slide's own."""
        return () if self.is_own else (Flag.CYTOLOGY_REFERENCE_ASSUMED,)


@dataclass(frozen=True, slots=True)
class RelativeMeasures:
    """Nuclei against the reference, one per row."""

    size: NDArray[np.float64]
    """(N,) R: nuclear area / median of the intermediate nuclei."""
    hyperchromasia: NDArray[np.float64]
    """(N,) optical density / median of the intermediate nuclei; NaN without a reference of the slide."""


@dataclass(frozen=True, slots=True)
class CellLook:
    """One cell: its measures, and what else was seen of it. What nobody looked for is None."""

    size: float
    """R."""
    nc: float | None
    """N:C ratio; None where the cell has no outline."""
    irregular: bool | None = None
    """Irregular nuclear membrane or coarse chromatin."""
    hyperchromatic: bool | None = None
    macronucleolus: bool | None = None
    """Or a spindle or tadpole shape, or a tumour diathesis."""
    halo: bool = False
    """Sharp clear zone around the nucleus."""
    nuclei: int = 1
    metaplastic: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.size < np.inf or (self.nc is not None and not 0 < self.nc <= 1) or self.nuclei < 1:
            raise InvalidTableError(
                f"a cell of size {self.size}, N:C {self.nc}, {self.nuclei} nuclei",
                "Sizes are positive, an N:C ratio is nuclear area over whole-cell area.",
            )

    @property
    def has_atypia(self) -> bool:
        """Whether the nucleus itself is abnormal: large, dark, irregular, or not alone."""
        is_large = self.size >= cervical_cutoffs().nuclei.asc_us_from
        return is_large or bool(self.irregular) or bool(self.hyperchromatic) or self.nuclei > 1


def measure_cells(
    nuclei: ArrayLike, cells: ArrayLike, *, od: ArrayLike, mpp: tuple[float, float]
) -> CellMeasures:
    """Measure nuclei and their cells from label images; boxes would not do.

    Parameters
    ----------
    nuclei, cells : (H, W) array of int
        0 is background, every other number one nucleus, or one whole cell. The numbers need not agree: a
        nucleus belongs to the cell that holds most of its pixels (the lower number at a tie), if any.
    od : (H, W) array of float
        Optical density of the nuclear stain, log10 units.
    mpp : (float, float)
        um per pixel in x and y.

    Returns
    -------
    CellMeasures
        In rising order of the nuclei's numbers. Pixels of a nucleus outside its cell's outline are added to
        the cell, so that N:C never exceeds 1.

    Raises
    ------
    InvalidTableError
        If the images differ in shape, or labels are no whole numbers of 0 or more.
    """
    nucleus, cell = _labels(nuclei), _labels(cells)
    density = np.asarray(od, dtype=np.float64)
    if not nucleus.shape == cell.shape == density.shape or min(mpp) <= 0:
        raise InvalidTableError(
            f"nuclei {nucleus.shape}, cells {cell.shape}, densities {density.shape}, mpp {mpp}",
            "Give images of one shape, and positive um per pixel.",
        )
    numbers, cell = np.unique(np.append(cell, 0), return_inverse=True)  # 0, the background, comes first
    cell = cell[:-1].reshape(nucleus.shape)
    inside = nucleus > 0
    names, which = np.unique(nucleus[inside], return_inverse=True)
    pixels = np.bincount(which, minlength=names.size)
    owner = _owners(which, cell[inside], names.size)
    total = np.bincount(which, weights=density[inside], minlength=names.size)
    beyond = inside.copy()
    beyond[inside] = cell[inside] != owner[which]  # belongs to its cell, whatever outline it lies in
    cell_pixels = np.bincount(cell[~beyond].ravel(), minlength=numbers.size)
    nuclear_pixels = np.bincount(owner, weights=pixels, minlength=numbers.size)
    outside = np.bincount(owner[which][beyond[inside]], minlength=numbers.size)
    whole = np.where(owner > 0, (cell_pixels + outside)[owner], np.nan)
    um2 = (pixel_area_mm2(1, mpp=mpp) or 0.0) * _UM2_PER_MM2
    return CellMeasures(
        nuclear_um2=np.asarray(pixels * um2, dtype=np.float64),
        cell_um2=whole * um2,
        nc=np.where(owner > 0, nuclear_pixels[owner], np.nan) / whole,
        nuclear_od=total / pixels,
        nuclei_in_cell=np.where(owner > 0, np.bincount(owner, minlength=numbers.size)[owner], 1),
    )


def slide_reference(nuclear_um2: ArrayLike, nuclear_od: ArrayLike) -> SlideReference:
    """Return the medians of a slide's intermediate cells.

    Parameters
    ----------
    nuclear_um2, nuclear_od : (N,) array
        Of the nuclei of normal intermediate squamous cells on the slide, in focus.

    Returns
    -------
    SlideReference
        With fewer than 30 of them the textbook's 35 um² and no optical density.
    """
    areas, densities = np.asarray(nuclear_um2, dtype=np.float64), np.asarray(nuclear_od, dtype=np.float64)
    sound = areas.ndim == 1 and areas.shape == densities.shape and bool(np.isfinite(densities).all())
    if not sound or not ((areas > 0) & np.isfinite(areas)).all():
        raise InvalidTableError(
            "intermediate nuclei without area or density", "Give a positive area and a density for each."
        )
    limits = cervical_cutoffs().nuclei
    if areas.size < limits.reference_cells:
        return SlideReference(float(limits.intermediate_um2), None, int(areas.size), is_own=False)
    return SlideReference(float(np.median(areas)), float(np.median(densities)), int(areas.size), is_own=True)


def relative_measures(cells: CellMeasures, reference: SlideReference) -> RelativeMeasures:
    """Return size and hyperchromasia of nuclei against the slide's intermediate ones."""
    dark = reference.nuclear_od
    unknown = np.full(cells.nuclear_od.shape, np.nan)
    return RelativeMeasures(
        size=cells.nuclear_um2 / reference.nuclear_um2,
        hyperchromasia=cells.nuclear_od / dark if dark is not None and dark > 0 else unknown,
    )


def is_hyperchromatic(hyperchromasia: float) -> bool | None:
    """Whether a nucleus is clearly darker than intermediate ones; None where that is not known (NaN)."""
    if np.isnan(hyperchromasia):
        return None
    return bool(hyperchromasia >= cervical_cutoffs().nuclei.hyperchromatic_from)


def size_type(cell: CellLook, *, age: int | None = None) -> SizeType | None:
    """Return what the measures of one cell suggest.

    Parameters
    ----------
    cell : CellLook
        The cell.
    age : int, optional
        Of the woman, years. From 40 to 55 bland nuclei of R 2-3 are usually negative: the grey zone.

    Returns
    -------
    SizeType or None
        None where the cell has no outline: a cell of high N:C could be HSIL whatever the size of its nucleus.

    Notes
    -----
    N:C decides first: over 0.5 with an irregular nucleus is HSIL-type (SCC-type with a macronucleolus), from
    0.4 with a nucleus of 1.5 times the intermediate one and more ASC-H-type, from 0.4 otherwise the grey
    zone. Below that, R decides: under 2 normal, under 2.5 the grey zone, up to 3 ASC-US-type, more LSIL-type.
    A halo makes LSIL-type only around an abnormal nucleus. The numbers for N:C are the project's own.
    """
    limits = cervical_cutoffs().nuclei
    if cell.nc is None:
        return None
    if cell.nc > limits.nc_hsil_above and cell.irregular:
        return SizeType.SCC if cell.macronucleolus else SizeType.HSIL
    if cell.nc >= limits.nc_asc_h_from:
        return SizeType.ASC_H if cell.size >= limits.asc_h_from else SizeType.GREY_ZONE
    if cell.size > limits.lsil_above or (cell.halo and cell.has_atypia):
        return SizeType.LSIL
    found = _by_size(cell)
    is_bland = not (cell.irregular or cell.hyperchromatic)
    at_change = age is not None and limits.atrophy_from_age <= age <= limits.atrophy_upto_age
    return SizeType.GREY_ZONE if found is SizeType.ASC_US and at_change and is_bland else found


def _by_size(cell: CellLook) -> SizeType:
    """Return what R alone says of a cell of low N:C, or a metaplastic cell's own size."""
    limits = cervical_cutoffs().nuclei
    metaplastic = cell.size * limits.intermediate_um2 / limits.metaplastic_um2
    if cell.size >= limits.asc_us_from:
        return SizeType.ASC_US
    if cell.metaplastic:
        return SizeType.ASC_US if metaplastic >= limits.metaplastic_asc_us_from else SizeType.NORMAL
    return SizeType.GREY_ZONE if cell.size >= limits.normal_below else SizeType.NORMAL


def _owners(which: NDArray[np.intp], cell: NDArray[np.int64], nuclei: int) -> NDArray[np.int64]:
    """Return the cell that holds most of each nucleus, 0 if none of its pixels lies in one."""
    owner = np.zeros(nuclei, dtype=np.int64)
    held = cell > 0
    if not held.any():
        return owner
    pairs, shared = np.unique(np.stack([which[held], cell[held]]), axis=1, return_counts=True)
    order = np.lexsort((-pairs[1], shared))  # the last one written for a nucleus stays
    owner[pairs[0][order]] = pairs[1][order]
    return owner


def _labels(image: ArrayLike) -> NDArray[np.int64]:
    """Return a label image as whole numbers, or say why it is none."""
    labels = np.asarray(image)
    if labels.ndim != 2 or labels.dtype.kind not in "iu" or labels.min(initial=0) < 0:
        raise InvalidTableError(
            f"labels of type {labels.dtype} and shape {labels.shape}", "Give whole numbers of 0 or more."
        )
    return labels.astype(np.int64)
