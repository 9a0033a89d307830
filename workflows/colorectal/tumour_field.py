"""What is measured of a carcinoma: its richest window of stroma, and candidate buds; experimental."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ...quantify import (
    BuddingEvidence,
    GlandFormation,
    GradingEvidence,
    StromaEvidence,
    colorectal_cutoffs,
)
from .class_maps import SlideMaps
from .classes import LESION_CLASSES
from .glands import GlandTable
from .tumour_buds import BudCandidates

__all__ = ["measure_tumour", "tumour_evidence", "with_known_errors"]

BLOCK = 8
"""Windows are laid on squares of so many cells of the gland map each way: 42 um."""
TISSUE_SHARE = 0.95
"""Least share of a window that is tissue: the glass beside a tumour is no stroma."""
CARCINOMA = len(LESION_CLASSES) - 1

Mask = NDArray[np.bool_]
Floats = NDArray[np.float64]


def tumour_evidence(
    glands: GlandTable,
    maps: SlideMaps,
    *,
    tissue: Mask,
    buds: BudCandidates | None = None,
) -> GradingEvidence | None:
    """Return what is measured of a carcinoma, and what of it cannot be.

    Parameters
    ----------
    glands, maps, tissue
        As in `measure_tumour`.
    buds : BudCandidates, optional
        From `find_buds`; None: nobody looked.

    Returns
    -------
    GradingEvidence or None
        None without certain glands of carcinoma. Gland formation is always an empty area: no measure of it
        has held against graded images, so the grade is not assessable and the report says so.
    """
    if not (glands.is_certain & (glands.kind == CARCINOMA)).any():
        return None
    found = measure_tumour(glands, maps, tissue=tissue) or GradingEvidence()
    return replace(
        found,
        whole=GlandFormation(0.0, 0.0),
        budding=None if buds is None else _budding(buds),
    )


def with_known_errors(
    evidence: GradingEvidence | None,
    *,
    false_per_mm2: tuple[float, float] | None,
    found_share: float | None,
) -> GradingEvidence | None:
    """Return the evidence with what is known of false and of missed buds.

    Parameters
    ----------
    evidence : GradingEvidence or None
        Of a carcinoma, if there is one.
    false_per_mm2 : (float, float), optional
        Candidates per mm2 of tissue beside glands that are no buds, and the upper limit of that; None: not
        known. The expected number is that of a field that is all stroma.
    found_share : float, optional
        Share of tumour nuclei that can make a candidate, and so of buds of one cell, 0-1; None: not known.
    """
    if evidence is None or evidence.budding is None:
        return evidence
    field = colorectal_cutoffs().budding.field_mm2
    expected, limit = (None, None) if false_per_mm2 is None else (rate * field for rate in false_per_mm2)
    budding = replace(evidence.budding, false_buds=expected, false_limit=limit, found_share=found_share)
    return replace(evidence, budding=budding)


def _budding(buds: BudCandidates) -> BuddingEvidence:
    """Return the field with most candidates, none of them sure."""
    count = 0 if buds.disc is None else buds.disc.count
    return BuddingEvidence(count, clusters=buds.clusters_in_disc, false_buds=None, found_share=None)


def measure_tumour(glands: GlandTable, maps: SlideMaps, *, tissue: Mask) -> GradingEvidence | None:
    """Find the window of 3.14 mm2 with the largest share of stroma that has carcinoma on all four sides.

    Parameters
    ----------
    glands : GlandTable
        The glands of the slide.
    maps : SlideMaps
        For the size of their cells.
    tissue : (H, W) bool array
        Assessed tissue on the cells of the gland map.

    Returns
    -------
    GradingEvidence or None
        None where no window fits: no carcinoma, or too little of it.

    Notes
    -----
    All that is tissue and no gland counts as stroma, so mucin, muscle and vessels do too: the share reads
    too high where there is much of them.
    """
    chosen = glands.is_certain & (glands.kind == CARCINOMA)
    if not chosen.any():
        return None
    tumour = _blocks(np.concatenate([[False], chosen])[glands.labels])
    stroma = _blocks(tissue & (glands.labels == 0))
    covered = _blocks(tissue)
    disc = _disc(_radius_um() / (maps.mpp * BLOCK))
    middle = np.arange(len(disc)) - len(disc) // 2
    sides = [half & (disc > 0) for half in _sides(middle)]
    fits = _sums(covered, disc) >= TISSUE_SHARE * disc.sum() * BLOCK**2
    for side in sides:
        fits &= _sums(tumour, side.astype(np.float64)) > 0
    if not fits.any():
        return None
    epithelium, ground = _sums(tumour, disc), _sums(stroma, disc)
    share = np.where(fits, ground / np.maximum(ground + epithelium, 1), -1)
    best = np.unravel_index(int(share.argmax()), share.shape)
    cell_mm2 = (maps.mpp / 1000) ** 2
    field = StromaEvidence(float(ground[best]) * cell_mm2, float(epithelium[best]) * cell_mm2, tumour_sides=4)
    return GradingEvidence(stroma=field)


def _radius_um() -> float:
    """Radius of the window, um."""
    return float(colorectal_cutoffs().stroma.window_radius_um)


def _blocks(mask: Mask) -> Floats:
    """Count the cells of each block."""
    height, width = (-(-side // BLOCK) for side in mask.shape)
    padded = np.pad(mask, ((0, height * BLOCK - mask.shape[0]), (0, width * BLOCK - mask.shape[1])))
    return np.asarray(padded.reshape(height, BLOCK, width, BLOCK).sum((1, 3)), np.float64)


def _disc(radius: float) -> Floats:
    """A round window of ones, its radius in blocks."""
    reach = int(radius)
    rows, columns = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    return np.asarray(rows**2 + columns**2 <= radius**2, np.float64)


def _sides(middle: NDArray[np.intp]) -> list[Mask]:
    """The quarters above, below, left and right of the middle of a window."""
    rows, columns = middle[:, None], middle[None, :]
    steep, flat = np.abs(rows) > np.abs(columns), np.abs(columns) > np.abs(rows)
    return [steep & (rows < 0), steep & (rows > 0), flat & (columns < 0), flat & (columns > 0)]


def _sums(values: Floats, window: Floats) -> Floats:
    """Sum up a window around each block; whole numbers, so the transform's rounding is taken out."""
    from scipy.signal import fftconvolve

    return np.asarray(np.rint(fftconvolve(values, window[::-1, ::-1], mode="same")))
