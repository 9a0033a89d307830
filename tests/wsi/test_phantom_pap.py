"""Pap phantoms: what is painted is what the truth says, and the same settings paint the same bytes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from slidelab.errors import SettingsError
from slidelab.wsi import PhantomSettings, Region, open_slide, write_phantom
from slidelab.wsi.phantom.pap import PapSettings, write_pap_phantom
from slidelab.wsi.phantom.pap_cells import draw_cells

SMALL = PapSettings(
    width=700, height=600, seed=5, lesions={"HSIL": 2, "LSIL": 1}, endocervical=1, metaplastic=2
)


@pytest.fixture(scope="module")
def painted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pap_phantom(tmp_path_factory.mktemp("pap") / "pap.tiff", SMALL).path


def test_same_settings_paint_the_same_bytes_with_any_number_of_workers(painted: Path, tmp_path: Path) -> None:
    again = write_pap_phantom(tmp_path / "pap.tiff", SMALL, workers=3)
    assert again.path.read_bytes() == painted.read_bytes()
    assert again.cells_path.read_bytes() == painted.with_suffix(".truth.parquet").read_bytes()


def test_the_pixels_at_every_true_nucleus_are_darker_than_beside_its_cell(painted: Path) -> None:
    table = pq.read_table(painted.with_suffix(".truth.parquet")).to_pydict()
    with open_slide(painted) as slide:
        assert slide.mpp == pytest.approx(0.5, rel=1e-4)
        image = slide.read(Region(0, 0, slide.width, slide.height), mpp=0.5)
    glass = float(np.percentile(image[..., 0], 99))
    for x, y, kind in zip(table["x"], table["y"], table["class"], strict=True):
        if kind == "neutrophil":  # its middle lies between the lobes
            continue
        assert image[int(y) - 1 : int(y) + 2, int(x) - 1 : int(x) + 2, 0].mean() < 0.65 * glass, kind


def test_areas_and_ratios_of_the_table_are_those_of_its_outlines(painted: Path) -> None:
    import shapely

    table = pq.read_table(painted.with_suffix(".truth.parquet"))
    nuclei = shapely.area(shapely.from_wkb(table["geometry"].to_pylist())) * 0.25
    cells = shapely.area(shapely.from_wkb(table["cell_geometry"].to_pylist())) * 0.25
    assert np.allclose(nuclei, table["area_um2"].to_numpy(), rtol=1e-4)
    assert np.allclose(nuclei / cells, table["nc"].to_numpy(), rtol=1e-4)
    kinds = np.array(table["class"].to_pylist())
    assert np.median(nuclei[kinds == "intermediate"]) == pytest.approx(35, rel=0.08)
    assert np.median((nuclei / cells)[kinds == "HSIL"]) > 0.5


def test_groups_of_the_truth_hold_the_lesions_that_were_asked_for(painted: Path) -> None:
    truth = json.loads(painted.with_suffix(".truth.json").read_text())
    assert sorted(group["class"] for group in truth["groups"]) == ["HSIL", "HSIL", "LSIL"]
    assert truth["counts"]["HSIL"] == sum(g["cells"] for g in truth["groups"] if g["class"] == "HSIL")


def test_no_cell_of_a_small_slide_reaches_beyond_its_edge() -> None:
    cells = draw_cells(SMALL)
    assert (cells.x > 0).all()
    assert (cells.x < 350).all()
    assert (cells.y > 0).all()
    assert (cells.y < 300).all()


def test_only_cells_near_a_focal_plane_are_sharp_in_it(tmp_path: Path) -> None:
    settings = PapSettings(width=700, height=600, seed=5, planes=3, plane_step_um=6.0, depth_um=12.0)
    made = write_pap_phantom(tmp_path / "stack.tiff", settings)
    assert [path.name for path in made.planes] == ["stack_z0.tiff", "stack_z1.tiff", "stack_z2.tiff"]
    cells = draw_cells(settings)
    images = []
    for path in made.planes:
        with open_slide(path) as slide:
            images.append(slide.read(Region(0, 0, 700, 600), mpp=0.5)[..., 0].astype(float))
    for row in np.flatnonzero(cells.kind == 1)[:20]:  # intermediate cells
        x, y = int(cells.x[row] / 0.5), int(cells.y[row] / 0.5)
        edge = [np.ptp(image[y - 12 : y + 13, x - 12 : x + 13], axis=0).max() for image in images]
        steep = [np.abs(np.diff(image[y, x - 12 : x + 13])).max() for image in images]
        nearest = int(np.argmin([abs(cells.depth[row] - height) for height in settings.plane_heights]))
        assert steep[nearest] >= max(steep) * 0.8, (cells.depth[row], steep, edge)


def test_the_phantom_verb_paints_the_share_of_abnormal_cells_that_it_is_asked_for(tmp_path: Path) -> None:
    settings = PhantomSettings(kind="pap", width=1600, height=1600, mpp=0.5, truth=6.0)
    found = write_phantom(tmp_path / "pap.tiff", settings)
    assert found.value == pytest.approx(6.0, abs=2.5)
    none = write_phantom(
        tmp_path / "none.tiff", PhantomSettings(kind="pap", width=600, height=600, truth=0.0)
    )
    assert none.value == 0


def test_settings_without_sense_are_refused() -> None:
    with pytest.raises(SettingsError):
        PapSettings(lesions={"CIN": 2})
    with pytest.raises(SettingsError):
        PapSettings(planes=0)
