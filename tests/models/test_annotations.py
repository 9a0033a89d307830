"""Annotations are read from the formats of common labelling programs, and bad files are named as such."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from slidelab.errors import InvalidTableError, ResolutionError, SlideNotFoundError
from slidelab.models.annotated import Annotation, read_annotation

SQUARE = [[10, 20], [14, 20], [14, 24], [10, 24]]
"""Centre (12, 22)."""
CORNERS = [{"x": x, "y": y} for x, y in SQUARE]


def put(path: Path, content: Any) -> Path:
    """Write text, bytes or JSON."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def places(annotation: Annotation) -> list[tuple[float, float]]:
    return list(zip(annotation.x.tolist(), annotation.y.tolist(), strict=True))


# ---------------------------------------------------------------- tables


@pytest.mark.parametrize(
    "text",
    [
        "x,y,class\n1.5,2,A\n3,4.25,B\n",
        "1.5,2,A\n3,4.25,B",
        " X , Y , Label \n 1.5 , 2 , A \n\n 3, 4.25 ,B\n",
        "x;y;class\n1,5;2;A\n3;4,25;B\n",
        "1,5\t2\tA\r\n3\t4,25\tB\r\n",
        "1.5 2 A\n3   4.25 B\n",
        "\ufeffclass,y,x\nA,2,1.5\nB,4.25,3\n",
        "Image\tClassification\tCentroid X px\tCentroid Y px\nim\tA\t1.5\t2\nim\tB\t3\t4.25\n",
    ],
)
def test_tables_of_points_are_read_as_people_write_them(tmp_path: Path, text: str) -> None:
    read = read_annotation(put(tmp_path / "points.csv", text))
    assert places(read) == [(1.5, 2.0), (3.0, 4.25)]
    assert read.labels == ("A", "B")
    assert read.outlines == (None, None)


def test_points_need_no_class_and_a_table_no_points(tmp_path: Path) -> None:
    assert read_annotation(put(tmp_path / "two.csv", "1,2\n3,4\n")).labels == ("", "")
    assert len(read_annotation(put(tmp_path / "none.csv", "x,y,class\n"), image_size=(5, 5))) == 0


def test_positions_in_um_need_the_scale(tmp_path: Path) -> None:
    path = tmp_path / "measurements.tsv"
    path.write_text("Centroid X µm\tCentroid Y µm\n10\t20\n", encoding="utf-8")
    assert places(read_annotation(path, mpp=0.5)) == [(20.0, 40.0)]
    path.write_text("x_um,y_um\n10,20\n")
    assert places(read_annotation(path, mpp=0.25)) == [(40.0, 80.0)]
    with pytest.raises(InvalidTableError, match="in um"):
        read_annotation(path)
    with pytest.raises(ResolutionError):
        read_annotation(path, mpp=0)


def test_spreadsheets_save_in_their_own_encodings(tmp_path: Path) -> None:
    text = "Centroid X µm\tCentroid Y µm\n10\t20\n"
    for encoding in ("utf-16", "latin-1"):
        path = put(tmp_path / f"{encoding}.tsv", text.encode(encoding))
        assert places(read_annotation(path, mpp=1)) == [(10.0, 20.0)]


def test_a_table_of_boxes_and_several_images(tmp_path: Path) -> None:
    rows = "file,class,xmin,ymin,xmax,ymax\na.jpg,RBC,10,20,14,24\nb.jpg,WBC,0,0,2,2\n"
    path = put(tmp_path / "boxes.csv", rows)
    read = read_annotation(path, image_name="a.png")
    assert (places(read), read.labels) == ([(12.0, 22.0)], ("RBC",))
    assert read.outlines[0] is not None
    assert read.outlines[0].tolist() == SQUARE
    with pytest.raises(InvalidTableError, match="describes 2 images") as caught:
        read_annotation(path)
    assert "'a.jpg'" in caught.value.advice
    with pytest.raises(InvalidTableError, match=r"'c\.jpg'"):
        read_annotation(path, image_name="c.jpg")


# ---------------------------------------------------------------- GeoJSON


def feature(kind: str, coordinates: Any, **properties: Any) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


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


# ---------------------------------------------------------------- Pascal VOC


VOC = """<?xml version="1.0"?>{doctype}
<annotation><size><width>40</width><height>30</height></size>
<object><name> RBC </name>
<bndbox><xmin>10</xmin><ymin>20</ymin><xmax>14</xmax><ymax>24.0</ymax></bndbox></object>
</annotation>"""


def test_voc_boxes(tmp_path: Path) -> None:
    path = put(tmp_path / "a.xml", VOC.format(doctype=""))
    read = read_annotation(path, image_size=(40, 30))
    assert (places(read), read.labels) == ([(12, 22)], ("RBC",))
    with pytest.raises(InvalidTableError, match="40 x 30 px, but the image has 80 x 60"):
        read_annotation(path, image_size=(80, 60))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_voc_that_could_expand_entities_is_refused(tmp_path: Path, encoding: str) -> None:
    bomb = '<!DOCTYPE annotation [<!ENTITY a "b"><!ENTITY c "&a;&a;&a;">]>'
    content = VOC.format(doctype=bomb).encode(encoding)
    with pytest.raises(InvalidTableError, match="document type"):
        read_annotation(put(tmp_path / "bomb.xml", content))


def test_xml_beyond_all_bounds_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTableError, match="MiB"):
        read_annotation(put(tmp_path / "big.xml", b"<annotation>" + b" " * 2**24 + b"</annotation>"))


# ---------------------------------------------------------------- masks


def blobs() -> np.ndarray:
    """Three nuclei with gaps in their numbers; two of them touch."""
    labels = np.zeros((12, 16), np.uint16)
    labels[1:4, 1:5] = 300
    labels[1:4, 5:8] = 7
    labels[6:11, 9:12] = 41
    labels[6, 9] = 0
    return labels


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("a.png", np.uint8),
        ("a.png", np.uint16),
        ("a.tif", np.uint16),
        ("a.tiff", np.uint32),
        ("b.tif", np.float32),
    ],
)
def test_label_images_are_read_whatever_their_numbers(tmp_path: Path, name: str, dtype: type) -> None:
    labels = np.where(blobs() == 300, 200, blobs()).astype(dtype)
    if name.endswith("png"):
        Image.fromarray(labels).save(tmp_path / name)
    else:
        import tifffile

        tifffile.imwrite(tmp_path / name, labels)
    read = read_annotation(tmp_path / name, image_size=(16, 12))
    # by rising number: 7, 41, 200
    assert np.allclose(places(read)[0], (6.5, 2.5))
    assert np.allclose(places(read)[2], (3.0, 2.5))
    expected = np.searchsorted([0, 7, 41, 200], labels)
    assert np.array_equal(read.rasterise(16, 12), expected)


@pytest.mark.parametrize("inside", [1, 255])
def test_a_mask_without_numbers_is_parted_and_touching_nuclei_merge(tmp_path: Path, inside: int) -> None:
    Image.fromarray(((blobs() > 0) * inside).astype(np.uint8)).save(tmp_path / "mask.png")
    read = read_annotation(tmp_path / "mask.png")
    assert len(read) == 2
    assert np.allclose(places(read)[0], (4.5, 2.5))


def test_masks_that_make_no_sense_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "colour.png")
    Image.fromarray(blobs()).save(tmp_path / "whole.png")
    put(tmp_path / "cut.png", (tmp_path / "whole.png").read_bytes()[:60])
    put(tmp_path / "text.tif", "no image")
    for name in ("colour.png", "cut.png", "text.tif"):
        with pytest.raises(InvalidTableError, match=name):
            read_annotation(tmp_path / name)
    with pytest.raises(InvalidTableError, match="16 x 12"):
        read_annotation(tmp_path / "whole.png", image_size=(12, 16))


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
