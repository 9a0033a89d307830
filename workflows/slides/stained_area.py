"""How much of the tumour area is stained, read from pixels: in cells of the tumour, and beside them.

Stained immune cells lie in clumps in which single cells cannot be made out; guidelines ask for the area that
they cover. Everything brown that is no stained tumour cell is taken for theirs, and as stain lies in granules
and on borders, the cells reach a little beyond it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...quantify import fill_outlines
from ...stain import unmix
from ...wsi import Plane, Slide
from .cell_file import read_square
from .plan import SlidePlan

if TYPE_CHECKING:
    from .tumour_region import TumourRegion

__all__ = ["StainedArea", "measure_stained_area"]

WINDOW_PX = 2048
"""Side of a window, px of the working plane."""
RIM_UM = 2.0
"""How far a cell reaches beyond its stain, um: as beyond a lymphocyte's nucleus, a project rule."""
LEAST_SPECK_UM2 = 2.0
"""Smaller stained specks are noise, um2: a project rule."""
REACH_UM = 40.0
"""An outline whose centre is this far beside a window may still reach in, um."""


@dataclass(frozen=True, slots=True)
class StainedArea:
    """Areas of assessed tissue, mm2."""

    whole: float
    """All of it, in the user's outline if there is one."""
    beside_tumour: float
    """Covered by stain and its rim, and in no stained tumour cell."""
    covered: float
    """Covered by stain and its rim, or in a stained tumour cell."""


def measure_stained_area(
    slide: Slide, plan: SlidePlan, cells: Path, *, least_od: float, tumour: str, region: TumourRegion | None
) -> StainedArea:
    """Measure the stained area of a slide, window by window.

    Parameters
    ----------
    slide : Slide
        The open slide.
    plan : SlidePlan
        Its tissue, quality and colours.
    cells : Path
        Its judged cells.
    least_od : float
        Least DAB density of a stained pixel, OD (base 10).
    tumour : str
        Name of the class of stained tumour cells.
    region : TumourRegion, optional
        Where to measure; everywhere by default.
    """
    plane = slide.plane(plan.asked_mpp)
    margin = _margin(plane.mpp)
    allowed = plan.quality.assessable(plan.tissue)
    counts = np.zeros(3, np.int64)
    for top in range(0, plane.height, WINDOW_PX):
        for left in range(0, plane.width, WINDOW_PX):
            assessed = _assessed(plane, allowed, plan, corner=(left, top), region=region)
            if not assessed.any():
                continue
            height, width = (side + 2 * margin for side in assessed.shape)
            pixels = plane.read(left - margin, top - margin, width, height)
            grown = _grown(unmix(pixels, plan.profile)[1] >= np.float32(least_od), mpp=plane.mpp)
            stained = grown[margin : height - margin, margin : width - margin] & assessed
            inside = _inside(cells, plane, corner=(left, top), shape=stained.shape, name=tumour) & assessed
            counts += (assessed.sum(), (stained & ~inside).sum(), (stained | inside).sum())
    whole, beside, covered = (counts * (plane.mpp / 1000) ** 2).tolist()
    return StainedArea(whole, beside, covered)


def _margin(mpp: float) -> int:
    """Return how far beside a window stain and specks can matter, px."""
    return int(np.ceil((RIM_UM + LEAST_SPECK_UM2 / mpp) / mpp))


def _grown(stained: NDArray[np.bool_], *, mpp: float) -> NDArray[np.bool_]:
    """Drop specks, and grow what is left by the rim of a cell."""
    from scipy.ndimage import distance_transform_edt, label

    pieces, _ = label(stained, structure=np.ones((3, 3)))
    large = np.bincount(pieces.ravel()) * mpp**2 >= LEAST_SPECK_UM2
    large[0] = False
    kept = large[pieces]
    if not kept.any():
        return np.asarray(kept)
    return np.asarray(distance_transform_edt(~kept) * mpp <= RIM_UM)


def _assessed(
    plane: Plane,
    allowed: NDArray[np.bool_],
    plan: SlidePlan,
    *,
    corner: tuple[int, int],
    region: TumourRegion | None,
) -> NDArray[np.bool_]:
    """Tell which pixels of a window are assessed tissue: (h, w), cut at the slide's edge."""
    ends = (plane.width, plane.height)
    x, y = (
        np.asarray((np.arange(start, min(start + WINDOW_PX, end)) + 0.5) * plane.downsample, np.float64)
        for start, end in zip(corner, ends, strict=True)
    )
    columns, rows = (
        np.minimum((places / plan.tissue.downsample).astype(np.int64), size - 1)
        for places, size in ((x, allowed.shape[1]), (y, allowed.shape[0]))
    )
    assessed = allowed[np.ix_(rows, columns)]
    if region is not None and assessed.any():
        row, column = np.nonzero(assessed)
        assessed[row, column] = region.covers(x[column], y[row])
    return assessed


def _inside(
    cells: Path, plane: Plane, *, corner: tuple[int, int], shape: tuple[int, ...], name: str
) -> NDArray[np.bool_]:
    """Tell which pixels of a window lie in counted cells of a class."""
    import shapely

    scale, reach = plane.downsample, REACH_UM / plane.mpp
    x, y = ((start - reach) * scale for start in corner)
    side = (max(shape) + 2 * reach) * scale
    table = read_square(cells, x, y, side, columns=("x", "y", "label", "excluded", "geometry"))
    labels, excluded = (np.array(table[column].to_pylist(), np.str_) for column in ("label", "excluded"))
    chosen = table["geometry"].to_numpy()[(labels == name) & (excluded == "")]
    rings = [shapely.get_coordinates(each)[:-1] for each in shapely.from_wkb(chosen)]
    outlines = [(ring / scale - np.array(corner)) * plane.mpp for ring in rings]
    return fill_outlines(outlines, shape=(shape[0], shape[1]), mpp=plane.mpp)
