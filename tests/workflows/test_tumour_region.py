"""The user's outline of the tumour: read as drawn, put in its place, refused where it cannot be meant."""

import gzip
import json
import pickle
from dataclasses import dataclass

import numpy as np
import pytest

from slidelab.errors import InvalidTableError, RegionError, SlideNotFoundError
from slidelab.workflows import SlideInput
from slidelab.workflows.slides.tumour_region import (
    CLIPPED,
    REPAIRED,
    find_tumour_region,
    read_tumour_region,
)

SLIDE = {"width": 2000, "height": 1000, "mpp": 0.5}


def square(left, top, side):
    right, bottom = left + side, top + side
    return [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]


def feature(name, *rings, kind="Polygon", object_type="annotation"):
    properties = {"objectType": object_type}
    if name is not None:
        properties["classification"] = {"name": name, "color": [200, 0, 0]}
    geometry = {"type": kind, "coordinates": list(rings)}
    return {"type": "Feature", "geometry": geometry, "properties": properties}


@pytest.fixture
def read(tmp_path):
    """Read features as a file of QuPath."""

    def read(*features, wrap=lambda found: {"type": "FeatureCollection", "features": found}, **changes):
        path = tmp_path / "case.geojson"
        path.write_text(json.dumps(wrap(list(features))))
        return read_tumour_region(path, **SLIDE | changes)

    return read


def area(region):
    """Area in px2."""
    return region.area_mm2() * 1e6 / 0.25


def covers(region, *points):
    return region.covers(*np.array(points, float).T).tolist()


@pytest.mark.parametrize(
    "wrap",
    [
        lambda found: {"type": "FeatureCollection", "features": found},
        lambda found: found,
        lambda found: found[0],
    ],
    ids=["collection", "list", "feature"],
)
def test_a_collection_a_list_and_a_single_feature_say_the_same(read, wrap):
    region = read(feature("Tumor", square(100, 100, 50)), wrap=wrap)
    assert area(region) == pytest.approx(2500)
    assert covers(region, (125, 125), (100, 100), (99, 125), (151, 125)) == [True, True, False, False]
    assert region.classes == ("Tumor",)
    assert region.flags == ()


@pytest.mark.parametrize(
    "name",
    ["Tumor", "tumour", "TUMOR", "Tumor: Positive", "Invasive tumour", "invasive carcinoma", "Tumor cells"],
)
def test_the_usual_names_of_tumour_are_known(read, name):
    assert area(read(feature(name, square(0, 0, 10)))) == pytest.approx(100)


@pytest.mark.parametrize(
    "name",
    [
        "Necrosis",
        "DCIS",
        "In situ",
        "Carcinoma in situ",
        "in-situ carcinoma",
        "Stroma",
        "Tumor stroma",
        "Ignore*",
        "Exclusion",
        "Artefact",
        "artifact",
        "Normal",
        "Non-tumour",
        "peritumoral",
        "Immune cells",
    ],
)
def test_other_tissue_and_what_is_ignored_is_taken_away(read, name):
    region = read(feature("Tumor", square(0, 0, 100)), feature(name, square(50, 50, 100)))
    assert area(region) == pytest.approx(7500)
    assert region.subtracted == (name,)


def test_classes_that_are_neither_change_nothing_and_are_told(read):
    region = read(
        feature("Tumor", square(0, 0, 100)),
        feature("Region*", square(0, 0, 500)),
        feature(None, square(20, 20, 20)),
    )
    assert area(region) == pytest.approx(10_000)
    assert region.to_json()["neutral"] == ["unclassified", "Region*"]


def test_tumour_drawn_inside_other_tissue_counts_but_not_inside_what_is_ignored(read):
    around, inner = square(0, 0, 300), feature("Tumor", square(100, 100, 50))
    assert area(read(feature("Stroma", around), inner)) == pytest.approx(2500)
    with pytest.raises(RegionError, match="other classes cover all"):
        read(feature("Ignore*", around), inner)


def test_holes_parts_and_overlaps_are_kept_as_drawn(read):
    holed = feature("Tumor", square(0, 0, 100), square(40, 40, 20))
    assert area(read(holed)) == pytest.approx(9600)
    assert covers(read(holed), (50, 50), (20, 50)) == [False, True]
    parts = feature("Tumor", [square(0, 0, 10)], [square(50, 0, 10)], kind="MultiPolygon")
    assert area(read(parts)) == pytest.approx(200)
    twice = [feature("Tumor", square(0, 0, 100)), feature("Tumor", square(50, 0, 100))]
    assert area(read(*twice)) == pytest.approx(15_000)


def test_names_of_classes_come_in_all_forms_of_qupath(read):
    drawn = feature(None, square(0, 0, 10))
    for given in ("Tumor", {"names": ["Tumor", "Positive"], "color": [1, 2, 3]}, {"name": "Tumor"}):
        drawn["properties"]["classification"] = given
        assert area(read(drawn)) == pytest.approx(100)


def test_cells_points_and_lines_are_no_regions(read):
    region = read(
        feature("Tumor", square(0, 0, 100)),
        feature("Tumor", square(300, 300, 10), object_type="detection"),
        feature("Tumor", square(300, 300, 10), object_type="tile"),
        feature("Tumor", 400, 400, kind="Point"),
        feature("Tumor", [0, 0], [900, 900], kind="LineString"),
    )
    assert area(region) == pytest.approx(10_000)


def test_qupath_counts_from_the_slides_bounds_and_asap_does_not(read, tmp_path):
    region = read(feature("Tumor", square(0, 0, 100)), origin=(300.0, 200.0))
    assert region.outline.bounds == (300, 200, 400, 300)
    path = tmp_path / "case.xml"
    path.write_text(asap(("Tumor", "one", "Polygon", square(0, 0, 100)[:-1])))
    assert read_tumour_region(path, **SLIDE, origin=(300.0, 200.0)).outline.bounds == (0, 0, 100, 100)


def asap(*drawn, comma=False):
    """An XML file of ASAP."""
    text = "<?xml version='1.0'?><ASAP_Annotations><Annotations>"
    for group, name, kind, corners in drawn:
        text += f'<Annotation Name="{name}" Type="{kind}" PartOfGroup="{group}"><Coordinates>'
        places = [f'<Coordinate Order="{n}" X="{x:.6f}" Y="{y:.6f}"/>' for n, (x, y) in enumerate(corners)]
        text += "".join(reversed(places)).replace("." if comma else "\0", ",") + "</Coordinates></Annotation>"
    return (
        text + '</Annotations><AnnotationGroups><Group Name="Tumor"/></AnnotationGroups></ASAP_Annotations>'
    )


@pytest.mark.parametrize("comma", [False, True])
def test_asap_groups_are_classes_whatever_the_decimal_mark_and_the_order(tmp_path, comma):
    path = tmp_path / "case.xml"
    pentagon = [(0, 0), (100, 0), (100, 100), (50, 150.5), (0, 100)]
    drawn = [("Tumor", "a", "Polygon", pentagon), ("necrosis", "b", "Spline", square(0, 0, 10)[:-1])]
    drawn += [("None", "DCIS", "Rectangle", square(20, 0, 10)[:-1]), ("Tumor", "c", "Dot", [(500, 500)])]
    path.write_text(asap(*drawn, comma=comma))
    region = read_tumour_region(path, **SLIDE)
    assert area(region) == pytest.approx(10_000 + 50.5 * 50 - 200)
    assert region.subtracted == ("DCIS", "necrosis")


def test_a_real_file_of_asap_is_read_and_its_class_asked_for(data_folder, tmp_path):
    path = data_folder / "slides" / "biopsy-packer-example.xml"
    frame = {"width": 1472, "height": 690, "mpp": 0.987}
    with pytest.raises(InvalidTableError, match="no outline of class Tumor; classes found: None"):
        read_tumour_region(path, **frame)
    named = tmp_path / "named.xml"
    named.write_text(path.read_text().replace('PartOfGroup="None"', 'PartOfGroup="Tumor"'))
    region = read_tumour_region(named, **frame)
    assert 0.01 < region.area_mm2() < 1472 * 690 * 0.987**2 / 1e6


def test_gzipped_files_are_read(tmp_path):
    path = tmp_path / "case.geojson.gz"
    path.write_bytes(gzip.compress(json.dumps([feature("Tumor", square(0, 0, 10))]).encode()))
    assert area(read_tumour_region(path, **SLIDE)) == pytest.approx(100)


def test_an_outline_that_crosses_itself_is_repaired_and_flagged(read):
    bow_tie = [[0, 0], [100, 100], [100, 0], [0, 100], [0, 0]]
    region = read(feature("Tumor", bow_tie))
    assert region.flags == (REPAIRED,)
    assert area(region) == pytest.approx(5000)


def test_what_lies_beside_the_slide_is_cut_off_and_flagged(read):
    region = read(feature("Tumor", square(1950, 500, 100)))
    assert region.flags == (CLIPPED,)
    assert area(region) == pytest.approx(5000)
    assert read(feature("Tumor", square(-0.2, 0, 999))).flags == ()


@pytest.mark.parametrize(
    ("features", "error", "message"),
    [
        ([], InvalidTableError, "no polygon"),
        ([feature("Tumor", [[0, 0], [5, 5]])], InvalidTableError, "no polygon"),
        ([feature("Tumor", [[0, 0], [5, 5], [10, 10], [0, 0]])], InvalidTableError, "no polygon"),
        ([feature("Stroma", square(0, 0, 9)), feature(None, square(0, 0, 9))], InvalidTableError, "found"),
        ([feature("Tumor", square(5000, 5000, 9))], RegionError, "beside the slide"),
        ([feature("Tumor", [[0, 0], [1, "a"], [3, 3]])], InvalidTableError, "no numbers"),
        ([feature("Tumor", [[0, 0], [1, float("nan")], [3, 3]])], InvalidTableError, "not finite"),
        ([{"type": "Feature"}], InvalidTableError, "no GeoJSON"),
    ],
)
def test_files_that_cannot_be_meant_are_refused_in_one_line_with_advice(read, features, error, message):
    with pytest.raises(error, match=message) as caught:
        read(*features)
    assert str(caught.value).startswith("case.geojson: ")
    assert "\n" not in str(caught.value)
    assert caught.value.advice


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("x,y\n1,2", "no annotation file"),
        ("", "no annotation file"),
        ("[1, 2]", "no GeoJSON"),
        ("<annotation/>", "root 'annotation'"),
        ("<ASAP_Annotations>", "no annotation file"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><ASAP_Annotations/>', "document type"),
        ('{"type": "Feature", "geometry": {"type": "Polygon"}}', "no annotation file"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "notes.txt"
    path.write_text(content)
    with pytest.raises(InvalidTableError, match=message):
        read_tumour_region(path, **SLIDE)
    with pytest.raises(SlideNotFoundError):
        read_tumour_region(tmp_path / "absent.json", **SLIDE)


def test_a_region_travels_and_says_what_it_is(read):
    region = read(feature("Tumor", square(10, 10, 80)), feature("Necrosis", square(20, 20, 10)))
    again = pickle.loads(pickle.dumps(region))
    points = np.random.default_rng(0).uniform(0, 120, (2, 500))
    assert np.array_equal(again.covers(*points), region.covers(*points))
    assert again.to_json() == region.to_json() == json.loads(json.dumps(region.to_json()))
    moved = read(feature("Tumor", square(11, 10, 80)), feature("Necrosis", square(20, 20, 10)))
    assert moved.to_json()["outline_sha256"] != region.to_json()["outline_sha256"]


def test_a_million_cells_are_told_apart(read):
    turns = np.linspace(0, 2 * np.pi, 20_000, endpoint=False)
    radius = 400 + 20 * np.sin(300 * turns)
    ring = np.stack([1000 + radius * np.cos(turns), 500 + radius * np.sin(turns)], 1)
    x, y = np.random.default_rng(0).uniform(0, [[2000], [1000]], (2, 1_000_000))
    share = read(feature("Tumor", [*ring.tolist(), ring[0].tolist()])).covers(x, y).mean()
    assert share == pytest.approx(np.pi * (400**2 + 200) / 2e6, abs=0.002)


@dataclass(frozen=True)
class Tissue:
    """Stands in for a tissue mask."""

    mask: np.ndarray
    downsample: float = 10.0
    mpp: float = 5.0


def test_area_is_that_of_the_tissue_within(read):
    region = read(feature("Tumor", square(0, 0, 500)))
    mask = np.zeros((100, 200), bool)
    mask[:, :20] = True
    assert region.area_mm2(Tissue(mask)) == pytest.approx(50 * 20 * 25 / 1e6)
    assert region.area_mm2() == pytest.approx(0.25**2)


def test_the_file_of_a_slide_is_found_by_name(tmp_path):
    import tifffile

    path = tmp_path / "case 7.tif"
    pixels = np.full((256, 256, 3), 240, np.uint8)
    tifffile.imwrite(
        path, pixels, tile=(128, 128), photometric="rgb", resolution=(20000, 20000), resolutionunit=3
    )
    drawn = tmp_path / "drawn"
    drawn.mkdir()
    slide = SlideInput(path, "case-7")
    with pytest.raises(SlideNotFoundError, match="no annotation of case 7") as caught:
        find_tumour_region(drawn, slide)
    assert "case 7.geojson" in caught.value.advice
    (drawn / "case-7.json").write_text(json.dumps(feature("Tumor", square(0, 0, 100))))
    assert area(find_tumour_region(drawn, slide)) == pytest.approx(10_000)
    assert find_tumour_region(drawn / "case-7.json", slide).file == "case-7.json"
