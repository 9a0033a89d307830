"""A user's own labelled images are read as listed, and what would leak or mislead is refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slidelab.errors import InvalidTableError, SlideNotFoundError
from slidelab.models import split_images
from slidelab.models.labelled import read_manifest


@pytest.fixture
def folder(tmp_path):
    """Three images, with points, a label image and QuPath's polygons."""
    (tmp_path / "marks").mkdir()
    for name in ("a", "b", "c"):
        Image.fromarray(np.full((40, 60, 3), 230, np.uint8)).save(tmp_path / f"{name}.png")
    (tmp_path / "marks" / "a.csv").write_text("x,y,class\n10.5,20,POS\n30,12,tumor\n5,5,Mystery\n", "utf-8")
    mask = np.zeros((40, 60), np.uint16)
    mask[5:15, 5:15], mask[20:30, 30:45] = 7, 300
    Image.fromarray(mask).save(tmp_path / "marks" / "b.png")
    square = [[20, 20], [30, 18], [32, 30], [21, 31], [20, 20]]
    box = [[2, 2], [8, 2], [8, 8], [2, 8], [2, 2]]
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "properties": {"objectType": "annotation", "classification": {"name": name}},
        }
        for ring, name in ((square, "Tumor: Negative"), (box, "Positive"))
    ]
    (tmp_path / "marks" / "c.geojson").write_text(json.dumps(features), encoding="utf-8")
    return tmp_path


def write(folder: Path, text: str) -> Path:
    path = folder / "mine.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_points_masks_and_polygons_are_read_with_slidelabs_labels(folder):
    images = read_manifest(
        write(
            folder,
            "image,annotation,mpp\na.png,marks/a.csv,0.25\nb.png,marks/b.png,0.5\nc.png,marks/c.geojson,0.4\n",
        )
    )
    points, mask, polygons = images
    assert [image.set_name for image in images] == ["mine"] * 3
    assert [image.mpp for image in images] == [0.25, 0.5, 0.4]
    assert points.labels.tolist() == ["Positive", "Tumour", "Mystery"]
    assert points.x.tolist() == [10.5, 30, 5]
    assert points.load_instances is None
    assert mask.labels.tolist() == ["Nucleus", "Nucleus"]
    instances = mask.load_instances()
    assert instances.shape == (40, 60)
    assert [int((instances == number).sum()) for number in mask.instance_ids] == [100, 150]
    assert polygons.labels.tolist() == ["Negative", "Positive"]
    assert polygons.load_instances()[25, 25] == polygons.instance_ids[0] == 1


def test_a_box_tells_where_a_nucleus_is_and_not_its_shape(folder):
    image = read_manifest(write(folder, "image,annotation,mpp\nc.png,marks/c.geojson,0.4\n"))[0]
    assert image.instance_ids.tolist() == [1, 0]
    assert (image.x[1], image.y[1]) == (5, 5)


def test_every_column_is_heeded(folder):
    Image.fromarray(np.full((40, 60), 255, np.uint8)).save(folder / "region.png")
    image = read_manifest(
        write(
            folder,
            "Image;annotation;mpp;case;set;marked;region;part\n"
            "a.png;marks/a.csv;0,25;P 7;uppsala;Tumor;region.png;Tuning\n",
        )
    )[0]
    assert (image.mpp, image.case, image.set_name, image.marked) == (0.25, "P 7", "uppsala", "tumour")
    assert (image.part, image.region, image.name) == ("tuning", folder / "region.png", "a")
    assert image.inside(image.x, image.y).all()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("image,annotation\na.png,marks/a.csv", r"line 1: no column mpp"),
        ("image,annotation,mpp,prat\na.png,marks/a.csv,0.5,tuning", r"line 1: .*prat"),
        ("image,annotation,mpp\na.png,marks/a.csv,0.5\n\nz.png,marks/a.csv,0.5", r"line 4: image: no file"),
        ("image,annotation,mpp\na.png,,0.5", r"line 2: no annotation"),
        ("image,annotation,mpp\na.png,marks/a.csv,", r"line 2: mpp"),
        ("image,annotation,mpp\na.png,marks/a.csv,-1", r"line 2: mpp"),
        ("image,annotation,mpp\na.png,marks/a.csv,0.5,7", r"line 2: 4 cells"),
        ("image,annotation,mpp,part\na.png,marks/a.csv,0.5,test", r"line 2: part: 'test'"),
        ("image,annotation,mpp,marked\na.png,marks/a.csv,0.5,some", r"line 2: marked: 'some'"),
        ("image,annotation,mpp\na.png,mine.csv,0.5", r"line 2: mine\.csv"),
        ("image,annotation,mpp\n", "no images"),
        ("", "no column"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(folder, text, said):
    with pytest.raises(InvalidTableError, match=said) as caught:
        read_manifest(write(folder, text))
    assert "\n" not in str(caught.value)
    assert caught.value.advice


def test_an_absent_manifest_is_named(tmp_path):
    with pytest.raises(SlideNotFoundError, match=r"absent\.csv"):
        read_manifest(tmp_path / "absent.csv")


def test_an_image_cannot_be_listed_twice(folder):
    with pytest.raises(InvalidTableError, match="twice"):
        read_manifest(write(folder, "image,annotation,mpp\na.png,marks/a.csv,0.5\n./a.png,marks/a.csv,0.5\n"))


HEADER = "image,annotation,mpp,case,set,part\n"


@pytest.mark.parametrize(
    "lines",
    [
        "a.png,marks/a.csv,0.5,P1,s,training\nb.png,marks/b.png,0.5,P1,s,validation\n",
        "a.png,marks/a.csv,0.5,P1,s,\nb.png,marks/b.png,0.5,P1,t,\n",
        "a.png,marks/a.csv,0.5,P1,s,training\nb.png,marks/b.png,0.5,P1,t,\n",
    ],
)
def test_a_case_that_would_be_divided_is_refused(folder, lines):
    with pytest.raises(InvalidTableError, match="case P1 would be divided"):
        read_manifest(write(folder, HEADER + lines))


def test_a_fixed_part_holds_for_the_whole_case_and_the_digest_for_the_rest(folder):
    fixed = "a.png,marks/a.csv,0.5,P1,s,validation\nb.png,marks/b.png,0.5,P1,s,\n"
    free = "c.png,marks/c.geojson,0.4,P2,s,\n"
    parts = split_images(read_manifest(write(folder, HEADER + fixed + free)))
    assert [image.name for image in parts["validation"]] == ["a", "b"]
    assert [image.name for image in parts["training"]] == ["c"]


def test_two_parts_of_one_case_are_refused_by_the_split_too(folder):
    from dataclasses import replace

    image = read_manifest(write(folder, "image,annotation,mpp\na.png,marks/a.csv,0.5\n"))[0]
    both = [replace(image, part=part) for part in ("training", "validation")]
    with pytest.raises(InvalidTableError, match=r"case a\.png is in training and in validation"):
        split_images(both)
    with pytest.raises(InvalidTableError, match="'test'"):
        split_images([replace(image, part="test")])
