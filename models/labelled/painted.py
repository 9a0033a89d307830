"""Phantom slides as labelled images: every nucleus is known, with outline."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .image import LabelledImage
from .instances import fill_polygons

__all__ = ["read_phantom"]

NAMES = {
    "tumour": "Epithelial",
    "stroma": "Stromal",
    "lymphocyte": "Inflammatory",
    "macrophage": "Inflammatory",
}
"""What the kinds of phantom nuclei are called where they have no stain label."""
MEMBRANE_KINDS = ("her2", "pdl1")
"""Kinds of phantom whose labels say what the membrane shows: their nuclei are all unstained."""


def read_phantom(path: Path) -> LabelledImage:
    """Read a phantom slide with its truth beside it.

    Parameters
    ----------
    path : Path
        ``NAME.tiff`` written by `write_phantom`, with ``NAME.truth.parquet`` and ``NAME.truth.json``.
    """
    import pyarrow.parquet as pq

    base = path.name.removesuffix(".tiff")
    table = pq.read_table(path.with_name(f"{base}.truth.parquet"), columns=["x", "y", "class", "label"])
    facts = json.loads(path.with_name(f"{base}.truth.json").read_text(encoding="utf-8"))
    kinds, labels = (np.array(table[name].to_pylist(), dtype=object) for name in ("class", "label"))
    settings = facts["settings"]
    if settings["kind"] in MEMBRANE_KINDS:
        labels = np.where(kinds == "tumour", "Negative", "")
    names = [label or NAMES[kind] for kind, label in zip(kinds, labels, strict=True)]
    return LabelledImage(
        "phantom",
        base,
        base,
        path,
        float(settings["mpp"]),
        x=table["x"].to_numpy(),
        y=table["y"].to_numpy(),
        labels=np.array(names),
        scale_stated=True,
        instance_ids=np.arange(1, table.num_rows + 1, dtype=np.int32),
        load_instances=partial(
            _draw, path.with_name(f"{base}.truth.parquet"), settings["width"], settings["height"]
        ),
    )


def _draw(path: Path, width: int, height: int) -> NDArray[np.int32]:
    """Draw the outlines of all nuclei."""
    import pyarrow.parquet as pq
    import shapely

    geometry = shapely.from_wkb(pq.read_table(path, columns=["geometry"])["geometry"].to_numpy())
    polygons = [shapely.get_coordinates(polygon)[:-1] for polygon in geometry]
    return fill_polygons(polygons, width=width, height=height)
