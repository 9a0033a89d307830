"""Outlines of tissue that a pathologist drew among the cells, as the part of the slide that counts."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...wsi import Slide
from .geojson_stream import class_of
from .tumour_region import Kind, read_tumour_region

if TYPE_CHECKING:
    from .tumour_region import TumourRegion

__all__ = ["read_drawn_region"]


def read_drawn_region(
    features: Sequence[dict[str, Any]],
    slide: Slide,
    *,
    name: str,
    mpp: float,
    earlier: TumourRegion | None = None,
) -> tuple[TumourRegion, bool]:
    """Return where cells count by some annotations.

    Without any outline of tumour, what was drawn (necrosis, ``Ignore*``) is taken away from the earlier
    outline, or from the whole slide.

    Parameters
    ----------
    features : sequence of dict
        Annotations of QuPath, not none.
    slide : Slide
        The slide.
    name : str
        Name of the file that they are from.
    mpp : float
        um per level-0 px.
    earlier : TumourRegion, optional
        The outline that the run was given.

    Returns
    -------
    region : TumourRegion
        Where cells count.
    by_tumour : bool
        Whether somebody outlined the tumour: here or before.
    """
    import shapely

    origin = (float(slide.bounds.x), float(slide.bounds.y))
    drawn = list(features)
    by_tumour = any(Kind.of(class_of(each)) is Kind.TUMOUR for each in drawn)
    if not by_tumour:
        base = shapely.box(0, 0, slide.width, slide.height) if earlier is None else earlier.outline
        placed = shapely.transform(base, lambda xy: xy - origin)
        properties = {"objectType": "annotation", "classification": {"name": "Tumor"}}
        drawn.append(
            {"type": "Feature", "geometry": shapely.geometry.mapping(placed), "properties": properties}
        )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / (name.removesuffix(".gz") or "edits.geojson")
        path.write_text(json.dumps({"type": "FeatureCollection", "features": drawn}), encoding="utf-8")
        region = read_tumour_region(path, width=slide.width, height=slide.height, mpp=mpp, origin=origin)
    return region, by_tumour or earlier is not None
