from __future__ import annotations

import json
from pathlib import Path

import pytest
import tifffile

from slidelab.wsi import inspect_slide

KEYS = (
    "path",
    "vendor",
    "width",
    "height",
    "levels",
    "mpp",
    "objective_power",
    "readable",
    "verdict",
    "problems",
)


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("cmu-1-small-region.svs", "ready for scoring at 0.499 um/px"),
        ("OS-2-ndpi.ome.tif", "ready for scoring at 0.5 um/px"),
        ("cmu-1-small-region-dicom", "ready for scoring at 0.499 um/px"),
        ("biopsy-packer-example.tif", "tissue maps only: 0.987 um/px is too coarse"),
        ("BRACS_1640_N_3_cropped.tiff", "needs --mpp: openslide.mpp-x = 1000 um is outside"),
        ("mouse-ihc-dicom", "needs --mpp: dicom:PixelSpacing = 1.25 x 1.776 um: x and y differ by 42%"),
        ("tcga-cr-7395-01a-01-ts1.svs", "needs --mpp: the file does not state its um per pixel"),
        ("camelyon-overview.dcm", "needs --mpp"),
        ("kidney-48-5.tif", "needs --mpp"),
        ("test3-dapi.ndpi", "cannot be scored: looks like fluorescence"),
        ("gleason-label-mask-lzw.tif", "cannot be scored: one channel: not a stained slide"),
        ("OS-1-detail.ome.tif", "ready for scoring"),
        ("OS-2-vsi.ome.tif", "ready for scoring"),
    ],
)
def test_the_verdict_on_every_good_slide(data_folder: Path, name: str, verdict: str) -> None:
    found = inspect_slide(data_folder / "slides" / name)
    assert found.readable
    assert found.verdict.startswith(verdict)


def test_every_bad_slide_gets_a_verdict_and_none_raises(data_folder: Path) -> None:
    folder = data_folder / "slides" / "bad"
    bad = [path for path in folder.rglob("*") if path.suffix not in (".ini", ".dat", ".jpg", ".opt")]
    assert len(bad) >= 15
    for path in bad:
        found = inspect_slide(path)
        assert not found.readable
        assert found.verdict.startswith(("cannot be read: ", "cannot be used: "))
        assert "\n" not in found.verdict
        assert found.problems
        json.dumps(found.to_json())


def test_json_has_the_agreed_keys_first_and_no_patient_data(data_folder: Path) -> None:
    found = inspect_slide(data_folder / "slides" / "cmu-1-small-region.svs").to_json()
    assert tuple(found)[: len(KEYS)] == KEYS
    assert found["mpp"] == {"x": 0.499, "y": 0.499, "source": "openslide.mpp-x", "trusted": True}
    assert found["levels"] == [{"width": 2220, "height": 2967, "downsample": 1.0}]
    assert found["objective_power"] == 20
    assert found["associated_images"] == ["label", "macro", "thumbnail"]
    text = json.dumps(found)
    assert "ImageDescription" not in text
    assert "ScanScope" not in text
    assert "42673,5576" not in text  # a part of the free-text comment


def test_json_of_a_bad_slide_has_the_same_keys(tmp_path: Path) -> None:
    found = inspect_slide(tmp_path / "none.svs").to_json()
    assert tuple(found)[: len(KEYS)] == KEYS
    assert found["readable"] is False
    assert found["mpp"] == {"x": None, "y": None, "source": "none", "trusted": False}


def test_an_override_is_reported(data_folder: Path) -> None:
    found = inspect_slide(data_folder / "slides" / "BRACS_1640_N_3_cropped.tiff", mpp=0.25)
    assert found.verdict == "ready for scoring at 0.5 um/px"
    assert found.to_json()["mpp"]["source"] == "user"
    assert "overrides openslide.mpp-x = 1000 um" in found.problems[0]


def test_a_wrong_override_is_a_verdict(write_tiff, picture) -> None:
    found = inspect_slide(write_tiff(picture(300, 200)), mpp=50)
    assert found.verdict.startswith("wrong --mpp: --mpp 50 is outside")


def test_unreadable_tiles_are_counted(write_tiff, picture) -> None:
    path = write_tiff(picture(576, 512), levels=1, compression="lzw")
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages[0]
        offset, count = page.dataoffsets[5], page.databytecounts[5]  # the second tile of the second row
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(bytes(count))
    found = inspect_slide(path, mpp=0.5)
    assert found.readable
    assert found.verdict == "ready for scoring at 0.5 um/px, but 4 of 64 sampled tiles cannot be read"
    assert any("x 144..288, y 128..256" in problem for problem in found.problems)
