"""What is true of a phantom slide: every nucleus in a table, the sums in JSON."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import shapely
from numpy.typing import NDArray

from .artefact import REASONS, Artefact, reasons_at
from .cells import CLASSES, LYMPHOCYTE, MACROPHAGE, TUMOUR, Cells, measure
from .field import HotSpot
from .paint import Canvas
from .scanner import SCANNERS
from .scores import Scores, count_grades, grade_columns, grade_schema, scores_of
from .settings import KINDS, OWN_SETTINGS, PhantomSettings
from .texture import Floats

ROWS_PER_GROUP = 8192
FORMAT = "slidelab-phantom-1"
STAINED_IMMUNE = (LYMPHOCYTE, MACROPHAGE)  # that PD-L1 stains


@dataclass(frozen=True)
class HotSpotTruth:
    """One hot spot as it came out."""

    x: float
    "Centre, level-0 px."
    y: float
    "Centre, level-0 px."
    radius_um: float
    "Radius, um."
    tumour_nuclei: int
    "Tumour nuclei within the radius."
    positive_nuclei: int
    "Positive ones of them."

    @property
    def index(self) -> float | None:
        """Positive in percent of tumour nuclei; None without tumour nuclei."""
        return _percent(self.positive_nuclei, self.tumour_nuclei)


@dataclass(frozen=True)
class PhantomTruth:
    """What is true of a phantom slide."""

    path: Path
    "The slide."
    cells_path: Path
    "Parquet table of all nuclei."
    json_path: Path
    "These sums, with stain vectors, outlines of artefacts and settings."
    settings: PhantomSettings
    "What was asked for."
    value: float | None
    "The kind's truth as it came out over the whole slide, percent; None without nuclei."
    value_outside_artefacts: float | None
    "The same over nuclei outside all artefacts."
    counts: dict[str, int]
    "Nuclei: all, by class, positive, negative, and the tumour nuclei inside each kind of artefact."
    areas_mm2: dict[str, float]
    "Slide, tissue (inside its outline, empty spaces included), glass, and each kind of artefact."
    hot_spots: tuple[HotSpotTruth, ...]
    "Areas of higher positivity."
    scores: dict[str, Scores]
    "What a reader would score by the kind's rules, over all cells and outside artefacts; empty for some."


def truth_paths(path: Path) -> tuple[Path, Path]:
    """Return where the table and the JSON file of a slide lie."""
    return path.with_suffix(".truth.parquet"), path.with_suffix(".truth.json")


@dataclass(eq=False)
class _Sums:
    counts: Counter[str] = field(default_factory=Counter)
    hot: Counter[tuple[int, bool]] = field(default_factory=Counter)


class TruthWriter:
    """Streams nuclei into the table and adds them up."""

    def __init__(self, table_path: Path, canvas: Canvas) -> None:
        self._canvas, self._sums = canvas, _Sums()
        self._kind, self._classes = canvas.settings.kind, CLASSES[: canvas.painter.classes]
        self._schema = _schema(self._kind)
        self._spots = canvas.layout.field.hot_spots if canvas.painter.marker else ()
        self._count(Cells.none(len(canvas.painter.stains)), np.zeros(0, "<U12"), np.zeros(0), np.zeros(0))
        self._mpp = canvas.settings.mpp
        self._parts: list[pa.Table] = []
        self._file = pq.ParquetWriter(table_path, self._schema, compression="zstd")

    def add(self, cells: Cells, means: Floats) -> None:
        """Take the nuclei of one window with the mean optical densities measured there, (n, stains)."""
        if not len(cells):
            return
        outlines = cells.outlines()
        x, y, area = measure(outlines)
        reason = reasons_at(self._canvas.artefacts, x, y)
        self._count(cells, reason, x, y)
        stains = self._canvas.painter.stains
        dab = means[:, stains.index("dab")] if "dab" in stains else np.zeros(len(cells), np.float32)
        columns = {
            "x": x / self._mpp,
            "y": y / self._mpp,
            "class": _named(cells.kind, self._classes),
            "label": _named(self._labels(cells), ("", "Negative", "Positive")),
            "dab_od": dab,
            "hematoxylin_od": means[:, stains.index("hematoxylin")],
            "area_um2": area.astype(np.float32),
            "artefact": pa.array(reason.tolist()).dictionary_encode(),
            "geometry": shapely.to_wkb(shapely.polygons(outlines / self._mpp)),
            **grade_columns(self._kind, cells),
        }
        schema = self._schema
        self._parts.append(
            pa.table({k: pa.array(v).cast(schema.field(k).type) for k, v in columns.items()}, schema)
        )
        if sum(part.num_rows for part in self._parts) >= ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        """Complete the table."""
        self._flush()
        self._file.close()

    def _flush(self) -> None:
        if self._parts:
            table = pa.concat_tables(self._parts).unify_dictionaries()
            self._file.write_table(table, row_group_size=table.num_rows)
            self._parts = []

    def _labels(self, cells: Cells) -> NDArray[np.intp]:
        """Return 0 without a marker, 1 negative, 2 positive."""
        if self._canvas.painter.marker is None:
            return np.zeros(len(cells), dtype=np.intp)
        can_be = (cells.kind == TUMOUR) | (np.isin(cells.kind, STAINED_IMMUNE) & (self._kind == "pdl1"))
        return np.where(cells.positive, 2, np.where(can_be, 1, 0))

    def _count(self, cells: Cells, reason: NDArray[np.str_], x: Any, y: Any) -> None:
        counts, tumour = self._sums.counts, cells.kind == TUMOUR
        clear = reason == ""
        counts["nuclei"] += len(cells)
        counts["nuclei_outside_artefacts"] += int(clear.sum())
        for k, name in enumerate(self._classes):
            counts[name] += int((cells.kind == k).sum())
        counts["tumour_outside_artefacts"] += int((tumour & clear).sum())
        positive = tumour & cells.positive
        counts["positive"] += int(positive.sum())
        counts["positive_outside_artefacts"] += int((positive & clear).sum())
        for name in REASONS:
            counts[f"tumour_in_{name}"] += int((tumour & (reason == name)).sum())
        counts.update(count_grades(self._kind, cells, clear))
        for k, spot in enumerate(self._spots):
            near = tumour & (np.hypot(x - spot.x, y - spot.y) <= spot.radius)
            self._sums.hot[k, False] += int(near.sum())
            self._sums.hot[k, True] += int((near & cells.positive).sum())

    def sum_up(self, path: Path) -> PhantomTruth:
        """Return the sums over all nuclei taken so far, for a slide at ``path``."""
        counts = dict(sorted(self._sums.counts.items()))
        settings = self._canvas.settings
        cells_path, json_path = truth_paths(path)
        return PhantomTruth(
            path=path,
            cells_path=cells_path,
            json_path=json_path,
            settings=settings,
            value=_value(settings.kind, counts, ""),
            value_outside_artefacts=_value(settings.kind, counts, "_outside_artefacts"),
            counts=counts,
            areas_mm2=_areas(self._canvas),
            hot_spots=tuple(self._hot_spot(k, spot) for k, spot in enumerate(self._spots)),
            scores=scores_of(settings.kind, counts),
        )

    def _hot_spot(self, k: int, spot: HotSpot) -> HotSpotTruth:
        return HotSpotTruth(
            x=spot.x / self._mpp,
            y=spot.y / self._mpp,
            radius_um=spot.radius,
            tumour_nuclei=self._sums.hot[k, False],
            positive_nuclei=self._sums.hot[k, True],
        )


def write_json(target: Path, truth: PhantomTruth, canvas: Canvas) -> None:
    """Write the sums, stain vectors and outlines to a JSON file."""
    settings, scanner = canvas.settings, SCANNERS[canvas.settings.scanner]
    vectors = scanner.effective_vectors(settings.kind)
    gains = {name: float(np.linalg.norm(vector)) for name, vector in vectors.items()}
    document = {
        "format": FORMAT,
        "slide": truth.path.name,
        "cells": truth.cells_path.name,
        "settings": _own_settings(settings),
        "truth": {
            "meaning": KINDS[settings.kind].truth,
            "asked": settings.truth_percent,
            "value": truth.value,
            "value_outside_artefacts": truth.value_outside_artefacts,
        },
        "counts": truth.counts,
        **({"scores": truth.scores} if truth.scores else {}),
        "areas_mm2": truth.areas_mm2,
        "hot_spots": [asdict(spot) | {"index": spot.index} for spot in truth.hot_spots],
        "white_point": [round(v, 3) for v in scanner.white_point],
        "stain_vectors": {n: [round(v / gains[n], 6) for v in vectors[n]] for n in canvas.painter.stains},
        "stain_gains": {n: round(gains[n], 6) for n in canvas.painter.stains},
        "tissue": [_ring(piece.outline, settings.mpp) for piece in canvas.layout.field.pieces],
        "artefacts": [_described(artefact, settings.mpp) for artefact in canvas.artefacts],
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
    target.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")


def _own_settings(settings: PhantomSettings) -> dict[str, Any]:
    """Return the settings that the kind takes."""
    foreign = set(OWN_SETTINGS) - set(KINDS[settings.kind].takes)
    return {name: value for name, value in asdict(settings).items() if name not in foreign}


def _described(artefact: Artefact, mpp: float) -> dict[str, Any]:
    area = artefact.polygon.area * 1e-6
    return {"reason": artefact.reason, "area_mm2": area, "outline": _ring(artefact.outline, mpp)}


def _ring(outline: Any, mpp: float) -> list[list[float]]:
    """Return a closed outline in level-0 px."""
    ring = np.round(np.vstack((outline, outline[:1])) / mpp, 2)
    return [[float(x), float(y)] for x, y in ring]


def _areas(canvas: Canvas) -> dict[str, float]:
    """Return areas in mm2; parts of an artefact kind that overlap count once."""
    settings = canvas.settings
    slide = settings.width * settings.height * settings.mpp**2 * 1e-6
    tissue = shapely.union_all([shapely.Polygon(p.outline) for p in canvas.layout.field.pieces])
    areas = {"slide": slide, "tissue": tissue.area * 1e-6, "glass": slide - tissue.area * 1e-6}
    for reason in REASONS:
        shape = shapely.union_all([a.polygon for a in canvas.artefacts_of(reason)])
        areas[reason] = shape.area * 1e-6
        areas[f"{reason}_on_tissue"] = shapely.intersection(shape, tissue).area * 1e-6
    every = shapely.union_all([a.polygon for a in canvas.artefacts])
    areas["tissue_outside_artefacts"] = shapely.difference(tissue, every).area * 1e-6
    return areas


def _value(kind: str, counts: dict[str, int], where: str) -> float | None:
    if KINDS[kind].truth_sets_stroma:
        return _percent(counts.get(f"tumour{where}", 0), counts.get(f"nuclei{where}", 0))
    return _percent(counts.get(f"positive{where}", 0), counts.get(f"tumour{where}", 0))


def _percent(part: int, whole: int) -> float | None:
    return 100.0 * part / whole if whole else None


def _named(codes: NDArray[Any], names: tuple[str, ...]) -> pa.DictionaryArray:
    return pa.DictionaryArray.from_arrays(pa.array(codes, pa.int32()), pa.array(names))


def _schema(kind: str) -> pa.Schema:
    """Return the table's columns; readers of GeoParquet 1.1 find the outlines."""
    text = pa.dictionary(pa.int32(), pa.string())
    column = {"encoding": "WKB", "geometry_types": ["Polygon"], "crs": None}
    geo = {"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}}
    return pa.schema(
        [
            ("x", pa.float64()),
            ("y", pa.float64()),
            ("class", text),
            ("label", text),
            ("dab_od", pa.float32()),
            ("hematoxylin_od", pa.float32()),
            ("area_um2", pa.float32()),
            ("artefact", text),
            ("geometry", pa.binary()),
            *grade_schema(kind),
        ],
        metadata={"geo": json.dumps(geo)},
    )
