"""Annotations draw what was read, bad files are named as such, and real ones are read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from slidelab.errors import InvalidTableError, SlideNotFoundError
from slidelab.models.annotated import Annotation, read_annotation

from .annotation_files import SQUARE, feature, places, put

# ---------------------------------------------------------------- the noun


@st.composite
def label_maps(draw: st.DrawFn) -> np.ndarray:
    """Boxes of 1-5 px on a map, later ones over earlier ones, without any that is parted or pierced."""
    labels = np.zeros((14, 17), np.int32)
    for number in range(1, draw(st.integers(1, 6)) + 1):
        x, y = draw(st.integers(0, 16)), draw(st.integers(0, 13))
        part = labels[y : y + draw(st.integers(1, 5)), x : x + draw(st.integers(1, 5))]
        if not part.any():
            part[...] = number * 3
    return labels


@given(label_maps())
def test_outlines_of_an_instance_map_draw_the_same_map(labels: np.ndarray) -> None:
    read = Annotation.from_instances(labels, label="A")
    ids = np.unique(labels)
    assert np.array_equal(read.rasterise(17, 14), np.searchsorted(ids, labels))
    for number, (x, y) in zip(ids[1:], places(read), strict=True):
        rows, columns = np.nonzero(labels == number)
        assert (x, y) == pytest.approx((columns.mean() + 0.5, rows.mean() + 0.5))
    assert set(read.labels) == {"A"}


def test_diagonal_neighbours_stay_one_outline() -> None:
    labels = np.eye(4, dtype=np.int32)
    assert np.array_equal(Annotation.from_instances(labels).rasterise(4, 4), labels)


def test_an_empty_map_gives_nothing() -> None:
    read = Annotation.from_instances(np.zeros((3, 4), int))
    assert len(read) == 0
    assert read.rasterise(4, 3).tolist() == np.zeros((3, 4)).tolist()


def test_later_outlines_lie_on_top_and_points_draw_nothing(tmp_path: Path) -> None:
    other = [[12, 20], [16, 20], [16, 24], [12, 24]]
    features = [feature("Polygon", [SQUARE]), feature("Point", [1, 1]), feature("Polygon", [other])]
    drawn = read_annotation(put(tmp_path / "a.geojson", features)).rasterise(20, 30)
    assert drawn.shape == (30, 20)
    assert drawn[22].tolist() == [0] * 10 + [1, 1] + [3] * 4 + [0] * 4
    assert np.unique(drawn).tolist() == [0, 1, 3]


def test_centroids_are_those_of_areas_and_never_far_away(tmp_path: Path) -> None:
    crowded = [[0, 0], [1, 0], [2, 0], [3, 0], [4, 0], [4, 4], [0, 4]]  # many vertices on one side
    crossing = [[1e6, 0], [1e6 + 4, 4], [1e6 + 4, 0.001], [1e6, 4]]
    line = [[1, 1], [3, 3], [5, 5]]
    read = read_annotation(put(tmp_path / "a.json", {"polygons": {"": [crowded, crossing, line, line[:2]]}}))
    assert np.allclose(places(read)[0], (2, 2))
    assert 1e6 <= read.x[1] <= 1e6 + 4
    assert 0 <= read.y[1] <= 4
    assert places(read)[2:] == [(3, 3), (2, 2)]
    assert read.outlines[3] is None  # two vertices enclose nothing


def test_columns_of_different_lengths_are_refused() -> None:
    with pytest.raises(InvalidTableError):
        Annotation(np.zeros(2), np.zeros(2), ("a",), (None, None))
    with pytest.raises(InvalidTableError):
        Annotation(np.array([np.nan]), np.zeros(1), ("a",), (None,))


# ---------------------------------------------------------------- bad files


def test_nuclei_outside_the_image_are_counted(tmp_path: Path) -> None:
    path = put(tmp_path / "points.csv", "x,y\n1,1\n-1,5\n5,101\n100,100\n")
    with pytest.raises(InvalidTableError, match="2 of 4 nuclei lie outside the 100 x 100 px image"):
        read_annotation(path, image_size=(100, 100))


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", ""),
        ("a.csv", "x,z\n1,2\n"),
        ("a.csv", "1,2,3,4\n"),
        ("a.csv", "x,y\n1,nan\n"),
        ("a.csv", "x,y\n1,two\n"),
        ("a.csv", "x,y\n1\n"),
        ("a.csv", "xmin,ymin,xmax,ymax\n5,5,1,9\n"),
        ("a.csv", b"\x00\x01\x02\xff"),
        ("a.json", "{"),
        ("a.json", "3"),
        ("a.json", "[1, 2]"),
        ("a.json", {}),
        ("a.json", "[" * 100_000),
        ("a.json", b"\xff\xfe\xfa"),
        ("a.json", '{"polygons": {"A": [[[1, NaN], [2, 3], [4, 5]]]}}'),
        ("a.json", {"polygons": {"A": [[["a", 1], [2, 3]]]}}),
        ("a.json", {"polygons": {"A": [[[1, 2], [3]]]}}),
        ("a.json", {"images": [], "annotations": []}),
        ("a.json", [{"External ID": "a", "Label": {"A": [{"mask": {"instanceURI": "https://"}}]}}]),
        ("a.geojson", [{"type": "Feature", "geometry": None}]),
        ("a.geojson", [feature("LineString", SQUARE)]),
        ("a.geojson", [feature("Polygon", [])]),
        ("a.geojson.gz", b"\x1f\x8b\x08 cut short"),
        ("a.xml", "<annotation>"),
        ("a.xml", "<boxes/>"),
        ("a.xml", "<annotation><object><name>a</name></object></annotation>"),
        ("a.xml", '<?xml version="1.0" encoding="none-such"?><annotation/>'),
        ("a.docx", "x,y\n1,2\n"),
    ],
)
def test_bad_files_are_refused_in_one_line_with_advice(tmp_path: Path, name: str, content: Any) -> None:
    path = put(tmp_path / name, content)
    with pytest.raises(InvalidTableError) as caught:
        read_annotation(path)
    assert caught.value.what.startswith(f"{name}: ")
    assert "\n" not in caught.value.what + caught.value.advice
    assert caught.value.advice


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SlideNotFoundError, match=r"none\.csv"):
        read_annotation(tmp_path / "none.csv")


# ---------------------------------------------------------------- real annotations


def test_real_point_tables_lie_in_their_images(data_folder: Path) -> None:
    tables = sorted((data_folder / "ihc" / "erpr-endonuke-tiles").glob("*_points.csv"))
    assert tables
    for path in tables:
        with Image.open(path.with_name(path.name.replace("_points.csv", ".jpg"))) as image:
            assert len(read_annotation(path, image_size=image.size)) > 0


def test_real_polygons_and_boxes(data_folder: Path) -> None:
    path = sorted((data_folder / "ihc" / "ki67-glioma-nuclei").glob("*/polygons.json"))[0]
    with Image.open(path.with_name("original.jpg")) as image:
        read = read_annotation(path, image_size=image.size)
    assert read.classes == ("Negative", "Positive")
    assert all(outline is not None for outline in read.outlines)
    boxes = data_folder / "bloodsmear" / "bccd" / "boxes.csv"
    assert (
        read_annotation(boxes, image_name="BloodImage_00000", image_size=(640, 480)).labels.count("WBC") == 1
    )


@pytest.mark.parametrize("name", ["dsb2018-stained/labels", "gbm40/labels", "tnbc-naylor/masks"])
def test_real_label_images_come_back_from_their_outlines(data_folder: Path, name: str) -> None:
    path = sorted((data_folder / "he" / name).glob("*.png"))[0]
    with Image.open(path) as image:
        labels = np.asarray(image)
    drawn = read_annotation(path).rasterise(labels.shape[1], labels.shape[0])
    assert len(np.unique(drawn)) == len(np.unique(labels))
    assert ((drawn > 0) == (labels > 0)).mean() > 0.999
