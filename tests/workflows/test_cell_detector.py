"""Cells with membranes behind the face of a detector: the same for any tiling, and whole on disk."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from slidelab.errors import InvalidTableError, SettingsError
from slidelab.models import CellTable
from slidelab.models.membrane_ring import read_membranes
from slidelab.tiling import TileGrid
from slidelab.workflows.ihc.report_parts import detector_facts, limits_of
from slidelab.workflows.runs.inputs import SlideInput
from slidelab.workflows.slides.cell_detector import CellDetector, network_of, with_tumour_threshold
from slidelab.workflows.slides.cell_file import (
    CellFileWriter,
    cell_schema,
    make_cell_ids,
    read_cells,
    ring_column,
)
from slidelab.workflows.slides.nuclei import fragment
from slidelab.workflows.slides.plan import PlanSettings, make_plan
from slidelab.workflows.slides.tile_detector import BaselineDetector, choose_detector, restore_detector
from slidelab.wsi import PhantomSettings, write_phantom

MPP = 0.5
SIDE = 700


@pytest.fixture(scope="module")
def detector():
    return CellDetector(BaselineDetector())


@pytest.fixture(scope="module")
def densities():
    """Blobs of hematoxylin, and blurred noise of DAB."""
    random = np.random.default_rng(4)
    seeds = np.zeros((SIDE, SIDE))
    seeds[tuple(random.integers(0, SIDE, (2, 900)))] = 1
    hematoxylin = np.minimum(ndimage.gaussian_filter(seeds, 4.0) * 60, 0.8)
    dab = np.abs(ndimage.gaussian_filter(random.normal(0, 1, (SIDE, SIDE)), 1.0))
    return np.stack([hematoxylin, dab]).astype(np.float32)


def find(detector, densities):
    image = np.zeros((*densities.shape[1:], 3), np.uint8)
    return detector.detect(image, densities, mpp=MPP, seconds={})


@pytest.fixture(scope="module")
def whole(detector, densities):
    return find(detector, densities)


def rows(cells):
    """All that is known of each cell, as numbers in the order of place."""
    columns = [cells.x, cells.y, cells.area_um2, cells.probability, *cells.measurements.values()]
    table = np.column_stack([*columns, cells.outlines.reshape(len(cells), -1), cells.rings])
    return table[np.lexsort(table.T[::-1])]


@settings(max_examples=5)
@given(core=st.integers(80, 350), extra=st.integers(0, 3))
def test_tiled_equals_untiled_bit_for_bit(detector, densities, whole, core, extra):
    halo = int(-(-detector.reach_px(MPP) // 2) * 2) + 2 * extra
    grid = TileGrid(SIDE, SIDE, 2 * core, halo, detector.stride)
    padded = np.pad(densities, ((0, 0), (halo, 800), (halo, 800)))  # glass around the image
    untiled = np.pad(densities, ((0, 0), (200, 200), (200, 200)))
    expected = find(detector, untiled)
    inside = (expected.x >= 200) & (expected.x < 200 + SIDE) & (expected.y >= 200) & (expected.y < 200 + SIDE)
    parts = []
    for tile in grid:
        left, top, width, height = tile.outer
        window = padded[:, top + halo : top + halo + height, left + halo : left + halo + width]
        found = find(detector, np.ascontiguousarray(window))
        parts.append(found.select(tile.owns(found.x + left, found.y + top)).placed(x=left, y=top, scale=1.0))
    expected = expected.select(inside).placed(x=-200.0, y=-200.0, scale=1.0)
    assert len(expected) > 150
    np.testing.assert_array_equal(rows(CellTable.joined(parts)), rows(expected))


def test_outlines_are_those_of_cells_and_areas_those_of_nuclei(detector, densities, whole):
    nuclei = find(detector.inner, densities)
    np.testing.assert_array_equal(whole.x, nuclei.x)
    np.testing.assert_array_equal(whole.area_um2, nuclei.area_um2)
    assert set(nuclei.measurements) < set(whole.measurements)

    def spread(cells):
        return np.hypot(*(cells.outlines - np.stack([cells.x, cells.y], 1)[:, None]).transpose(2, 0, 1))

    assert (spread(whole) >= spread(nuclei) - 1 / 64).all()
    assert spread(whole).mean() > spread(nuclei).mean() + 1
    assert whole.rings.shape == (len(whole), 32)
    assert whole.rings.dtype == np.uint8


def test_rings_are_what_is_the_cell_s_own_of_what_was_read(detector, densities, whole):
    nuclei = find(detector.inner, densities)
    read = read_membranes(
        densities[1], x=whole.x, y=whole.y, nuclei=nuclei.outlines, cells=whole.outlines, mpp=MPP
    )
    as_read = np.rint(np.minimum(read.membrane_od * 100, 255))
    assert (whole.rings != as_read).any()
    assert (whole.rings == as_read).mean() > 0.3
    assert whole.rings.max() <= as_read.max()


def test_elongations_are_those_of_the_nuclei_and_not_of_the_cells(detector, densities, whole):
    elongation = whole.measurements["nucleus_elongation"]
    assert elongation.dtype == np.float32
    assert (elongation >= 1).all()
    nuclei = find(detector.inner, densities)
    spread = np.ptp(nuclei.outlines, axis=1)
    longer = spread.max(axis=1) / spread.min(axis=1)
    assert np.corrcoef(longer, elongation)[0, 1] > 0.6


def test_rings_are_hundredths_of_density_that_end_at_255(detector, densities):
    flat = np.stack([densities[0], np.full_like(densities[1], 0.374)])
    assert set(np.unique(find(detector, flat).rings)) == {37}
    flat[1] = 3.1
    high = find(detector.inner, densities)  # so dark that no nucleus would be found
    with_cells = CellDetector(_Given(high))
    assert set(np.unique(find(with_cells, flat).rings)) == {255}


class _Given(BaselineDetector):
    """Finds what it is given."""

    def __init__(self, cells):
        super().__init__()
        object.__setattr__(self, "cells", cells)

    def detect(self, image, densities, *, mpp, seconds):
        return self.cells


@pytest.mark.parametrize("inner", ["auto", "unmixed-nuclei"])
def test_a_detector_of_cells_comes_back_from_a_plan_whole(inner):
    detector = CellDetector(choose_detector(inner, stain="H-DAB"), expansion_um=4.0)
    assert restore_detector(json.loads(json.dumps(detector.to_json()))) == detector


def test_facts_tell_the_expansion_and_the_method_besides_the_nuclei(detector):
    facts = detector.facts()
    assert detector.inner.facts().items() <= facts.items()
    assert facts["expansion_um"] == 5.0
    assert facts["membranes"].startswith("membrane-ring-")
    assert facts["sharing"].startswith("shared-membranes-")
    assert CellDetector(detector.inner, expansion_um=4.0).facts() != facts


def test_fitting_fits_what_is_inside(detector, densities):
    fitted = detector.fitted([], [densities[:, :400, :400]], mpp=MPP)
    assert fitted == CellDetector(detector.inner.fitted([], [densities[:, :400, :400]], mpp=MPP))
    assert fitted.expansion_um == detector.expansion_um


def test_its_reach_is_wider_than_that_of_the_nuclei_and_grows_with_the_expansion(detector):
    near, wide = detector.reach_px(MPP), CellDetector(detector.inner, expansion_um=10.0).reach_px(MPP)
    assert detector.inner.reach_px(MPP) < near < wide


def test_its_reach_holds_two_neighbours_of_neighbours(detector):
    farthest = 12.0 + detector.expansion_um
    least = detector.inner.reach_px(MPP) + (2 * farthest + 2 * (2 * farthest)) / MPP
    assert least < detector.reach_px(MPP) < least + 20


def test_a_wrapped_network_is_still_known_for_one():
    network = choose_detector("auto", stain="H-DAB")
    wrapped = CellDetector(network)
    assert network_of(wrapped) == network_of(network) == network
    assert network_of(CellDetector(BaselineDetector())) is None
    assert with_tumour_threshold(wrapped, 0.25).tumour_threshold == 0.25
    assert with_tumour_threshold(CellDetector(BaselineDetector()), 0.25).tumour_threshold is None
    assert limits_of(wrapped) == limits_of(network) != limits_of(BaselineDetector())
    assert detector_facts(wrapped) == detector_facts(network)
    assert detector_facts(wrapped).licence == network.licence
    assert detector_facts(wrapped).sha256 == network.sha256


def test_a_plan_is_used_again_where_the_weights_of_a_wrapped_network_have_moved(tmp_path):
    slide = tmp_path / "case.tiff"
    write_phantom(slide, PhantomSettings(kind="her2", width=1024, height=1024, seed=1001, artefacts=False))
    first = CellDetector(choose_detector("auto", stain="H-DAB", device="cpu"))
    moved = replace(first, inner=replace(first.inner, weights=tmp_path / "elsewhere.safetensors"))
    plans = [
        make_plan(SlideInput(slide, "case"), folder=tmp_path, settings=PlanSettings(), detector=each)
        for each in (first, moved)
    ]
    assert plans[0].key == plans[1].key
    fitted = plans[0].detector.tumour_threshold
    assert plans[1].detector == with_tumour_threshold(moved, fitted)


@pytest.mark.parametrize("expansion_um", [0.0, -1.0, 50.0, float("nan")])
def test_expansions_that_make_no_cell_are_refused(expansion_um):
    with pytest.raises(SettingsError, match="beyond their nucleus"):
        CellDetector(BaselineDetector(), expansion_um=expansion_um)


def landed(cells, index=3):
    """The table that the finaliser makes of a tile's cells."""
    table = fragment(cells, index)
    return (
        table.append_column("cell_id", make_cell_ids("slide", x=cells.x, y=cells.y))
        .append_column("label", pa.array(["Other"] * len(cells)))
        .append_column("excluded", pa.array([""] * len(cells), pa.string()))
    )


def rings_of(table):
    return np.array(table["membrane_od"].to_pylist())


def test_rings_and_cytoplasm_reach_the_cell_file(tmp_path, detector, whole):
    path = tmp_path / "cells.parquet"
    with CellFileWriter(path, probabilities=detector.probabilities, row_group_size=50) as writer:
        writer.write(landed(whole))
    back = pq.read_table(path)
    assert str(back.schema.field("membrane_od").type) == "fixed_size_list<element: uint8 not null>[32]"
    assert back.schema.field("cytoplasm_dab_od_mean").type == pa.float32()
    assert back.schema.names.index("membrane_od") == back.schema.names.index("tile") - 1
    np.testing.assert_array_equal(
        back["nucleus_elongation"].to_numpy(), whole.measurements["nucleus_elongation"]
    )
    np.testing.assert_array_equal(rings_of(back), whole.rings)
    np.testing.assert_array_equal(
        back["cytoplasm_dab_od_mean"].to_numpy(), whole.measurements["cytoplasm_dab_od_mean"]
    )
    streamed = pa.Table.from_batches(read_cells(path, batch_size=30))
    np.testing.assert_array_equal(rings_of(streamed), whole.rings)
    np.testing.assert_array_equal(rings_of(back.slice(17, 20)), whole.rings[17:37])


def test_bytes_of_rings_do_not_depend_on_how_rows_arrive(tmp_path, detector, whole):
    table = landed(whole)
    for name, size in (("whole", len(table)), ("parts", 23)):
        with CellFileWriter(
            tmp_path / name, probabilities=detector.probabilities, row_group_size=64
        ) as writer:
            for start in range(0, len(table), size):
                writer.write(table.slice(start, size))
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()


def test_a_tile_without_cells_lands_with_the_same_columns(detector, whole):
    empty = find(detector, np.zeros((2, 64, 64), np.float32))
    assert len(empty) == 0
    assert fragment(empty, 0).schema == fragment(whole, 0).schema
    assert len(CellTable.joined([empty, whole])) == len(whole)


def test_detectors_without_rings_leave_the_table_as_it_was(densities):
    nuclei = find(BaselineDetector(), densities)
    assert nuclei.rings.shape == (len(nuclei), 0)
    assert "membrane_od" not in fragment(nuclei, 0).schema.names
    assert "membrane_od" not in cell_schema(("tumour_probability", "positive_probability")).names


def test_rings_follow_their_cells(whole):
    chosen = whole.select(np.arange(len(whole)) % 3 == 0)
    np.testing.assert_array_equal(chosen.rings, whole.rings[::3])
    np.testing.assert_array_equal(chosen.placed(x=3, y=4, scale=2.0).rings, chosen.rings)
    np.testing.assert_array_equal(CellTable.joined([chosen, whole]).rings[len(chosen) :], whole.rings)


def test_rings_of_another_length_are_refused(whole):
    with pytest.raises(InvalidTableError, match="rings have shape"):
        ring_column(whole.rings[:, :8])
    with pytest.raises(InvalidTableError, match="rings have shape"):
        replace(whole, rings=whole.rings[:, :8])
