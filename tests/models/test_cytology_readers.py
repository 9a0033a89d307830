"""Readers of labelled cells: what they tell, what they keep apart, and the scale found again in Herlev."""

from collections import defaultdict

import numpy as np
import pytest
from PIL import Image
from scipy.ndimage import gaussian_filter

from slidelab.errors import SettingsError, SlideNotFoundError
from slidelab.models.cell_classes import CERVICAL_CLASSES, HERLEV_CLASSES, RBC_CLASSES, WBC_CLASSES
from slidelab.models.labelled.cytology_scale import band_powers, fit_blur_law, lightness, original_side
from slidelab.models.labelled.cytology_sets import CELL_SETS, read_cells
from slidelab.models.labelled.split import PARTS

KNOWN = {
    "cdetector-11class": CERVICAL_CLASSES,
    "herlev-200": CERVICAL_CLASSES,
    "cric-fields": CERVICAL_CLASSES,
    "lbc-circled-fields": (*CERVICAL_CLASSES, "abnormal"),
    "wbc-seg-zheng": WBC_CLASSES,
    "krd-wbc": WBC_CLASSES,
    "bccd": WBC_CLASSES,
    "chula-rbc12": RBC_CLASSES,
}


def enlarged(side: int, seed: int) -> Image.Image:
    """A soft picture of ``side`` px, scaled to 200 px."""
    random = np.random.default_rng(seed)
    soft = 128 + 250 * gaussian_filter(random.normal(size=(side, side)), 2.0)
    pixels = np.clip(soft + random.normal(scale=2.0, size=(side, side)), 0, 255)
    native = Image.fromarray(pixels.astype(np.uint8)).convert("RGB")
    return native.resize((200, 200), Image.Resampling.BILINEAR)


@pytest.mark.parametrize("side", [160, 167, 179])
def test_the_side_before_enlarging_is_found_again(side: int) -> None:
    found = original_side(lightness(enlarged(side, side)), nucleus_px=3000.0)
    assert found.traced
    assert found.px == pytest.approx(side, abs=2)


def test_a_picture_that_was_never_enlarged_has_no_trace() -> None:
    grey = np.random.default_rng(1).normal(128, 20, (180, 200))
    found = original_side(grey, nucleus_px=100.0)
    assert not found.traced
    assert found.px == 270.0
    # A large nucleus makes the picture a small one: no nucleus is larger than 150 um2.
    large = original_side(grey, nucleus_px=12000.0)
    assert large.px == pytest.approx(200 * np.sqrt(150 / 12000) / 0.201)


def test_the_blur_law_is_fitted_to_windows_of_known_size() -> None:
    native = enlarged(190, 3)
    law, errors = fit_blur_law([native], windows=60)
    assert law.shape == (len(band_powers(lightness(native))) + 1,)
    assert np.isfinite(errors).all()


def test_unknown_sets_and_absent_folders_are_named(tmp_path) -> None:
    with pytest.raises(SettingsError, match="no set of labelled cells"):
        read_cells(tmp_path, ["herlef"])
    with pytest.raises(SlideNotFoundError, match="herlev-200"):
        read_cells(tmp_path, ["herlev-200"])


def test_pictures_are_read_from_a_folder_of_their_own(tmp_path) -> None:
    folder = tmp_path / "cdetector-11class"
    (folder / "03_lsil").mkdir(parents=True)
    lines = ["file,class,tbs,width,height,source_path"]
    for number in range(8):
        Image.new("RGB", (30, 40), "white").save(folder / "03_lsil" / f"{number}.jpg")
        lines.append(f"03_lsil/{number}.jpg,lsil,LSIL,30,40,x")
    (folder / "manifest.csv").write_text("\n".join(lines) + "\n")
    cells = read_cells(tmp_path, ["cdetector-11class"])
    assert {cell.label for cell in cells} == {"LSIL"}
    assert sum(cell.part == "validation" for cell in cells) == 2
    assert not cells[0].scale_stated


@pytest.mark.parametrize("name", sorted(CELL_SETS))
def test_real_sets_are_divided_by_case_and_use_known_words(data_folder, name) -> None:
    folder = data_folder / CELL_SETS[name].folder / name
    if not folder.is_dir():
        pytest.skip(f"{name} is not there")
    cells = read_cells(data_folder, [name])
    assert {cell.label for cell in cells} <= set(KNOWN[name])
    parts = defaultdict(set)
    for cell in cells:
        parts[cell.case].add(cell.part)
        assert cell.part in PARTS
        assert cell.path.is_file()
    assert all(len(found) == 1 for found in parts.values())
    assert any(cell.part == "validation" for cell in cells)
    if name == "herlev-200":
        assert {cell.detail for cell in cells} == set(HERLEV_CLASSES)


def test_herlevs_known_sides_are_found_again(data_folder) -> None:
    folder = data_folder / "cytology" / "herlev-200"
    if not folder.is_dir():
        pytest.skip("Herlev is not there")
    by_name = {cell.path.stem: cell for cell in read_cells(data_folder, ["herlev-200"])}
    traced = 0
    for path in (folder / "native").glob("*.png"):
        with Image.open(path) as native:
            side = max(native.size)
        found = by_name[path.stem.split("__")[1]].mpp * 200 / 0.201
        if side < 200:  # enlarged: a trace is left
            assert found == pytest.approx(side, rel=0.01)
            traced += 1
        else:
            assert found == pytest.approx(side, rel=0.4)
    assert traced == 5


def test_herlevs_normal_nuclei_have_the_size_of_the_textbook(data_folder) -> None:
    folder = data_folder / "cytology" / "herlev-200"
    if not folder.is_dir():
        pytest.skip("Herlev is not there")
    areas = []
    for cell in read_cells(data_folder, ["herlev-200"]):
        mask = cell.read_mask()
        if cell.detail == "normal intermediate" and mask is not None:
            areas.append((mask == 2).sum() * cell.mpp**2)
    assert 20 < np.median(areas) < 60  # textbook: 35 um2
