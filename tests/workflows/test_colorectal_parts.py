"""Fragments, glands and lesions from small masks of which all is known."""

import numpy as np
import pytest

from slidelab.tiling import QualityMap, TissueMask
from slidelab.workflows.colorectal.class_maps import SlideMaps
from slidelab.workflows.colorectal.findings import false_mm2, uncertain_by_rank
from slidelab.workflows.colorectal.fragments import find_fragments, name_fragments
from slidelab.workflows.colorectal.glands import GlandTable, find_glands
from slidelab.workflows.colorectal.lesions import JOIN_UM, find_lesions
from slidelab.workflows.colorectal.tile import SignetCells, TileMaps, from_table, to_table
from slidelab.workflows.colorectal.tumour_field import measure_tumour

MPP = 5.2
"""um per cell of the gland map."""


def tissue_of(mask, um=8.0):
    """A tissue mask and a quality map without artefacts."""
    tissue = TissueMask(mask=mask, downsample=um / 0.25, mpp=um, background=(245.0, 245.0, 245.0))
    return tissue, QualityMap(np.zeros(mask.shape, np.uint8), downsample=um / 0.25, mpp=um)


def boxes(shape, *places):
    """A mask with boxes (top, left, height, width)."""
    mask = np.zeros(shape, bool)
    for top, left, height, width in places:
        mask[top : top + height, left : left + width] = True
    return mask


def maps_of(glands, kinds, *, sure=255):
    """Maps of a gland mask whose classes are given per cell of the class map."""
    classes = np.zeros((6, *kinds.shape), np.uint8)
    np.put_along_axis(classes, kinds[None], sure, 0)
    return SlideMaps(
        classes, (glands * 255).astype(np.uint8), SignetCells.joined([]), mpp=MPP, downsample=20.8
    )


def disc(shape, y, x, radius):
    """A round mask; centre and radius in cells."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def test_names_go_on_after_z():
    assert name_fragments(28)[-3:] == ["Z", "AA", "AB"]


def test_fragments_are_numbered_row_by_row_even_where_a_row_is_slanted():
    mask = boxes((400, 600), (20, 400, 60, 100), (45, 30, 60, 100), (200, 300, 50, 80), (205, 60, 80, 80))
    found = find_fragments(*tissue_of(mask), kind="biopsy")
    assert found.labels[75, 60] == 1
    assert found.labels[40, 450] == 2
    assert found.labels[250, 100] == 3
    assert found.labels[220, 330] == 4


@pytest.mark.parametrize(("gap_um", "count"), [(96, 1), (240, 2)])
def test_pieces_nearer_than_the_gap_are_one_fragment(gap_um, count):
    gap = round(gap_um / 8)
    mask = boxes((200, 300), (50, 20, 80, 80), (50, 100 + gap, 80, 80))
    assert len(find_fragments(*tissue_of(mask), kind="biopsy").fragments) == count


def test_crumbs_count_with_the_nearest_fragment_and_no_area_is_lost():
    mask = boxes((300, 400), (20, 20, 80, 80), (20, 250, 80, 80), (180, 280, 6, 6))
    found = find_fragments(*tissue_of(mask), kind="biopsy")
    assert [each.name for each in found.fragments] == ["A", "B"]
    assert found.labels[182, 282] == 2
    total = sum(each.tissue_mm2 for each in found.fragments)
    assert total == pytest.approx(mask.sum() * 64 / 1e6)


def test_only_crumbs_are_fragments_of_their_own():
    mask = boxes((200, 300), (20, 20, 6, 6), (20, 250, 6, 6))
    assert len(find_fragments(*tissue_of(mask), kind="biopsy").fragments) == 2


def test_an_empty_slide_has_no_fragments():
    found = find_fragments(*tissue_of(np.zeros((50, 60), bool)), kind="biopsy")
    assert found.fragments == ()
    assert found.at(np.array([10.0]), np.array([1e9])).tolist() == [0]


def test_artefacts_are_no_tissue_of_a_fragment():
    mask = boxes((200, 300), (50, 50, 100, 100))
    tissue, quality = tissue_of(mask)
    codes = quality.codes.copy()
    codes[50:100, 50:150] = 3
    found = find_fragments(tissue, QualityMap(codes, quality.downsample, quality.mpp), kind="biopsy")
    assert found.fragments[0].tissue_mm2 == pytest.approx(0.5 * 100 * 100 * 64 / 1e6)


def test_touching_glands_are_cut_at_their_neck_and_a_long_one_is_not():
    shape = (160, 320)
    pair = disc(shape, 40, 40, 14) | disc(shape, 40, 64, 14)
    long = boxes(shape, (100, 30, 16, 200))
    glands = find_glands(
        maps_of(pair | long, np.zeros((40, 80), int)), threshold=0.5, fragments=np.ones(shape, np.int32)
    )
    assert len(glands) == 3
    assert glands.area_mm2.sum() == pytest.approx((pair | long).sum() * MPP**2 / 1e6)


def test_specks_are_no_glands():
    shape = (80, 80)
    mask = disc(shape, 20, 20, 2) | disc(shape, 50, 50, 8)
    glands = find_glands(
        maps_of(mask, np.zeros((20, 20), int)), threshold=0.5, fragments=np.ones(shape, np.int32)
    )
    assert len(glands) == 1


def test_glands_off_the_fragments_are_not_seen():
    shape = (80, 80)
    glands = find_glands(
        maps_of(np.ones(shape, bool), np.zeros((20, 20), int)),
        threshold=0.5,
        fragments=np.zeros(shape, np.int32),
    )
    assert len(glands) == 0
    assert glands.grades().max() == 0
    assert find_lesions(glands, maps_of(np.ones(shape, bool), np.zeros((20, 20), int)), []) == ()


def test_a_gland_has_the_class_of_most_of_it():
    shape = (160, 160)
    kinds = np.full((40, 40), 3)
    kinds[:, 24:] = 5
    mask = disc(shape, 80, 80, 30)  # its right third lies on the other class
    glands = find_glands(maps_of(mask, kinds), threshold=0.5, fragments=np.ones(shape, np.int32))
    assert glands.kind.tolist() == [3]
    assert 0.6 < glands.confidence[0] < 0.9
    assert glands.probability[0].sum() == pytest.approx(1)


def test_mistakes_are_expected_on_the_milder_area_found_beside_a_class():
    mistakes = ((0, 1, 0.02), (0, 2, 0.0), (1, 2, 0.1), (0, 3, 0.0), (1, 3, 0.01), (2, 3, 0.2))
    areas = {"normal": 1.0, "polyp": 2.0, "serrated": 0.4, "low_grade_in": 0.5, "high_grade_in": 0.8}
    assert false_mm2("low_grade_in", areas, mistakes) == pytest.approx(3.0 * 0.02 / 0.98)
    assert false_mm2("serrated", areas, mistakes) == pytest.approx(3.0 * 0.02 / 0.98)
    assert false_mm2("high_grade_in", areas, mistakes) == pytest.approx(0.9 * 0.1 / 0.9)
    assert false_mm2("adenocarcinoma", areas, mistakes) == pytest.approx(0.9 * 0.01 / 0.99 + 0.8 * 0.2 / 0.8)
    assert false_mm2("normal", areas, mistakes) == 0
    assert false_mm2("adenocarcinoma", areas, ()) == 0


def test_an_uncertain_gland_has_the_rank_that_it_more_likely_than_not_reaches():
    chances = [
        [0.4, 0.4, 0.0, 0.2, 0.0, 0.0],  # rank 0
        [0.3, 0.1, 0.3, 0.3, 0.0, 0.0],  # 0.6 for rank 1 or worse
        [0.0, 0.0, 0.0, 0.4, 0.4, 0.2],  # 0.6 for rank 2 or worse
        [0.0, 0.0, 0.0, 0.0, 0.45, 0.55],  # certain: it has a class
        [0.1, 0.4, 0.0, 0.0, 0.1, 0.4],  # a half for 3 is wanted: rank 2
    ]
    count = len(chances)
    table = GlandTable(
        labels=np.zeros((1, 1), np.int32),
        area_mm2=np.array([1.0, 2.0, 4.0, 8.0, 16.0]),
        x=np.zeros(count),
        y=np.zeros(count),
        probability=np.array(chances),
        fragment=np.ones(count, np.int32),
    )
    assert uncertain_by_rank(table) == {0: 1.0, 1: 2.0, 2: 20.0}


@pytest.mark.parametrize(("gap_um", "count"), [(0.8 * JOIN_UM, 1), (1.3 * JOIN_UM, 2)])
def test_glands_of_a_class_nearer_than_the_gap_are_one_lesion(gap_um, count):
    shape = (120, 240)
    gap = round(gap_um / MPP)
    mask = disc(shape, 60, 50, 14) | disc(shape, 60, 50 + 29 + gap, 14)
    maps = maps_of(mask, np.full((30, 60), 4))
    glands = find_glands(maps, threshold=0.5, fragments=np.ones(shape, np.int32))
    lesions = find_lesions(glands, maps, ["A"])
    assert [each.name for each in lesions] == [f"A{number + 1}" for number in range(count)]
    assert sum(each.area_mm2 for each in lesions) == pytest.approx(mask.sum() * MPP**2 / 1e6)
    assert all(each.confidence == pytest.approx(1) for each in lesions)


def test_the_severest_class_of_a_fragment_comes_first_whatever_its_size():
    shape = (160, 320)
    kinds = np.full((40, 80), 3)
    kinds[:, 50:] = 5
    mask = disc(shape, 80, 60, 40) | disc(shape, 80, 270, 12)
    maps = maps_of(mask, kinds)
    glands = find_glands(maps, threshold=0.5, fragments=np.ones(shape, np.int32))
    lesions = find_lesions(glands, maps, ["A"])
    assert [(each.name, each.kind.key) for each in lesions] == [
        ("A1", "adenocarcinoma"),
        ("A2", "low_grade_in"),
    ]
    x, y = lesions[0].centre
    assert (x / 20.8, y / 20.8) == pytest.approx((270.5, 80.5), abs=0.6)


def test_a_lesion_reaches_over_the_stroma_between_its_glands_and_no_farther():
    shape = (120, 240)
    mask = disc(shape, 60, 50, 14) | disc(shape, 60, 90, 14)
    maps = maps_of(mask, np.full((30, 60), 4))
    glands = find_glands(maps, threshold=0.5, fragments=np.ones(shape, np.int32))
    (lesion,) = find_lesions(glands, maps, ["A"])
    left, top, right, bottom = (value / 20.8 for value in lesion.outline.bounds)
    assert (left, top, right, bottom) == pytest.approx((36, 46, 105, 75), abs=2.5)
    assert len(lesion.outline.geoms) == 1


def test_tiles_come_back_from_disk_as_they_went():
    random = np.random.default_rng(2)
    signet = SignetCells(random.uniform(0, 9, 3), random.uniform(0, 9, 3), np.ones(3, np.float32))
    classes = random.integers(0, 256, (6, 3, 5), np.uint8)
    glands = random.integers(0, 256, (12, 20), np.uint8)
    back = from_table(to_table(TileMaps(classes, glands, signet)))
    assert np.array_equal(back.classes, classes)
    assert np.array_equal(back.glands, glands)
    assert np.array_equal(back.signet.x, signet.x)
    empty = from_table(to_table(TileMaps(classes, glands, SignetCells.joined([]))))
    assert len(empty.signet) == 0


def tumour_of(share, *, side=560):
    """Stripes of carcinoma that cover a share of a square of tissue."""
    mask = np.zeros((side, side), bool)
    mask[:, np.arange(side) % 40 < 40 * share] = True
    maps = maps_of(mask, np.full((side // 4, side // 4), 5))
    return maps, find_glands(maps, threshold=0.5, fragments=np.ones(mask.shape, np.int32))


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_stroma_is_measured_in_the_window_inside_the_tumour(share):
    maps, glands = tumour_of(share)
    found = measure_tumour(glands, maps, tissue=np.ones(glands.labels.shape, bool))
    field = found.stroma
    total = field.stroma_mm2 + field.epithelium_mm2
    assert 0.94 * np.pi < total < 1.01 * np.pi
    assert field.stroma_mm2 / total == pytest.approx(1 - share, abs=0.02)
    assert field.tumour_sides == 4


def test_a_tumour_on_one_side_only_has_no_window():
    maps, glands = tumour_of(0.5)
    tissue = np.ones(glands.labels.shape, bool)
    edge = GlandTable(**{**vars(glands), "labels": np.where(np.arange(560) < 60, glands.labels, 0)})
    assert measure_tumour(edge, maps, tissue=tissue) is None
    assert measure_tumour(glands, maps, tissue=tissue & (np.arange(560) < 100)) is None
