"""The cells of a slide as a table, and its gallery as GeoJSON that QuPath opens by drag and drop."""

from __future__ import annotations

import json
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...models.star_outlines import ray_directions
from ...tiling import atomic_file
from .cells import KINDS, REASONS
from .classes import color_of
from .evidence import Findings
from .plan import ScreeningPlan

__all__ = ["write_cells", "write_gallery"]

NAMESPACE = uuid.UUID("8a3b9a5e-6f0d-5c52-9b7c-0c2f6f1f7d11")
"""Makes the names of objects repeatable."""
DECIMALS = 1
"""Coordinates to 0.1 px."""


def write_cells(path: Path, found: Findings, *, codes: tuple[str, ...]) -> None:
    """Write one row per nucleus: GeoParquet 1.1; equal findings give equal bytes.

    Parameters
    ----------
    path : Path
        The ``.parquet`` to make. Positions and outlines are level-0 px, areas um2.
    found : Findings
        What the slide holds.
    codes : tuple of str
        Codes of the classifier's classes: a column of probabilities each, ``p_HSIL``, empty where it did not
        look.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    import shapely

    cells = found.cells
    nuclei = cells.nuclei
    place = np.stack([nuclei.x, nuclei.y], axis=1)[:, None]
    outlines = shapely.to_wkb(shapely.polygons(place + nuclei.nucleus_px[..., None] * ray_directions()))
    call = np.full(len(cells), "", object)
    call[found.rows] = np.array(found.calls.codes, object)
    suspicion = np.zeros(len(cells), np.float32)
    suspicion[found.rows] = found.suspicions
    columns: dict[str, Any] = {
        "x": nuclei.x,
        "y": nuclei.y,
        "label": pa.array(call.tolist(), pa.string()).dictionary_encode(),
        "kind": pa.array([KINDS[number] for number in cells.kind], pa.string()).dictionary_encode(),
        "excluded": pa.array([REASONS[number] for number in cells.reason], pa.string()).dictionary_encode(),
        "unknown": cells.unknown & cells.looked,
        "suspicion": suspicion,
        "probability": nuclei.found,
        "area_um2": nuclei.area_um2,
        "cell_area_um2": _known(cells.cell_um2),
        "nc": _known(cells.nc),
        "size_ratio": cells.size,
        "hyperchromasia": _known(cells.hyperchromasia),
        "red_od_mean": nuclei.od,
        "steepness": nuclei.steepness,
        "group_cells": cells.group_cells.astype(np.int32),
        **{
            f"p_{code}": _known(np.where(cells.looked, cells.chance[:, k], np.nan))
            for k, code in enumerate(codes)
        },
        "geometry": pa.array(outlines, pa.binary()),
    }
    column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    table = pa.table(columns).replace_schema_metadata({"geo": json.dumps(geo)})
    with atomic_file(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def _known(values: NDArray[Any]) -> Any:
    """Return a column whose unknown values are empty, not NaN."""
    import pyarrow as pa

    return pa.array(values.astype(np.float32), mask=np.isnan(values))


def write_gallery(
    path: Path, found: Findings, *, codes: tuple[str, ...], plan: ScreeningPlan, origin: tuple[float, float]
) -> None:
    """Write the gallery's cells as annotations with their measurements; equal findings give equal bytes.

    Parameters
    ----------
    path : Path
        The ``.geojson`` to make.
    found, codes
        As in `write_cells`.
    plan : ScreeningPlan
        For the scale.
    origin : (float, float)
        ``openslide.bounds-x`` and ``-y``, level-0 px: QuPath crops a slide to its bounds.
    """
    features = []
    for rank, row in enumerate(found.gallery, start=1):
        cell = int(found.rows[row])
        code = found.calls.codes[row]
        cells = found.cells
        measured: dict[str, float] = {
            "Rank": rank,
            "Suspicion": float(found.suspicions[row]),
            "Nucleus area um^2": float(cells.nuclei.area_um2[cell]),
            "Cell area um^2": float(cells.cell_um2[cell]),
            "N:C": float(cells.nc[cell]),
            "R": float(cells.size[cell]),
            "Hyperchromasia": float(cells.hyperchromasia[cell]),
            "Cells of the group": int(cells.group_cells[cell]),
            **{f"P {name}": float(cells.chance[cell, k]) for k, name in enumerate(codes)},
        }
        middle = np.array([cells.nuclei.x[cell], cells.nuclei.y[cell]])
        reach = np.maximum(cells.cell_um[cell] / plan.level0_mpp, cells.nuclei.nucleus_px[cell])
        ring = np.round(middle + reach[:, None] * ray_directions() - origin, DECIMALS)
        features.append(
            _feature(
                ring,
                {
                    "objectType": "annotation",
                    "name": f"{rank}. {code}",
                    "classification": {"name": code, "color": list(color_of(code))},
                    "isLocked": True,
                    "measurements": {
                        name: round(value, 6) for name, value in measured.items() if np.isfinite(value)
                    },
                },
            )
        )
    text = '{"type":"FeatureCollection","features":[\n' + ",\n".join(features) + "\n]}\n"
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _feature(ring: NDArray[np.float64], properties: dict[str, Any]) -> str:
    """Return one object as the text of a feature."""
    closed = [[float(x), float(y)] for x, y in (*ring, ring[0])]
    geometry = json.dumps({"type": "Polygon", "coordinates": [closed]}, separators=(",", ":"))
    told = json.dumps(properties, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    identity = uuid.uuid5(NAMESPACE, told + geometry)
    return f'{{"type":"Feature","id":"{identity}","geometry":{geometry},"properties":{told}}}'
