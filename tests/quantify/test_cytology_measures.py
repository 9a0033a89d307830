"""Nuclei in um², N:C from masks, the slide's own reference, and the size types of the table."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from slidelab.errors import InvalidTableError
from slidelab.quantify import (
    CellLook,
    Flag,
    SizeType,
    SlideReference,
    is_hyperchromatic,
    measure_cells,
    relative_measures,
    size_type,
    slide_reference,
)


def disc(shape, centre, radius):
    y, x = np.indices(shape)
    return (x - centre[0]) ** 2 + (y - centre[1]) ** 2 <= radius**2


@pytest.fixture
def images():
    """Two cells: one with one nucleus, one with two; and a naked nucleus."""
    shape = (200, 300)
    cells, nuclei, od = np.zeros(shape, int), np.zeros(shape, int), np.zeros(shape)
    cells[disc(shape, (60, 60), 40)] = 7
    nuclei[disc(shape, (60, 60), 10)] = 3
    cells[disc(shape, (180, 100), 50)] = 900_000_000  # big numbers cost no memory
    nuclei[disc(shape, (165, 100), 8)] = 5
    nuclei[disc(shape, (195, 100), 12)] = 4
    nuclei[disc(shape, (270, 30), 9)] = 11
    od[nuclei > 0] = 0.3
    od[nuclei == 4] = 0.6
    return nuclei, cells, od


def test_areas_are_in_um2_and_nc_counts_all_nuclei_of_a_cell(images):
    nuclei, cells, od = images
    found = measure_cells(nuclei, cells, od=od, mpp=(0.5, 0.4))
    pixels = [int((nuclei == label).sum()) for label in (3, 4, 5, 11)]
    assert found.nuclear_um2 == pytest.approx([count * 0.2 for count in pixels])
    one, two = int((cells == 7).sum()), int((cells == 900_000_000).sum())
    assert found.cell_um2[:3] == pytest.approx([one * 0.2, two * 0.2, two * 0.2])
    assert found.nc[:3] == pytest.approx([pixels[0] / one, *[(pixels[1] + pixels[2]) / two] * 2])
    assert np.isnan(found.nc[3])
    assert np.isnan(found.cell_um2[3])
    assert list(found.nuclei_in_cell) == [1, 2, 2, 1]
    assert found.nuclear_od == pytest.approx([0.3, 0.6, 0.3, 0.3])


def test_a_nucleus_over_its_cells_edge_belongs_to_the_cell_wholly():
    nuclei, cells = np.zeros((20, 40), int), np.zeros((20, 40), int)
    cells[:, :20], cells[:, 20:30] = 1, 2
    nuclei[5:10, 12:24] = 1  # 40 px in cell 1, 20 in cell 2
    nuclei[15:18, 34:38] = 2  # outside every cell
    found = measure_cells(nuclei, cells, od=np.ones((20, 40)), mpp=(1, 1))
    assert list(found.cell_um2[:1]) == [20 * 20 + 20]
    assert found.nc[0] == 60 / 420
    assert np.isnan(found.nc[1])


def test_a_cell_that_is_all_nucleus_has_nc_1():
    both = np.ones((4, 4), int)
    assert measure_cells(both, both, od=np.ones((4, 4)), mpp=(1, 1)).nc[0] == 1
    swollen = np.zeros((4, 4), int)
    swollen[:2] = 1
    assert measure_cells(both, swollen, od=np.ones((4, 4)), mpp=(1, 1)).nc[0] == 1


@given(st.integers(0, 2**32 - 1))
def test_nc_lies_in_0_to_1_whatever_the_labels(seed):
    random = np.random.default_rng(seed)
    nuclei, cells = random.integers(0, 4, (12, 12)), random.integers(0, 4, (12, 12))
    found = measure_cells(nuclei, cells, od=random.random((12, 12)), mpp=(0.25, 0.25))
    held = ~np.isnan(found.nc)
    assert ((found.nc[held] > 0) & (found.nc[held] <= 1)).all()
    assert found.nuclear_um2.sum() == pytest.approx((nuclei > 0).sum() / 16)


def test_nc_of_real_cells_rises_with_dysplasia(data_folder):
    from PIL import Image

    folder = data_folder / "cytology" / "herlev-200"
    if not folder.is_dir():
        pytest.skip(f"no cells with masks at {folder}")
    median = {}
    for name in ("normal_superficiel", "normal_intermediate", *DYSPLASTIC):
        ratios = []
        for path in sorted((folder / name).glob("*_mask.png"))[::3]:
            with Image.open(path) as picture:
                mask = np.asarray(picture).astype(int)
            nuclei, cells = (mask == 2).astype(int), np.isin(mask, (1, 2)).astype(int)
            ratios += list(measure_cells(nuclei, cells, od=np.zeros(mask.shape), mpp=(1, 1)).nc)
        median[name] = float(np.median(ratios))
    assert list(median.values()) == sorted(median.values())
    assert 0.02 <= median["normal_intermediate"] <= 0.04  # as the textbooks have it
    assert median["light_dysplastic"] < 0.4
    assert median["carcinoma_in_situ"] > 0.5


DYSPLASTIC = ("light_dysplastic", "moderate_dysplastic", "severe_dysplastic", "carcinoma_in_situ")


def test_no_nuclei_no_rows():
    empty = np.zeros((5, 5), int)
    assert measure_cells(empty, empty, od=np.zeros((5, 5)), mpp=(1, 1)).nc.size == 0


def test_reference_is_the_slides_own_from_30_cells_on():
    own = slide_reference(np.linspace(30, 50, 30), np.full(30, 0.4))
    assert (own.nuclear_um2, own.nuclear_od, own.is_own, own.flags) == (40, 0.4, True, ())
    few = slide_reference(np.linspace(30, 50, 29), np.full(29, 0.4))
    assert (few.nuclear_um2, few.nuclear_od, few.cells) == (35, None, 29)
    assert few.flags == (Flag.CYTOLOGY_REFERENCE_ASSUMED,)


def test_same_cells_on_a_slide_with_large_nuclei_are_smaller_in_proportion(images):
    nuclei, cells, od = images
    found = measure_cells(nuclei, cells, od=od, mpp=(0.5, 0.5))
    small = relative_measures(found, SlideReference(35, 0.3, 100, is_own=True))
    large = relative_measures(found, SlideReference(70, 0.6, 100, is_own=True))
    assert small.size == pytest.approx(2 * large.size)
    assert small.hyperchromasia == pytest.approx([1, 2, 1, 1])
    assert large.hyperchromasia == pytest.approx([0.5, 1, 0.5, 0.5])
    assumed = relative_measures(found, slide_reference([], []))
    assert np.isnan(assumed.hyperchromasia).all()


def test_hyperchromasia_that_is_not_known_is_not_false():
    assert is_hyperchromatic(float("nan")) is None
    assert is_hyperchromatic(1.31) is True
    assert is_hyperchromatic(1.0) is False


@pytest.mark.parametrize(
    ("size", "nc", "irregular", "found"),
    [(2.7, 0.10, False, "ASC-US-type"), (3.4, 0.15, False, "LSIL-type"), (1.5, 0.65, True, "HSIL-type")],
)
def test_the_three_cells_of_the_table(size, nc, irregular, found):
    assert size_type(CellLook(size, nc, irregular=irregular)) == found


@pytest.mark.parametrize(
    ("size", "found"),
    [
        (0.8, SizeType.NORMAL),
        (1.99, SizeType.NORMAL),
        (2.0, SizeType.GREY_ZONE),
        (2.49, SizeType.GREY_ZONE),
        (2.5, SizeType.ASC_US),
        (3.0, SizeType.ASC_US),
        (3.01, SizeType.LSIL),
    ],
)
def test_size_alone_in_a_cell_of_low_nc(size, found):
    assert size_type(CellLook(size, 0.03)) is found


def test_sizes_in_um2_against_35():
    for area, found in [
        (87, SizeType.GREY_ZONE),
        (88, SizeType.ASC_US),
        (105, SizeType.ASC_US),
        (106, SizeType.LSIL),
    ]:
        assert size_type(CellLook(area / 35, 0.1)) is found


@pytest.mark.parametrize(
    ("size", "nc", "irregular", "found"),
    [
        (1.5, 0.40, False, SizeType.ASC_H),
        (2.5, 0.60, False, SizeType.ASC_H),
        (1.5, 0.39, False, SizeType.NORMAL),
        (1.49, 0.45, False, SizeType.GREY_ZONE),
        (1.0, 0.80, False, SizeType.GREY_ZONE),  # a lymphocyte, a naked nucleus
        (2.0, 0.50, True, SizeType.ASC_H),  # not over 0.5
        (2.0, 0.51, True, SizeType.HSIL),
        (1.0, 0.60, True, SizeType.HSIL),  # any size
        (4.0, 0.60, True, SizeType.HSIL),
        (4.0, 0.45, False, SizeType.ASC_H),  # too much nucleus for LSIL
        (2.0, 0.60, None, SizeType.ASC_H),  # nobody judged the membrane
    ],
)
def test_nc_decides_before_size(size, nc, irregular, found):
    assert size_type(CellLook(size, nc, irregular=irregular)) is found


def test_scc_is_hsil_with_a_macronucleolus():
    assert size_type(CellLook(2, 0.7, irregular=True, macronucleolus=True)) is SizeType.SCC
    assert size_type(CellLook(2, 0.2, macronucleolus=True)) is SizeType.GREY_ZONE


def test_a_halo_alone_is_not_lsil():
    assert size_type(CellLook(1.2, 0.1, halo=True)) is SizeType.NORMAL
    for atypia in ({"irregular": True}, {"hyperchromatic": True}, {"nuclei": 2}):
        assert size_type(CellLook(1.2, 0.1, halo=True, **atypia)) is SizeType.LSIL
    assert size_type(CellLook(2.6, 0.1, halo=True)) is SizeType.LSIL


def test_metaplastic_nuclei_are_compared_with_their_own_size():
    assert size_type(CellLook(74 / 35, 0.2, metaplastic=True)) is SizeType.NORMAL
    assert size_type(CellLook(76 / 35, 0.2, metaplastic=True)) is SizeType.ASC_US
    assert size_type(CellLook(76 / 35, 0.2)) is SizeType.GREY_ZONE


@pytest.mark.parametrize(
    ("age", "found"), [(39, "ASC-US-type"), (40, "grey zone"), (55, "grey zone"), (56, "ASC-US-type")]
)
def test_bland_enlargement_at_the_change_of_life_is_no_asc_us(age, found):
    assert size_type(CellLook(2.8, 0.1), age=age) == found
    assert size_type(CellLook(2.8, 0.1, hyperchromatic=True), age=age) is SizeType.ASC_US
    assert size_type(CellLook(3.2, 0.1), age=age) is SizeType.LSIL


def test_without_an_outline_of_the_cell_nothing_is_called_normal():
    for size in (1.0, 2.7, 4.0):
        assert size_type(CellLook(size, None)) is None


def test_impossible_measures_are_refused():
    for wrong in ({"size": 0}, {"nc": 1.2}, {"nc": 0}, {"nuclei": 0}, {"size": float("nan")}):
        with pytest.raises(InvalidTableError):
            CellLook(**{"size": 1.0, "nc": 0.1, **wrong})
    labels = np.ones((3, 3), int)
    with pytest.raises(InvalidTableError):
        measure_cells(labels, labels, od=np.ones((2, 2)), mpp=(1, 1))
    with pytest.raises(InvalidTableError):
        measure_cells(labels * 0.5, labels, od=np.ones((3, 3)), mpp=(1, 1))
    with pytest.raises(InvalidTableError):
        slide_reference([35, -1], [0.2, 0.2])
