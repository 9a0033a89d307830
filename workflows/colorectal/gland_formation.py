"""How much tumour epithelium forms glands, told by lumens. Measured, found wanting, and not reported.

On graded images the share does not fall with the grade (``scripts/accuracy_tumour.py``): necrosis and mucin
fill lumens of well formed glands, and cracks beside solid tumour look like lumens. No slide is graded by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...quantify import GlandFormation
from ...tiling.morphology import grow, label_pieces

__all__ = ["FormationRule", "find_lumens", "gland_formation"]

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class FormationRule:
    """What counts as a lumen, and as formed by it; fixed by what glands are, not fitted."""

    least_um2: float = 200.0
    """Smallest lumen, um2: a hole as wide as a cell, 16 um, is one."""
    lined: float = 0.5
    """Least share of its rim that is tumour epithelium: a crack beside a gland has stroma on one side."""
    rim_um: float = 10.0
    """Width of that rim, um."""
    reach_um: float = 60.0
    """Epithelium within this distance of a lumen forms a gland with it, um: stratified epithelium is no
    thicker; farther away it is solid."""


def find_lumens(tumour: Mask, pale: Mask, *, um: float, rule: FormationRule | None = None) -> Mask:
    """Find the lumens of tumour glands.

    Parameters
    ----------
    tumour : (H, W) bool array
        Tumour glands, with or without their lumens.
    pale : (H, W) bool array
        Where there is hardly any stain.
    um : float
        um per cell of both.
    rule : FormationRule, optional
        What counts.

    Returns
    -------
    (H, W) bool array
        Pale pieces that are large enough and lined by tumour.
    """
    from scipy import ndimage

    rule = rule or FormationRule()
    pieces, sizes = label_pieces(pale)
    width = max(1, round(rule.rim_um / um))
    is_lumen = np.zeros(len(sizes), bool)
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        if sizes[number] * um**2 < rule.least_um2:
            continue
        wide = tuple(slice(max(0, side.start - width), side.stop + width) for side in box)
        rim = grow(pieces[wide] == number, radius=width) & ~pale[wide]
        is_lumen[number] = bool(rim.any()) and float(tumour[wide][rim].mean()) >= rule.lined
    return is_lumen[pieces]


def gland_formation(
    tumour: Mask, pale: Mask, *, um: float, rule: FormationRule | None = None
) -> GlandFormation:
    """Return how much tumour epithelium lies beside a lumen, and how much there is.

    Parameters
    ----------
    tumour, pale, um, rule
        As in `find_lumens`.

    Returns
    -------
    GlandFormation
        Areas in mm2; pale places are no epithelium.
    """
    from scipy import ndimage

    rule = rule or FormationRule()
    lumens = find_lumens(tumour, pale, um=um, rule=rule)
    epithelium = tumour & ~pale
    cell_mm2 = (um / 1000) ** 2
    formed = np.zeros(tumour.shape, bool)
    if lumens.any():
        formed = epithelium & (ndimage.distance_transform_edt(~lumens) <= rule.reach_um / um)
    return GlandFormation(int(formed.sum()) * cell_mm2, int(epithelium.sum()) * cell_mm2)
