"""Tables of points and boxes are read as people write them, and Pascal VOC without its dangers."""

from __future__ import annotations

from pathlib import Path

import pytest

from slidelab.errors import InvalidTableError, ResolutionError
from slidelab.models.annotated import read_annotation

from .annotation_files import SQUARE, places, put

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
