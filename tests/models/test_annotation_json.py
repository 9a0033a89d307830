"""QuPath's GeoJSON, COCO, Labelbox and lists of polygons give the cells that they hold."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from slidelab.errors import InvalidTableError
from slidelab.models.annotated import Annotation, read_annotation

from .annotation_files import SQUARE, feature, places, put

CORNERS = [{"x": x, "y": y} for x, y in SQUARE]


# ---------------------------------------------------------------- GeoJSON


RING = [*SQUARE, SQUARE[0]]
FAR = [[100, 100], [101, 100], [101, 101], [100, 101], [100, 100]]


def test_qupath_geometries_and_ways_to_name_a_class(tmp_path: Path) -> None:
    features = [
        feature("Polygon", [RING, FAR], classification={"name": "Tumor: Positive", "color": [1, 2, 3]}),
        feature("MultiPolygon", [[FAR], [RING]], classification={"names": ["Tumor", "Negative"]}),
        feature("Point", [1, 2], classification="Stroma"),
        feature("MultiPoint", [[3, 4], [5, 6]]),
    ]
    for name, document in (
        ("a.geojson", {"type": "FeatureCollection", "features": features}),
        ("b.json", features),
    ):
        read = read_annotation(put(tmp_path / name, document))
        assert places(read) == [(12, 22), (12, 22), (1, 2), (3, 4), (5, 6)]
        assert read.labels == ("Tumor: Positive", "Tumor: Negative", "Stroma", "", "")
        assert [outline is None for outline in read.outlines] == [False, False, True, True, True]
        assert read.outlines[0] is not None
        assert read.outlines[0].tolist() == SQUARE  # the repeated vertex is gone


def test_qupath_cells_give_their_nuclei_also_gzipped(tmp_path: Path) -> None:
    cell = feature("Polygon", [FAR], objectType="cell")
    cell["nucleusGeometry"] = {"type": "Polygon", "coordinates": [RING]}
    path = put(tmp_path / "cells.geojson.gz", gzip.compress(json.dumps([cell]).encode()))
    assert places(read_annotation(path)) == [(12, 22)]


def test_regions_tiles_and_ignored_objects_are_no_cells(tmp_path: Path) -> None:
    region = feature("Polygon", [FAR], objectType="annotation", classification="Tissue")
    ignored = feature("Polygon", [FAR], objectType="detection", classification="Ignore*")
    tile = feature("Polygon", [FAR], objectType="tile")
    added = feature("Point", [1, 2], objectType="annotation", classification="Positive")
    detection = feature("Polygon", [RING], objectType="detection")
    read = read_annotation(put(tmp_path / "a.geojson", [region, ignored, tile, added, detection]))
    assert places(read) == [(1, 2), (12, 22)]
    # alone, annotations are the objects
    assert places(read_annotation(put(tmp_path / "b.geojson", [region, tile]))) == [(100.5, 100.5)]


# ---------------------------------------------------------------- COCO


def coco(*annotations: dict[str, Any], images: int = 1) -> dict[str, Any]:
    names = [{"id": n, "file_name": f"set/im{n}.png", "width": 40, "height": 30} for n in range(images)]
    rows = [{"id": n, "image_id": 0, "category_id": 7, **row} for n, row in enumerate(annotations)]
    return {"images": names, "annotations": rows, "categories": [{"id": 7, "name": "nucleus"}]}


def test_coco_polygons_boxes_and_run_lengths(tmp_path: Path) -> None:
    flat = [value for vertex in SQUARE for value in vertex]
    mask = np.zeros((30, 40), bool)
    mask[20:24, 10:14] = True
    edges = np.flatnonzero(np.diff(mask.T.ravel(), prepend=False))
    runs = np.diff(edges, prepend=0, append=mask.size).tolist()
    ell = {"counts": [0, 3, 27, 2, 1168], "size": [30, 40]}  # rows 0-2 of the first column, 0-1 of the next
    document = coco(
        {"segmentation": [[0, 0, 1, 0, 1, 1], flat]},
        {"bbox": [10, 20, 4, 4], "segmentation": []},
        {"segmentation": {"counts": runs, "size": [30, 40]}, "iscrowd": 1},
        {"segmentation": ell},
    )
    read = read_annotation(put(tmp_path / "coco.json", document), image_size=(40, 30))
    assert read.labels == ("nucleus",) * 4
    assert np.allclose(places(read)[:3], (12, 22))
    drawn = [Annotation(read.x[[n]], read.y[[n]], ("",), (read.outlines[n],)) for n in range(4)]
    rows, columns = np.nonzero(drawn.pop().rasterise(40, 30))
    assert list(zip(rows, columns, strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1), (2, 0)]
    for one in drawn:
        assert np.array_equal(one.rasterise(40, 30) > 0, mask)


def test_coco_of_several_images_asks_which(tmp_path: Path) -> None:
    document = coco({"bbox": [10, 20, 4, 4]}, {"image_id": 1, "bbox": [0, 0, 2, 2]}, images=3)
    path = put(tmp_path / "coco.json", document)
    assert places(read_annotation(path, image_name="set/im1.png")) == [(1, 1)]
    assert places(read_annotation(path, image_name="im0.png")) == [(12, 22)]
    assert len(read_annotation(path, image_name="im2")) == 0
    for name in (None, "im9.png"):
        with pytest.raises(InvalidTableError):
            read_annotation(path, image_name=name)


@pytest.mark.parametrize(
    "row",
    [
        {},
        {"bbox": [1, 2, -3, 4]},
        {"bbox": [1, 2, 3, 4], "category_id": 8},
        {"segmentation": [[1, 2, 3]]},
        {"segmentation": {"counts": "PPYo0", "size": [30, 40]}},
        {"segmentation": {"counts": [10**12], "size": [10**6, 10**6]}},
        {"segmentation": {"counts": [5, 5], "size": [30, 40]}},
        {"segmentation": {"counts": [1200], "size": [30, 40]}},
    ],
)
def test_coco_that_makes_no_sense_is_refused(tmp_path: Path, row: dict[str, Any]) -> None:
    with pytest.raises(InvalidTableError):
        read_annotation(put(tmp_path / "coco.json", coco(row)))


# ---------------------------------------------------------------- Labelbox and plain polygons


LABELBOX = [
    {
        "External ID": "a.png",
        "Label": {"Positive": [{"geometry": CORNERS}], "Negative": [{"geometry": {"x": 1, "y": 2}}]},
    },
    {
        "External ID": "a.png",
        "Label": {
            "objects": [
                {"title": "Positive", "polygon": CORNERS},
                {"title": "Negative", "point": {"x": 1, "y": 2}},
            ],
            "classifications": [],
        },
    },
    {
        "data_row": {"external_id": "a.png"},
        "projects": {
            "p": {
                "labels": [
                    {
                        "annotations": {
                            "objects": [
                                {
                                    "name": "Positive",
                                    "bounding_box": {"left": 10, "top": 20, "width": 4, "height": 4},
                                },
                                {"name": "Negative", "point": {"x": 1, "y": 2}},
                            ]
                        }
                    }
                ]
            }
        },
    },
]


@pytest.mark.parametrize("row", LABELBOX)
def test_labelbox_exports_of_every_age(tmp_path: Path, row: dict[str, Any]) -> None:
    skipped = {"External ID": "b.png", "Label": "Skip"}
    one = put(tmp_path / "one.json", [row])
    several = put(tmp_path / "several.ndjson", "\n".join(json.dumps(r) for r in (skipped, row)))
    for read in (read_annotation(one), read_annotation(several, image_name="a.png")):
        assert places(read) == [(12, 22), (1, 2)]
        assert read.labels == ("Positive", "Negative")
        assert [outline is None for outline in read.outlines] == [False, True]
    assert len(read_annotation(several, image_name="b.png")) == 0
    with pytest.raises(InvalidTableError, match="2 images"):
        read_annotation(several)


def test_polygons_by_class(tmp_path: Path) -> None:
    path = put(tmp_path / "polygons.json", {"polygons": {"B": [SQUARE], "A": [SQUARE, SQUARE]}})
    read = read_annotation(path)
    assert (read.labels, read.classes) == (("B", "A", "A"), ("A", "B"))
