"""Writes the cells of a smear as a GeoParquet table and as GeoJSON that QuPath opens."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...tiling import atomic_file
from ...wsi import open_slide
from ..slides.cell_file import make_cell_ids, polygons_to_wkb
from .findings import Findings
from .plan import SmearImage, SmearPlan
from .readers import KINDS

__all__ = ["COLORS", "class_names", "write_cell_table", "write_geojson"]

COLORS: Mapping[str, str] = {
    "RBC": "#c2465a",
    "WBC": "#3b4bb3",
    "Platelet": "#8a3fa0",
    "neutrophil": "#1f5fbf",
    "lymphocyte": "#117a65",
    "monocyte": "#7d3c98",
    "eosinophil": "#d35400",
    "basophil": "#1b2631",
    "unclassified": "#6b7580",
}
"""Of kinds and of the classes of white cells."""
IGNORED = (180, 180, 180)
"""QuPath's own grey of what does not count."""
DECIMALS = 1
COMPRESS_LEVEL = 2


def class_names(findings: Findings) -> NDArray[np.str_]:
    """Return what each cell is called: its class where it was named, else its kind: (N,)."""
    kinds = np.array(KINDS)[findings.cells.kind]
    named = findings.label != ""
    named &= (findings.label != "unclassified") | (kinds == "WBC")
    return np.asarray(np.where(named & (kinds == "WBC"), findings.label, kinds))


def write_cell_table(path: Path, plan: SmearPlan, findings: Findings) -> None:
    """Write one row per cell, also of those that are not counted.

    ``field`` is the name of the image; ``x``, ``y`` and ``geometry`` (WKB polygons) are px of it, with the
    centre of the first pixel at 0.5. ``class`` is that of a white cell, or the shape of a red one, where a
    network named it with ``class_probability``; ``excluded`` says why a cell is not counted; ``cut`` whether
    the image's border cuts it, which keeps it out of the differential.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    cells = findings.cells
    names = pa.array([image.name for image in plan.images])
    ids = np.empty(len(cells), object)
    for number, image in enumerate(plan.images):
        own = np.flatnonzero(cells.image == number)
        ids[own] = make_cell_ids(image.fingerprint, x=cells.x[own], y=cells.y[own]).to_pylist()
    table = pa.table(
        {
            "cell_id": pa.array(ids.tolist(), pa.string()),
            "field": pa.DictionaryArray.from_arrays(pa.array(cells.image, pa.int32()), names),
            "x": cells.x,
            "y": cells.y,
            "label": pa.DictionaryArray.from_arrays(pa.array(cells.kind, pa.int32()), pa.array(KINDS)),
            "class": pa.array(findings.label.tolist(), pa.string()).dictionary_encode(),
            "class_probability": pa.array(findings.certainty, pa.float32()),
            "excluded": pa.array(findings.excluded.tolist(), pa.string()).dictionary_encode(),
            "cut": cells.cut,
            "probability": pa.array(cells.probability, pa.float32()),
            "area_um2": pa.array(cells.area_um2, pa.float32()),
            "diameter_um": pa.array(cells.diameter_um.astype(np.float32), pa.float32()),
            "tile": pa.array(cells.part, pa.int32()),
            "geometry": polygons_to_wkb(cells.outline),
        }
    )
    column = {"encoding": "WKB", "geometry_types": ["Polygon"] if len(cells) else [], "crs": None}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    with atomic_file(path) as temporary:
        pq.write_table(table.replace_schema_metadata({"geo": json.dumps(geo)}), temporary, compression="zstd")


def write_geojson(folder: Path, plan: SmearPlan, findings: Findings) -> None:
    """Write a ``.geojson.gz`` per image, to be dropped on that image in QuPath.

    A slide's is ``cells.geojson.gz``; those of fields lie in ``geojson/`` under the names of their images.
    QuPath crops a slide to its bounds, so their corner is subtracted.
    """
    for number, image in enumerate(plan.images):
        name = "cells" if plan.is_slide else f"geojson/{Path(image.name).name}"
        rows = np.flatnonzero(findings.cells.image == number)
        origin = _origin(image) if plan.is_slide else (0.0, 0.0)
        with (
            atomic_file(folder / f"{name}.geojson.gz") as temporary,
            temporary.open("wb") as raw,
            gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=COMPRESS_LEVEL, mtime=0) as out,
        ):
            out.write(b'{"type":"FeatureCollection","features":[')
            for at, feature in enumerate(_features(findings, rows, origin)):
                out.write((",\n" if at else "\n").encode() + feature)
            out.write(b"\n]}\n")


def _origin(image: SmearImage) -> tuple[float, float]:
    """Return the corner of what a scanner filled, level-0 px."""
    with open_slide(image.path, mpp=image.mpp, salvage=True) as slide:
        return float(slide.bounds.x), float(slide.bounds.y)


def _features(findings: Findings, rows: NDArray[np.intp], origin: tuple[float, float]) -> Iterator[bytes]:
    """Yield the cells of an image as GeoJSON features."""
    cells, names = findings.cells, class_names(findings)
    for row in rows.tolist():
        ring = np.round(cells.outline[row] - origin, DECIMALS).tolist()
        excluded = str(findings.excluded[row])
        name = "Ignore*" if excluded else str(names[row])
        properties: dict[str, Any] = {
            "objectType": "detection",
            "classification": {"name": name, "color": list(IGNORED if excluded else _rgb(name))},
            "measurements": {
                "Area µm^2": round(float(cells.area_um2[row]), 2),
                "Detection probability": round(float(cells.probability[row]), 4),
                "Class probability": round(float(findings.certainty[row]), 4),
            },
        }
        if excluded or findings.label[row]:
            properties["metadata"] = {"Excluded": excluded, "Class": str(findings.label[row])}
        feature = {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [[*ring, ring[0]]]},
            "properties": properties,
        }
        yield json.dumps(feature, ensure_ascii=False, separators=(",", ":")).encode()


def _rgb(name: str) -> tuple[int, int, int]:
    """Return the colour of a class."""
    text = COLORS.get(name, COLORS["unclassified"])
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
