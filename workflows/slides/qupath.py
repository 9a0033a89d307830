"""Cells and outlines as GeoJSON that QuPath opens by drag and drop, streamed from ``cells.parquet``."""

from __future__ import annotations

import gzip
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...tiling import atomic_file
from .cell_file import read_cells
from .cell_rule import NOT_TUMOUR, OTHER, CellClass

if TYPE_CHECKING:
    import pyarrow as pa
    import shapely

__all__ = ["QuPathAnnotation", "write_qupath"]

IGNORED_CLASS = '{"name":"Ignore*","color":[180,180,180]}'
"""QuPath leaves classes that end with an asterisk out of its counts; name and colour are its own."""

MEASUREMENTS = (
    ("Nucleus: Area µm^2", "area_um2", 2),
    ("Nucleus: DAB OD mean", "dab_od_mean", 4),
    ("Nucleus: Hematoxylin OD mean", "hematoxylin_od_mean", 4),
    ("Detection probability", "probability", 4),
)
"""QuPath's name, our column, decimals."""
PROBABILITY_NAMES = {
    "tumour_probability": "Tumour probability",
    "positive_probability": "Positive probability",
}
"""Further ones, of detectors that tell them."""

COLUMNS = ("cell_id", "label", "excluded", "geometry", *(column for _, column, _ in MEASUREMENTS))
COORDINATE_DECIMALS = 1
"""Outlines to 0.1 px, a few hundredths of a micrometre: twice as precise doubles the file."""
BATCH_SIZE = 8_192
"""Cells formatted at once: about 20 MB of text and arrays, most of it in the processor cache."""
COMPRESS_LEVEL = 2
"""gzip: four times the speed of the default for a sixth more bytes."""
ANNOTATION_NAMESPACE = uuid.UUID("6f1f8f0e-6d0b-5c2b-9a56-0a3c5a4f7c11")
"""Makes the names of annotations repeatable."""


@dataclass(frozen=True, slots=True)
class QuPathAnnotation:
    """One outline for QuPath's annotation list, such as the tissue or the hot spot."""

    name: str
    """What QuPath's list shows."""
    outline: shapely.Polygon | shapely.MultiPolygon
    """Level-0 px."""
    color: tuple[int, int, int] = (0, 0, 0)
    """Line colour, red green blue, 0-255."""
    measurements: Mapping[str, float] = field(default_factory=dict)
    """Numbers that QuPath shows beside the outline; only finite ones are written."""


def write_qupath(
    cells: str | Path,
    path: str | Path,
    *,
    classes: Sequence[CellClass],
    origin: tuple[float, float] = (0.0, 0.0),
    annotations: Sequence[QuPathAnnotation] = (),
) -> int:
    """Write annotations and cells as ``.geojson.gz`` in QuPath's conventions.

    Each cell is a *detection* with the class of the report; ``Positive``, ``Negative`` and ``1+`` to ``3+``
    are QuPath's own, so its percentage and H-score count exactly what the report counts. An excluded cell
    is kept, classified ``Ignore*``, with the reason and its class in the object's metadata; one that is not
    of the tumour is ``Other``.
    Equal cells give equal bytes.

    Parameters
    ----------
    cells : str or Path
        The ``cells.parquet`` of a slide.
    path : str or Path
        The file to make, ending in ``.geojson.gz``.
    classes : sequence of CellClass
        Classes of the cells, for their colours.
    origin : (float, float)
        ``openslide.bounds-x`` and ``-y``, level-0 px, or zeros: QuPath crops a slide to its bounds, so
        this is subtracted from every coordinate.
    annotations : sequence of QuPathAnnotation
        Outlines that come before the cells; empty ones are left out.

    Returns
    -------
    int
        Number of cells written.

    Notes
    -----
    Memory is bounded by one batch of cells. One core writes about forty thousand cells a second, half of
    the time in gzip.
    """
    import pyarrow.parquet as pq

    count = 0
    colors = {each.name: each.color for each in classes}
    shown = [annotation for annotation in annotations if not annotation.outline.is_empty]
    with (
        atomic_file(Path(path)) as temporary,
        temporary.open("wb") as raw,
        gzip.GzipFile(filename="", mode="wb", fileobj=raw, compresslevel=COMPRESS_LEVEL, mtime=0) as stream,
    ):
        stream.write(b'{"type":"FeatureCollection","features":[')
        stream.write(",\n".join(_annotation(annotation, origin) for annotation in shown).encode())
        separator = b",\n" if shown else b"\n"
        names = pq.read_schema(cells).names
        columns = [*COLUMNS, *(name for name in PROBABILITY_NAMES if name in names)]
        for batch in read_cells(cells, columns, batch_size=BATCH_SIZE):
            stream.write(separator)
            stream.write(_features(batch, origin, colors))
            separator = b",\n"
            count += batch.num_rows
        stream.write(b"\n]}\n")
    return count


def _annotation(annotation: QuPathAnnotation, origin: tuple[float, float]) -> str:
    """Return one annotation as a feature."""
    import shapely

    outline = shapely.transform(annotation.outline, lambda xy: np.round(xy - origin, COORDINATE_DECIMALS))
    geometry = shapely.to_geojson(outline)
    properties: dict[str, Any] = {
        "objectType": "annotation",
        "name": annotation.name,
        "color": list(annotation.color),
        "isLocked": True,  # a drag of the mouse must not move the tissue
    }
    finite = {name: value for name, value in annotation.measurements.items() if np.isfinite(value)}
    if finite:
        properties["measurements"] = finite
    identity = uuid.uuid5(ANNOTATION_NAMESPACE, annotation.name + geometry)
    text = json.dumps(properties, ensure_ascii=False, separators=(",", ":"))
    return f'{{"type":"Feature","id":"{identity}","geometry":{geometry},"properties":{text}}}'


def _features(
    batch: pa.RecordBatch, origin: tuple[float, float], colors: Mapping[str, tuple[int, int, int]]
) -> memoryview:
    """Return a batch of cells as features, joined by commas; Arrow does all formatting."""
    import pyarrow.compute as pc

    features = pc.binary_join_element_wise(
        '{"type":"Feature","id":"',
        batch["cell_id"],
        '","geometry":{"type":"Polygon","coordinates":[',
        _coordinates(batch["geometry"], origin),
        ']},"properties":{"objectType":"detection"',
        _classes(batch["label"], batch["excluded"], colors),
        ',"measurements":{',
        _measurements(batch),
        "}}},\n",
        "",
    )
    return memoryview(features.buffers()[2])[:-2]  # Arrow keeps the texts end to end: no joining needed


def _coordinates(wkb: pa.BinaryArray, origin: tuple[float, float]) -> pa.StringArray:
    """Return the rings of each polygon as the text of a GeoJSON coordinates array, less its outer brackets.

    Each point is one row of 32 bytes filled from tables of ready-made digits; zero bytes are places that a
    number does not need, and are dropped at the end. A few array operations instead of millions of texts.
    """
    import pyarrow as pa
    import shapely

    polygons = shapely.from_wkb(wkb.to_numpy(zero_copy_only=False))
    _, xy, (ring_offsets, polygon_offsets) = shapely.to_ragged_array(polygons)
    point_offsets = np.asarray(ring_offsets)[polygon_offsets]
    steps = np.rint((xy - origin) * 10**COORDINATE_DECIMALS).astype(np.int64)
    rows = np.concatenate([_digits(steps[:, 0]), _digits(steps[:, 1])], axis=1)
    rows[:, 1], rows[:, 13], rows[:, 29], rows[:, 31] = b"[,],"
    rows[ring_offsets[:-1], 0] = ord("[")
    rows[ring_offsets[1:] - 1, 30] = ord("]")
    rows[point_offsets[1:] - 1, 31] = 0
    sizes = np.concatenate([[0], np.cumsum(np.count_nonzero(rows, axis=1))])
    offsets = pa.py_buffer(sizes[point_offsets].astype(np.int32))
    text = rows.tobytes().translate(None, b"\0")
    return pa.StringArray.from_buffers(len(polygons), offsets, pa.py_buffer(text))


def _digits(steps: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Write N whole steps of 0.1 px as (N, 16) bytes: sign in 3, ten thousands in 4-7, ``ddd.d`` in 8-12."""
    leading, trailing = _digit_tables()
    high, low = np.divmod(np.abs(steps), 10_000)
    words = np.stack([leading[high], trailing[low + 10_000 * (high == 0)]], axis=1)
    rows = words.view(np.uint8)
    rows[:, 3] = np.where(steps < 0, ord("-"), 0)
    return rows


@cache
def _digit_tables() -> tuple[NDArray[np.uint64], NDArray[np.uint64]]:
    """Return ready-made digits in words of eight bytes.

    The first has 10,000 leading fours; the second 10,000 trailing ``ddd.d``, then the same without
    leading zeros, for numbers that have no leading four. A tenth of zero is not written.
    """
    zero = chr(0)
    leading = (f"{zero * 4}{number or '':{zero}>4}" for number in range(10_000))
    wholes = (f"{number // 10:{fill}>3}" for fill in ("0", zero) for number in range(10_000))
    tenths = [zero * 5, *(f".{digit}{zero * 3}" for digit in range(1, 10))] * 2_000
    trailing = (whole + tenth for whole, tenth in zip(wholes, tenths, strict=True))
    first, second = (np.frombuffer("".join(texts).encode(), np.uint64) for texts in (leading, trailing))
    return first, second


def _decimal_text(values: NDArray[np.float64], decimals: int) -> pa.StringArray:
    """Format numbers with at most that many decimals."""
    import pyarrow as pa

    rounded = np.round(values.astype(np.float64), decimals) + 0.0  # + 0.0 turns -0.0 into 0.0
    return pa.array(rounded).cast(pa.string())


def _classes(
    label: pa.DictionaryArray, excluded: pa.DictionaryArray, colors: Mapping[str, tuple[int, int, int]]
) -> pa.StringArray:
    """Return the classification, and for an excluded cell the metadata, of each cell."""
    import pyarrow as pa
    import pyarrow.compute as pc

    labels, reasons = (column.dictionary_decode() for column in (label, excluded))
    pairs = pc.binary_join_element_wise(labels, reasons, "\x1f").dictionary_encode()
    texts = [_class_text(*pair.split("\x1f", 1), colors=colors) for pair in pairs.dictionary.to_pylist()]
    return pa.DictionaryArray.from_arrays(pairs.indices, pa.array(texts, pa.string())).dictionary_decode()


def _class_text(label: str, reason: str, *, colors: Mapping[str, tuple[int, int, int]]) -> str:
    """Return the JSON of one class, with its leading comma."""
    if reason and reason != NOT_TUMOUR:
        metadata = json.dumps({"Excluded": reason, "Class before exclusion": label}, ensure_ascii=False)
        return f',"classification":{IGNORED_CLASS},"metadata":{metadata}'
    color = list(colors.get(label, OTHER.color))
    return f',"classification":{{"name":{json.dumps(label, ensure_ascii=False)},"color":{color}}}'


def _measurements(batch: pa.RecordBatch) -> pa.StringArray:
    """Return the members of each cell's measurements; a value that is no number is left out."""
    import pyarrow.compute as pc

    members = []
    told = [(name, column, 4) for column, name in PROBABILITY_NAMES.items() if column in batch.schema.names]
    for name, column, decimals in (*MEASUREMENTS, *told):
        values = batch[column].to_numpy(zero_copy_only=False).astype(np.float64)
        text = pc.binary_join_element_wise(f'"{name}":', _decimal_text(values, decimals), "")
        members.append(pc.if_else(np.isfinite(values), text, None))
    return pc.binary_join_element_wise(*members, ",", null_handling="skip")
