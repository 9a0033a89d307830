"""Outlines of masks and circles as polygons in level-0 pixels, for pictures and exports."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RegionError

if TYPE_CHECKING:
    import shapely

__all__ = ["Circle", "outline_mask"]

CIRCLE_CORNERS = 64
"""Corners of the polygon that stands for a circle: 0.1 % of the radius off at most."""


@dataclass(frozen=True, slots=True)
class Circle:
    """A round place on a slide, such as a hot spot."""

    x: float
    """Centre, level-0 px from the left edge."""
    y: float
    """Centre, level-0 px from the upper edge."""
    radius: float
    """Radius, level-0 px."""

    def polygon(self) -> shapely.Polygon:
        """Return the circle as a polygon of 64 corners, level-0 px."""
        import shapely

        turns = np.arange(CIRCLE_CORNERS) * (2 * np.pi / CIRCLE_CORNERS)
        corners = np.stack([np.cos(turns), np.sin(turns)], axis=1) * self.radius
        return shapely.Polygon(corners + np.array([self.x, self.y]))


def outline_mask(mask: NDArray[np.bool_], *, downsample: float) -> shapely.MultiPolygon:
    """Trace the set pixels of a mask as polygons with holes.

    Parameters
    ----------
    mask : (h, w) bool array
        The mask; what lies outside it counts as unset.
    downsample : float
        Level-0 px per mask px.

    Returns
    -------
    shapely.MultiPolygon
        Outlines in level-0 px, simplified by a quarter of a mask px; an empty mask gives an empty
        multipolygon.

    Raises
    ------
    RegionError
        If ``mask`` is not two-dimensional.
    """
    import contourpy
    import shapely

    if mask.ndim != 2:
        raise RegionError(f"a mask has {mask.ndim} dimensions", "Pass one of shape (height, width).")
    padded = np.pad(mask.astype(np.float32), 1)
    tracer = contourpy.contour_generator(z=padded, fill_type=contourpy.FillType.OuterOffset)
    traced: Any = tracer.filled(0.5, np.inf)
    points, offsets = traced
    polygons = [
        shapely.Polygon(rings[0], rings[1:])
        for corners, cuts in zip(points, offsets, strict=True)
        if (rings := _rings((corners - 0.5) * downsample, cuts))
    ]
    simple = shapely.make_valid(shapely.simplify(shapely.MultiPolygon(polygons), downsample / 4))
    parts = [part for part in shapely.get_parts(simple) if part.geom_type == "Polygon" and not part.is_empty]
    return shapely.MultiPolygon(parts)


def _rings(corners: NDArray[np.float64], cuts: NDArray[np.uint32]) -> list[NDArray[np.float64]]:
    """Cut the corners of one traced polygon into its outer ring and its holes."""
    return [corners[start:stop] for start, stop in pairwise(cuts)]
