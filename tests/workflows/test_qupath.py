"""GeoJSON for QuPath, read by a parser that is as strict as QuPath's own and stricter where it is lenient."""

from __future__ import annotations

import gzip
import json
import math
import uuid
from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
import shapely

from slidelab.workflows.slides import qupath
from slidelab.workflows.slides.cell_file import polygons_to_wkb, write_cells
from slidelab.workflows.slides.nuclear_rule import NuclearRule
from slidelab.workflows.slides.outline import Circle
from slidelab.workflows.slides.qupath import QuPathAnnotation, write_qupath

CLASSES = NuclearRule.classes

OBJECT_TYPES = {"annotation", "detection", "cell", "tile", "tmaCore", "root"}
PROPERTIES = {"objectType", "name", "color", "classification", "isLocked", "measurements", "metadata"}


def read_strictly(path):
    """Return the features of a file, or fail where QuPath would refuse, drop or misread something."""

    def refuse(text):
        raise AssertionError(f"{text} is no JSON number")

    with gzip.open(path, "rt", encoding="utf-8") as stream:
        collection = json.load(stream, parse_constant=refuse)
    assert set(collection) == {"type", "features"}
    assert collection["type"] == "FeatureCollection"
    for feature in collection["features"]:
        check_feature(feature)
    return collection["features"]


def check_feature(feature):
    assert set(feature) == {"type", "id", "geometry", "properties"}
    assert feature["type"] == "Feature"
    assert str(uuid.UUID(feature["id"])) == feature["id"]
    check_geometry(feature["geometry"])
    properties = feature["properties"]
    assert set(properties) <= PROPERTIES, "QuPath drops other properties silently"
    assert properties["objectType"] in OBJECT_TYPES, "without it QuPath makes an annotation"
    if "classification" in properties:
        check_color(properties["classification"]["color"])
        assert properties["classification"]["name"]
    if "color" in properties:
        check_color(properties["color"])
    assert isinstance(properties.get("isLocked", True), bool)
    for value in properties.get("measurements", {}).values():
        assert isinstance(value, int | float), "QuPath reads measurements as numbers only"
        assert math.isfinite(value)
    assert all(isinstance(value, str) for value in properties.get("metadata", {}).values())


def check_color(color):
    assert len(color) == 3
    assert all(isinstance(value, int) and 0 <= value <= 255 for value in color)


def check_geometry(geometry):
    assert set(geometry) == {"type", "coordinates"}
    polygons = {"Polygon": [geometry["coordinates"]], "MultiPolygon": geometry["coordinates"]}
    for polygon in polygons[geometry["type"]]:
        assert polygon
        for ring in polygon:
            assert len(ring) >= 4
            assert ring[0] == ring[-1]
            assert all(len(point) == 2 and all(map(math.isfinite, point)) for point in ring)


@pytest.fixture
def export(tmp_path):
    """Write a table and return the features of its export."""

    def run(cells, **options):
        write_cells(tmp_path / "cells.parquet", [cells])
        count = write_qupath(
            tmp_path / "cells.parquet", tmp_path / "cells.geojson.gz", classes=CLASSES, **options
        )
        assert count == cells.num_rows
        return read_strictly(tmp_path / "cells.geojson.gz")

    return run


def square(x, y):
    """A cell of 10 px with its corner at a place."""
    return np.array([[[x, y], [x + 10, y], [x + 10, y + 10], [x, y + 10]]], float)


def one_cell(make_cells, **values):
    """A table of one cell with some columns set."""
    table = make_cells(1)
    for name, value in values.items():
        column = value if isinstance(value, pa.Array) else pa.array([value], table[name].type)
        table = table.set_column(table.schema.names.index(name), name, column)
    return table


def test_a_positive_nucleus_reads_as_qupath_writes_one(export, make_cells):
    cells = one_cell(
        make_cells,
        label="Positive",
        excluded="",
        area_um2=38.204,
        dab_od_mean=0.31,
        hematoxylin_od_mean=0.52,
        probability=0.875,
        geometry=polygons_to_wkb(square(100.5, 200.25)),
    )
    (feature,) = export(cells)
    assert feature["id"] == cells["cell_id"][0].as_py()
    assert feature["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[100.5, 200.2], [110.5, 200.2], [110.5, 210.2], [100.5, 210.2], [100.5, 200.2]]],
    }
    assert feature["properties"] == {
        "objectType": "detection",
        "classification": {"name": "Positive", "color": [250, 62, 62]},
        "measurements": {
            "Nucleus: Area µm^2": 38.2,
            "Nucleus: DAB OD mean": 0.31,
            "Nucleus: Hematoxylin OD mean": 0.52,
            "Detection probability": 0.875,
        },
    }


def test_qupath_counts_what_the_report_counts(export, make_cells):
    cells = make_cells(3000)
    classes = Counter(feature["properties"]["classification"]["name"] for feature in export(cells))
    pairs = list(zip(cells["label"].to_pylist(), cells["excluded"].to_pylist(), strict=True))
    assert classes["Positive"] == sum(label == "Positive" and not reason for label, reason in pairs)
    assert classes["Negative"] == sum(label == "Negative" and not reason for label, reason in pairs)
    assert classes["Ignore*"] == sum(bool(reason) for _, reason in pairs)
    assert set(classes) == {"Positive", "Negative", "Ignore*"}


def test_an_excluded_nucleus_is_ignored_and_says_why(export, make_cells):
    (feature,) = export(one_cell(make_cells, label="Negative", excluded="pen"))
    assert feature["properties"]["classification"]["name"].endswith("*")
    assert feature["properties"]["metadata"] == {"Excluded": "pen", "Class before exclusion": "Negative"}


def test_another_class_has_a_colour_too(export, make_cells):
    (feature,) = export(one_cell(make_cells, label='Stroma "a\\b"', excluded=""))
    assert feature["properties"]["classification"]["name"] == 'Stroma "a\\b"'


def test_coordinates_start_at_the_bounds_that_qupath_crops_to(export, make_cells):
    cells = one_cell(make_cells, geometry=polygons_to_wkb(square(1000, 2000)))
    (feature,) = export(cells, origin=(990.0, 2004.0))
    assert feature["geometry"]["coordinates"][0][0] == [10, -4]


def test_a_measurement_that_is_no_number_is_left_out(export, make_cells):
    (feature,) = export(one_cell(make_cells, area_um2=math.nan, dab_od_mean=math.inf))
    assert set(feature["properties"]["measurements"]) == {
        "Nucleus: Hematoxylin OD mean",
        "Detection probability",
    }


def test_every_coordinate_is_the_nearest_tenth(export, make_cells):
    random = np.random.default_rng(5)
    tricky = [
        0,
        0.04,
        0.06,
        -0.04,
        -0.06,
        -0.5,
        9.95,
        99.97,
        999.96,
        1000,
        9999.9,
        10_000,
        123_456.7,
        -12_345.6,
    ]
    values = np.concatenate([tricky, random.uniform(-2000, 9_000_000, 4986)])
    outlines = np.stack([values.reshape(-1, 4), values[::-1].reshape(-1, 4)], axis=2)
    table = make_cells(len(outlines))
    table = table.set_column(table.schema.names.index("geometry"), "geometry", polygons_to_wkb(outlines))
    shown = np.array([feature["geometry"]["coordinates"][0][:4] for feature in export(table)])
    stored = np.round(outlines * 64) / 64
    np.testing.assert_array_equal(shown, np.rint(stored * 10) / 10)


def test_outlines_of_different_length_and_with_holes_survive(export, make_cells):
    shapes = [
        shapely.Polygon([(0, 0), (9, 0), (9, 9)]),
        shapely.Polygon(
            [(0, 0), (90, 0), (90, 90), (0, 90)],
            [[(10, 10), (20, 10), (20, 20)], [(50, 50), (60, 50), (60, 60), (50, 60)]],
        ),
        shapely.Point(500, 500).buffer(20),
    ]
    table = make_cells(3)
    wkb = pa.array(shapely.to_wkb(shapes), pa.binary())
    table = table.set_column(table.schema.names.index("geometry"), "geometry", wkb)
    for feature, shape in zip(export(table), shapes, strict=True):
        read = shapely.geometry.shape(feature["geometry"])
        assert len(read.interiors) == len(shape.interiors)
        assert read.symmetric_difference(shape).area < 0.1 * shape.length


def test_batches_are_joined_without_a_seam(export, make_cells, monkeypatch):
    monkeypatch.setattr(qupath, "BATCH_SIZE", 7)
    for count in (0, 1, 7, 8, 50):
        assert len(export(make_cells(count))) == count


def test_annotations_come_first_locked_and_named(export, make_cells):
    tissue = shapely.Polygon([(0, 0), (100, 0), (100, 100), (0, 100)], [[(20, 20), (40, 20), (40, 40)]])
    features = export(
        make_cells(3),
        origin=(5.0, 0.0),
        annotations=[
            QuPathAnnotation("Tissue", shapely.MultiPolygon([tissue])),
            QuPathAnnotation("nothing", shapely.MultiPolygon()),
            QuPathAnnotation('Hot "spot"', Circle(50, 50, 10).polygon(), (255, 212, 0), {"Positive %": 12.5}),
        ],
    )
    assert [feature["properties"]["objectType"] for feature in features[:3]] == ["annotation"] * 2 + [
        "detection"
    ]
    first, second = features[:2]
    assert first["properties"]["name"] == "Tissue"
    assert len(first["geometry"]["coordinates"][0]) == 2
    assert shapely.geometry.shape(first["geometry"]).bounds == (-5, 0, 95, 100)
    assert second["properties"]["name"] == 'Hot "spot"'
    assert second["properties"]["measurements"] == {"Positive %": 12.5}
    assert second["properties"]["color"] == [255, 212, 0]
    assert first["id"] != second["id"]


def test_a_file_with_annotations_alone_is_whole(export, make_cells):
    features = export(make_cells(0), annotations=[QuPathAnnotation("Hot spot", Circle(5, 5, 2).polygon())])
    assert len(features) == 1


def test_equal_cells_give_equal_bytes_without_time_or_name(tmp_path, make_cells):
    cells = make_cells(500)
    files = []
    for name in ("a", "b"):
        write_cells(tmp_path / f"{name}.parquet", [cells])
        write_qupath(tmp_path / f"{name}.parquet", tmp_path / f"{name}.geojson.gz", classes=CLASSES)
        files.append((tmp_path / f"{name}.geojson.gz").read_bytes())
    assert files[0] == files[1]
    assert files[0][3] & 0b1000 == 0, "gzip's flag of a stored name"
    assert files[0][4:8] == b"\0\0\0\0", "gzip's time"
