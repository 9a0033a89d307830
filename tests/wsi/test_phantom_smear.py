"""Smear phantoms hold exactly the cells that they were asked for, and say where each lies."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from slidelab.errors import SettingsError
from slidelab.wsi import open_slide
from slidelab.wsi.phantom import PhantomSettings, write_phantom
from slidelab.wsi.phantom.smear import (
    SmearPhantom,
    SmearTruth,
    paint_smear_field,
    write_smear_fields,
    write_smear_phantom,
)
from slidelab.wsi.phantom.smear_cells import KIND_NAMES, WHITE_KINDS, white_counts

SMALL = SmearPhantom(width=1024, height=640, seed=5, white_per_mm2=300.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> SmearTruth:
    """Return a small slide with a thick and a thin part."""
    return write_smear_phantom(tmp_path_factory.mktemp("smear") / "smear.tiff", SMALL, workers=2)


def test_white_cells_come_in_the_shares_asked_for():
    settings = SmearPhantom(width=4096, height=4096, white_per_mm2=100.0)
    counts = white_counts(settings)
    assert sum(counts.values()) == round(100.0 * settings.area_mm2) == 105
    # 63, 29.4, 7.35, 4.2, 1.05: the largest remainder is rounded up
    assert [counts[name] for name in WHITE_KINDS] == [63, 30, 7, 4, 1]


def test_slide_opens_with_its_resolution(made: SmearTruth):
    with open_slide(made.path) as slide:
        assert (slide.width, slide.height) == (1024, 640)
        assert slide.mpp == pytest.approx(0.25, rel=1e-3)


def test_table_holds_every_cell_with_class_place_and_size(made: SmearTruth):
    table = pq.read_table(made.cells_path)
    names = np.array(table["class"].to_pylist())
    assert {name: int((names == name).sum()) for name in KIND_NAMES} == {
        name: made.counts[name] for name in KIND_NAMES
    }
    assert table.num_rows == made.counts["cells"] == sum(made.counts[name] for name in KIND_NAMES)
    x, y = (np.array(table[axis]) for axis in "xy")
    assert x.min() > 0
    assert x.max() < 1024
    assert y.min() > 0
    assert y.max() < 640
    diameter = np.array(table["diameter_um"])[names == "red cell"]
    assert np.median(diameter) == pytest.approx(7.5, abs=0.2)


def test_summary_tells_the_parts_of_the_smear(made: SmearTruth):
    told = json.loads(made.json_path.read_text(encoding="utf-8"))
    assert told["counts"] == made.counts
    zones = told["zones"]
    assert sum(zone["cells"] for zone in zones.values()) == made.counts["cells"]
    widths = zip(zones, (0.2, 0.6, 0.2), strict=True)
    per_width = {name: zones[name]["red cell"] / share for name, share in widths}
    assert per_width["thick"] > 2.5 * per_width["monolayer"]
    assert per_width["thin"] < 0.4 * per_width["monolayer"]


def test_files_do_not_depend_on_the_number_of_workers(made: SmearTruth, tmp_path: Path):
    again = write_smear_phantom(tmp_path / "smear.tiff", SMALL, workers=1)
    assert again.path.read_bytes() == made.path.read_bytes()
    assert again.cells_path.read_bytes() == made.cells_path.read_bytes()


def test_cells_are_painted_where_the_truth_says():
    image, cells = paint_smear_field(replace(SMALL, thick=0.0, thin=0.0))
    darkness = 255.0 - image.mean(2)
    ground = float(np.median(darkness[::7, ::7]))
    rows, columns = (cells.y / 0.25).astype(int), (cells.x / 0.25).astype(int)
    beside = ((cells.x + 2.6) / 0.25).astype(int).clip(0, 1023)
    red = cells.kind == KIND_NAMES.index("red cell")
    lymphocyte = cells.kind == KIND_NAMES.index("lymphocyte")
    assert darkness[rows, columns][lymphocyte].min() > ground + 80
    pallor, rim = (float(np.median(darkness[rows, place][red])) for place in (columns, beside))
    assert rim > pallor + 10 > ground + 15


def test_monolayer_has_no_heaps():
    _, cells = paint_smear_field(replace(SMALL, thick=0.0, thin=0.0))
    places = np.stack([cells.x, cells.y], 1)
    away = np.hypot(*(places[:, None] - places[None]).transpose(2, 0, 1)) + 99 * np.eye(len(cells))
    touch = cells.radius[:, None] + cells.radius[None]
    assert (away < 0.8 * touch).any(1).mean() < 0.02


def test_clumps_are_eight_platelets_that_touch():
    _, plain = paint_smear_field(replace(SMALL, thick=0.0, thin=0.0))
    _, clumped = paint_smear_field(replace(SMALL, thick=0.0, thin=0.0, clumps=2))
    platelet = KIND_NAMES.index("platelet")
    assert (clumped.kind == platelet).sum() == (plain.kind == platelet).sum() + 16


def test_fields_come_without_a_scale_and_with_their_truth(tmp_path: Path):
    total = write_smear_fields(tmp_path, replace(SMALL, width=512, height=512), fields=2)
    told = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert sorted(told) == ["field-000.png", "field-001.png"]
    assert total["cells"] == sum(field["cells"] for field in told.values())
    with open_slide(tmp_path / "field-000.png") as slide:
        assert not slide.resolution.trusted


def test_any_phantom_can_be_a_smear(tmp_path: Path):
    settings = PhantomSettings(kind="smear", width=1024, height=1024, truth=40.0, seed=2)
    known = write_phantom(tmp_path / "any.tiff", settings)
    assert known.counts["nuclei"] == known.counts["cells"] > 100
    white = sum(known.counts[name] for name in WHITE_KINDS)
    assert known.value == pytest.approx(100 * known.counts["neutrophil"] / white)
    assert abs(known.counts["neutrophil"] - 0.4 * white) <= 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"shares": {"neutrophil": 0.5}},
        {"shares": {"blast": 1.0}},
        {"thick": 0.9},
        {"scanner": "c"},
        {"mpp": 9.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(wrong: dict[str, object]):
    with pytest.raises(SettingsError):
        replace(SMALL, **wrong)
