from __future__ import annotations

from pathlib import Path

import pytest

from slidelab.errors import ResolutionError
from slidelab.wsi import Candidate, Resolution, open_slide
from slidelab.wsi.resolution import judge, override


def stated(x: float, y: float | None = None, source: str = "openslide.mpp-x") -> Candidate:
    return Candidate(source, x, x if y is None else y)


def test_a_plausible_square_value_is_trusted() -> None:
    found = judge([stated(0.5)], objective_power=20)
    assert (found.x, found.y, found.source, found.trusted, found.problems) == (
        0.5,
        0.5,
        "openslide.mpp-x",
        True,
        (),
    )
    assert found.require() == 0.5


def test_require_gives_the_geometric_mean() -> None:
    assert judge([stated(0.5, 0.5202)]).require() == pytest.approx((0.5 * 0.5202) ** 0.5)


@pytest.mark.parametrize(
    ("candidates", "power", "reason"),
    [
        ([], None, "does not state"),
        ([stated(0.0274)], None, "outside the plausible 0.05-5 um"),
        ([stated(1000)], None, "outside the plausible 0.05-5 um"),
        ([stated(float("nan"))], None, "outside"),
        ([stated(0.5, 0.53)], None, "differ by 6%"),
        ([stated(0.5), stated(0.56, source="tiff:XResolution")], None, "contradicts tiff:XResolution"),
        ([stated(0.0274), stated(0.274, source="aperio.MPP")], None, "contradicts aperio.MPP"),
        ([stated(2.5)], 40, "10.0 times off"),
    ],
)
def test_doubtful_values_are_not_trusted_and_the_error_names_the_fix(candidates, power, reason) -> None:
    found = judge(candidates, objective_power=power)
    assert not found.trusted
    with pytest.raises(ResolutionError, match=reason) as caught:
        found.require()
    assert "--mpp 0.5" in caught.value.advice
    assert "\n" not in str(caught.value)


def test_objective_power_alone_is_an_estimate_and_never_trusted() -> None:
    found = judge([], objective_power=20)
    assert (found.x, found.source, found.trusted) == (0.5, "objective-power", False)
    assert "20x objective suggests about 0.5" in found.problems[0]


def test_a_3dhistech_20x_scan_at_0_23_um_is_trusted_with_a_note() -> None:
    found = judge([stated(0.2325)], objective_power=20)
    assert found.trusted
    assert "2.2 times off the 0.5 um usual at 20x" in found.problems[0]


def test_a_gt450_scan_needs_no_note() -> None:
    assert judge([stated(0.2631)], objective_power=40).problems == ()


def test_the_72_dpi_of_an_image_library_is_noted_and_ignored() -> None:
    found = judge([stated(0.25), stated(352.8, source="tiff:XResolution")])
    assert found.trusted
    assert found.problems == ("ignored tiff:XResolution = 352.8 um: outside the plausible 0.05-5 um",)


def test_sources_that_agree_within_10_percent_are_trusted() -> None:
    assert judge([stated(0.5), stated(0.549, source="tiff:XResolution")]).trusted


def test_override_is_trusted_and_keeps_what_the_file_said() -> None:
    file = judge([stated(0.25)])
    found = override(file, mpp=0.5)
    assert (found.x, found.y, found.source, found.trusted) == (0.5, 0.5, "user", True)
    assert found.candidates == file.candidates
    assert found.problems == ("user's 0.5 um/px overrides openslide.mpp-x = 0.25 um, which differs by 100%",)


def test_override_of_an_agreeing_file_mentions_no_conflict() -> None:
    (note,) = override(judge([stated(0.499)]), mpp=0.5).problems
    assert "overrides" in note
    assert "differs" not in note


@pytest.mark.parametrize("mpp", [0, -1, 0.049, 5.1, float("nan"), float("inf")])
def test_an_implausible_override_is_refused(mpp: float) -> None:
    with pytest.raises(ResolutionError, match="outside the plausible"):
        override(Resolution(None, None, "none", False), mpp=mpp)


@pytest.mark.parametrize(
    ("name", "mpp", "source"),
    [
        ("cmu-1-small-region.svs", 0.499, "openslide.mpp-x"),
        ("cmu-1-small-region-dicom", 0.499, "dicom:PixelSpacing"),
        ("OS-1-detail.ome.tif", 0.2271, "ome:PhysicalSizeX"),
        ("OS-2-vsi.ome.tif", 0.3461, "ome:PhysicalSizeX"),
        ("biopsy-packer-example.tif", 0.9872, "openslide.mpp-x"),
        ("test3-dapi.ndpi", 0.2282, "openslide.mpp-x"),
    ],
)
def test_real_slides_with_a_sound_resolution_are_trusted(data_folder: Path, name, mpp, source) -> None:
    with open_slide(data_folder / "slides" / name) as slide:
        assert slide.mpp == pytest.approx(mpp, rel=1e-3)
        assert slide.resolution.source == source


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("BRACS_1640_N_3_cropped.tiff", "= 1000 um is outside"),
        ("mouse-ihc-dicom", "x and y differ by 42%"),
        ("camelyon-overview.dcm", "28.97 um is outside"),
        ("tcga-cr-7395-01a-01-ts1.svs", "does not state"),
        ("kidney-48-5.tif", "does not state"),
    ],
)
def test_real_slides_without_one_ask_for_mpp_and_take_it(data_folder: Path, name: str, reason: str) -> None:
    path = data_folder / "slides" / name
    with open_slide(path) as slide, pytest.raises(ResolutionError, match=reason):
        slide.plane(0.5)
    with open_slide(path, mpp=0.5) as slide:
        assert slide.mpp == 0.5
        assert slide.resolution.source == "user"
        assert slide.plane(0.5).downsample == 1.0
