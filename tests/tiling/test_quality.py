"""Artefacts are found where they were painted or seen, and clean tissue is left alone."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from slidelab.errors import InvalidTableError, RegionError
from slidelab.tiling import overview
from slidelab.tiling.detail import Detail, measure_detail
from slidelab.tiling.focus import FocusSettings, judge_focus
from slidelab.tiling.folds import FoldSettings, find_folds
from slidelab.tiling.ink import InkSettings, find_dye, find_strokes, is_dye
from slidelab.tiling.quality import REASONS, QualityMap, QualitySettings, assess_quality
from slidelab.tiling.specks import (
    BubbleSettings,
    DebrisSettings,
    find_bubbles,
    find_debris,
    is_opaque,
)
from slidelab.tiling.tissue import TissueMask, find_tissue
from slidelab.wsi import open_slide
from slidelab.wsi.phantom import PhantomSettings, write_phantom

WHITE = (240.0, 240.0, 240.0)
EVERYWHERE = np.ones((200, 200), bool)
STAINS = {
    "H&E": (0.25, 0.45, 0.20),
    "eosin": (0.05, 0.35, 0.12),
    "dense haematoxylin": (0.55, 0.60, 0.28),
    "pale haematoxylin": (0.12, 0.07, 0.03),
    "strong DAB": (0.35, 0.55, 0.75),
    "red chromogen": (0.10, 0.45, 0.25),
}
INKS = {
    "blue": (0.9, 0.5, 0.1),
    "green": (0.8, 0.25, 0.6),
    "red": (0.1, 0.75, 0.6),
    "black": (0.75, 0.75, 0.72),
}


def tissue_density(od, *, shape=(200, 200), seed=5, contrast=0.3):
    """Return optical density of tissue with a texture of about one cell."""
    texture = 3 * ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=shape), 1.0)
    return (1 + contrast * np.clip(texture, -2, 2))[..., None] * np.array(od)


def develop(density):
    """Return the pixels of an optical density on white glass."""
    return np.clip(np.rint(np.array(WHITE) * 10.0**-density), 0, 255).astype(np.uint8)


def stroke(shape=(200, 200)):
    y, x = np.mgrid[: shape[0], : shape[1]]
    return np.abs(y - 100 - 0.3 * (x - 100)) < 15


def overlap(found, truth):
    return (found & truth).sum() / (found | truth).sum()


class TestInk:
    @pytest.mark.parametrize("ink", INKS)
    @pytest.mark.parametrize("stain", ["H&E", "eosin", "pale haematoxylin"])
    def test_a_stroke_across_glass_and_tissue_is_found_whole(self, ink, stain):
        density = tissue_density(STAINS[stain]) * (np.arange(200) > 90)[:, None]
        density[stroke()] += INKS[ink]
        found = find_strokes(develop(density), white=WHITE, mpp=8.0, settings=InkSettings())
        assert overlap(found, stroke()) > 0.85

    @pytest.mark.parametrize("stain", STAINS)
    def test_stain_is_no_ink(self, stain):
        image = develop(tissue_density(STAINS[stain], contrast=0.5))
        assert not find_strokes(image, white=WHITE, mpp=8.0, settings=InkSettings()).any()
        assert not is_dye(np.log10(241 / (image.astype(np.float32) + 1))).any()

    def test_close_specks_of_dye_make_a_place_and_a_lone_speck_does_not(self):
        share = np.zeros((60, 60), np.float32)
        share[20:26, 20:26] = 0.25
        share[45, 45] = 1.0
        found = find_dye(share, mpp=8.0, settings=InkSettings())
        assert found[20:26, 20:26].all()
        assert not found[40:].any()


class TestFolds:
    def band(self):
        y, x = np.mgrid[:200, :200]
        return (np.abs(y - 100 - 15 * np.sin(x / 40)) < 3.5) & (np.abs(x - 100) < 70)

    def test_a_band_of_two_layers_is_found(self):
        density = tissue_density(STAINS["H&E"])
        density[self.band()] += tissue_density(STAINS["H&E"], seed=6)[self.band()]
        found = find_folds(develop(density), EVERYWHERE, white=WHITE, mpp=8.0, settings=FoldSettings())
        assert (found & self.band()).sum() / self.band().sum() > 0.7
        beside = found & ~ndimage.binary_dilation(self.band(), iterations=3)
        assert beside.sum() < 0.05 * self.band().sum()

    @pytest.mark.parametrize("stain", STAINS)
    def test_even_tissue_has_no_folds(self, stain):
        image = develop(tissue_density(STAINS[stain]))
        assert not find_folds(image, EVERYWHERE, white=WHITE, mpp=8.0, settings=FoldSettings()).any()

    def test_a_dark_round_nest_is_no_fold(self):
        y, x = np.mgrid[:200, :200]
        nest = np.hypot(y - 100, x - 100) < 25
        density = tissue_density(STAINS["H&E"]) * (1 + nest)[..., None]
        assert not find_folds(
            develop(density), EVERYWHERE, white=WHITE, mpp=8.0, settings=FoldSettings()
        ).any()

    def test_a_band_of_another_hue_is_no_fold(self):
        density = tissue_density(STAINS["eosin"])
        density[self.band()] = tissue_density(STAINS["dense haematoxylin"])[self.band()]
        assert not find_folds(
            develop(density), EVERYWHERE, white=WHITE, mpp=8.0, settings=FoldSettings()
        ).any()

    def test_a_small_field_is_not_judged(self):
        density = tissue_density(STAINS["H&E"])
        density[self.band()] *= 2
        part = np.zeros((200, 200), bool)
        part[60:140, 60:140] = True  # 0.4 mm2
        assert not find_folds(develop(density), part, white=WHITE, mpp=8.0, settings=FoldSettings()).any()


class TestBubbles:
    def ring(self, outer, inner):
        y, x = np.mgrid[:200, :200]
        distance = np.hypot(y - 100, x - 100)
        return (distance < outer) & (distance >= inner), distance < outer

    @pytest.mark.parametrize("stain", ["H&E", "pale haematoxylin"])
    def test_a_black_ring_on_tissue_is_found_with_its_inside(self, stain):
        rim, disc = self.ring(25, 22)
        density = tissue_density(STAINS[stain], contrast=0.1)
        density[rim] += 0.8
        found = find_bubbles(develop(density), EVERYWHERE, white=WHITE, mpp=8.0, settings=BubbleSettings())
        assert overlap(found, disc) > 0.9

    def test_a_ring_of_stained_epithelium_is_no_bubble(self):
        rim, _ = self.ring(25, 20)
        density = tissue_density(STAINS["eosin"], contrast=0.1)
        density[rim] = STAINS["dense haematoxylin"]
        found = find_bubbles(develop(density), EVERYWHERE, white=WHITE, mpp=8.0, settings=BubbleSettings())
        assert not found.any()

    def test_an_open_arc_is_no_bubble(self):
        rim, _ = self.ring(25, 22)
        rim[:, :95] = False
        density = tissue_density(STAINS["H&E"], contrast=0.1)
        density[rim] += 0.8
        found = find_bubbles(develop(density), EVERYWHERE, white=WHITE, mpp=8.0, settings=BubbleSettings())
        assert not found.any()


class TestDebris:
    def test_opaque_specks_count_and_dense_stain_does_not(self):
        density = tissue_density(STAINS["strong DAB"]).astype(np.float32)
        density[50:56, 50:56] = 1.2
        found = is_opaque(density, settings=DebrisSettings())
        assert found[50:56, 50:56].all()
        assert not found[60:].any()

    def test_small_specks_are_pigment(self):
        share = np.zeros((100, 100), np.float32)
        share[10:13, 10:13] = 1.0  # 576 um2
        share[50:52, 50:52] = 1.0  # 256 um2
        found = find_debris(share, np.ones((100, 100), bool), mpp=8.0, settings=DebrisSettings())
        assert np.argwhere(found).tolist() == [[y, x] for y in (10, 11, 12) for x in (10, 11, 12)]

    def test_where_black_is_common_it_is_a_stain(self):
        share = np.zeros((100, 100), np.float32)
        share[5::10, 5::10] = share[6::10, 5::10] = share[5::10, 6::10] = 1.0
        share[40:52, 40:52] = 1.0
        found = find_debris(
            share, np.ones((100, 100), bool), mpp=8.0, settings=replace(DebrisSettings(), min_um2=100)
        )
        assert found[40:52, 40:52].all()
        assert found.sum() == found[40:52, 40:52].sum()


class FlatPlane:
    """Stands for a plane: an image in memory."""

    def __init__(self, image):
        self.image = image
        self.height, self.width = image.shape[:2]

    def read(self, x, y, width, height):
        assert x >= 0
        assert y >= 0
        return self.image[y : y + height, x : x + width]


class TestDetail:
    def test_stripes_give_what_the_formulas_give(self):
        image = np.full((64, 64, 3), 255, np.uint8)
        image[:, ::2] = 25  # OD difference log10(256 / 26)
        step = np.log10(256 / 26)
        detail = measure_detail(FlatPlane(image), np.ones((1, 1), bool), step=64.0)
        # The last column meets its own copy beyond the slide's border: 1 of 64 steps is missing.
        assert detail.pixels[0, 0] == 64 * 64
        assert detail.slope[0, 0] == pytest.approx(64 * 63 * step**2 / 2, rel=1e-5)
        # Both neighbours in a row differ, none in a column: (2 step)^2; the two border columns have (step)^2.
        assert detail.curvature[0, 0] == pytest.approx(64 * (62 * 4 + 2) * step**2, rel=1e-5)
        assert detail.contrast[0, 0] == pytest.approx(0, abs=1e-6)

    def test_white_noise_has_ten_times_more_curvature_than_slope(self):
        noise = np.random.default_rng(2).normal(128, 8, (512, 512, 1)).round().astype(np.uint8)
        detail = measure_detail(FlatPlane(np.repeat(noise, 3, axis=2)), np.ones((1, 1), bool), step=512.0)
        assert detail.curvature[0, 0] / detail.slope[0, 0] == pytest.approx(10, rel=0.02)

    def test_tiles_of_work_leave_no_trace(self):
        image = np.random.default_rng(3).integers(0, 255, (230, 310, 3), np.uint8)
        wanted = np.random.default_rng(4).random((8, 10)) > 0.3
        results = [
            measure_detail(FlatPlane(image), wanted, step=31.9, tile_cells=size) for size in (1, 3, 32)
        ]
        for other in results[1:]:
            for name in ("pixels", "slope", "curvature", "level", "squared_level"):
                np.testing.assert_array_equal(getattr(other, name), getattr(results[0], name))

    def test_flat_windows_are_neither_blurred_nor_sharp(self):
        nothing = Detail(*(np.full((3, 3), v) for v in (1024.0, 1e-9, 1e-9, 0.0, 0.0)))
        assert not judge_focus(nothing, settings=FocusSettings()).any()


SHARP = {
    "OS-1-detail.ome.tif": None,
    "OS-2-ndpi.ome.tif": None,
    "OS-2-vsi.ome.tif": None,
    "BRACS_1640_N_3_cropped.tiff": 0.25,
    "biopsy-packer-example.tif": None,
}


def assess(path, *, mpp=None, settings=None):
    with open_slide(path, mpp=mpp) as slide:
        tissue = find_tissue(slide)
        return assess_quality(slide, tissue, settings=settings), tissue


def excluded_share(quality, tissue):
    areas = quality.areas_mm2(tissue)
    total = sum(areas.values())
    return {reason: area / total for reason, area in areas.items()}


class TestRealSlides:
    @pytest.mark.parametrize("name", SHARP)
    def test_sharp_clean_tissue_is_kept(self, data_folder, name):
        shares = excluded_share(*assess(data_folder / "slides" / name, mpp=SHARP[name]))
        assert shares["out_of_focus"] <= 0.05
        assert shares["ok"] >= 0.95

    @pytest.mark.parametrize("sigma_um", [2.0, 4.0])
    @pytest.mark.parametrize("name", SHARP)
    def test_the_same_tissue_blurred_is_out_of_focus(self, data_folder, tmp_path, name, sigma_um):
        with open_slide(data_folder / "slides" / name, mpp=SHARP[name]) as slide:
            mpp = slide.mpp
            image = slide.plane(mpp).read(0, 0, slide.width, slide.height)
        sigma = (sigma_um / mpp, sigma_um / mpp, 0)
        blurred = ndimage.gaussian_filter(image.astype(np.float32), sigma)
        noisy = blurred + np.random.default_rng(1).normal(0, 1, image.shape)
        tifffile.imwrite(
            tmp_path / "blurred.tif", noisy.clip(0, 255).round().astype(np.uint8), photometric="rgb"
        )
        assert excluded_share(*assess(tmp_path / "blurred.tif", mpp=mpp))["out_of_focus"] >= 0.9

    def test_marking_dye_is_found_where_it_was_seen(self, data_folder):
        quality, tissue = assess(data_folder / "slides" / "cmu-1-small-region.svs")
        dyed = np.array([[1860, 1310], [1740, 1915], [1840, 2230]], float)
        clean = np.array(
            [[1100, 1500], [900, 2000], [760, 2700], [1700, 2500], [1480, 1180], [1020, 2090]], float
        )
        assert {REASONS[code] for code in quality.reason_at(*dyed.T)} == {"pen"}
        assert not quality.reason_at(*clean.T).any()
        assert excluded_share(quality, tissue)["ok"] > 0.95

    def test_folded_margins_of_a_frozen_section_are_found_where_they_were_seen(self, data_folder):
        quality, tissue = assess(data_folder / "slides" / "tcga-cr-7395-01a-01-ts1.svs", mpp=0.5)
        folded = np.array([[100, 1900], [2830, 3370], [4150, 3100]], float)
        plain = np.array([[800, 1000], [2000, 800], [2300, 2000], [3400, 3000], [3300, 350]], float)
        assert {REASONS[code] for code in quality.reason_at(*folded.T)} == {"fold"}
        assert not quality.reason_at(*plain.T).any()
        assert excluded_share(quality, tissue)["ok"] > 0.95

    def test_nuclei_black_with_dab_are_no_debris(self, data_folder):
        for file in sorted((data_folder / "ihc" / "ki67-bcdata-sample" / "images").glob("*.jpg"))[:6]:
            assert excluded_share(*assess(file, mpp=0.25))["ok"] == 1.0

    def test_a_coarse_slide_says_that_focus_was_not_judged(self, data_folder):
        quality, _ = assess(data_folder / "slides" / "biopsy-packer-example.tif", mpp=2.5)
        assert quality.flags == ("focus_not_judged",)

    def test_bands_and_tiles_of_work_leave_no_trace(self, data_folder, monkeypatch):
        path = data_folder / "slides" / "tcga-cr-7395-01a-01-ts1.svs"
        whole, _ = assess(path, mpp=0.5)
        monkeypatch.setattr(overview, "BAND_ROWS", 41)
        monkeypatch.setattr("slidelab.tiling.closeup.TILE", 50)
        small = QualitySettings(focus=FocusSettings(tile_cells=7))
        np.testing.assert_array_equal(assess(path, mpp=0.5, settings=small)[0].codes, whole.codes)

    def test_the_mask_of_another_slide_is_refused(self, data_folder):
        with open_slide(data_folder / "slides" / "OS-2-vsi.ome.tif") as slide:
            other = replace(find_tissue(slide), mask=np.ones((5, 5), bool))
            with pytest.raises(RegionError):
                assess_quality(slide, other)


@pytest.fixture(scope="module")
def phantom(tmp_path_factory):
    """Make a phantom of 9 mm2, and find its tissue and artefacts."""
    path = tmp_path_factory.mktemp("phantom") / "he.tiff"
    settings = PhantomSettings(
        kind="he", width=6144, height=6144, mpp=0.5, scanner="b", seed=2, tissue_fraction=0.4
    )
    write_phantom(path, settings, workers=2)
    truth = json.loads(path.with_suffix(".truth.json").read_text())
    quality, tissue = assess(path)
    return quality, tissue, truth


class TestPhantom:
    @staticmethod
    def painted(truth, tissue, reason):
        from skimage.draw import polygon2mask

        mask = np.zeros(tissue.mask.shape, bool)
        for artefact in truth["artefacts"]:
            if artefact["reason"] == reason:
                outline = np.array(artefact["outline"])[:, ::-1] / tissue.downsample - 0.5
                mask |= polygon2mask(mask.shape, outline)
        return mask

    def test_tissue_is_what_was_painted(self, phantom):
        from skimage.draw import polygon2mask

        _, tissue, truth = phantom
        painted = np.zeros(tissue.mask.shape, bool)
        for outline in truth["tissue"]:
            painted |= polygon2mask(painted.shape, np.array(outline)[:, ::-1] / tissue.downsample - 0.5)
        hidden = ndimage.binary_dilation(self.painted(truth, tissue, "pen"), iterations=3)
        assert overlap(tissue.mask & ~hidden, painted & ~hidden) > 0.95

    @pytest.mark.parametrize(("reason", "least"), [("pen", 0.85), ("out_of_focus", 0.7), ("fold", 0.5)])
    def test_what_was_painted_is_found_for_what_it_is(self, phantom, reason, least):
        quality, tissue, truth = phantom
        painted = self.painted(truth, tissue, reason) & tissue.mask
        found = (quality.codes == REASONS.index(reason)) & tissue.mask
        assert overlap(found, painted) >= least

    @pytest.mark.parametrize("reason", ["pen", "out_of_focus", "fold", "bubble"])
    def test_what_was_painted_is_left_out(self, phantom, reason):
        quality, tissue, truth = phantom
        painted = self.painted(truth, tissue, reason) & tissue.mask
        assert (quality.codes[painted] > 0).mean() >= 0.7

    def test_clean_tissue_is_kept(self, phantom):
        quality, tissue, truth = phantom
        clean = tissue.mask.copy()
        for reason in REASONS[1:]:
            clean &= ~self.painted(truth, tissue, reason)
        assert (quality.codes[clean] > 0).mean() <= 0.02


class TestMap:
    tissue = TissueMask(
        mask=np.array([[True, True, False], [True, True, True]]),
        downsample=10.0,
        mpp=5.0,
        background=WHITE,
    )
    quality = QualityMap(
        codes=np.array([[0, 1, 5], [2, 0, 0]], np.uint8),
        downsample=10.0,
        mpp=5.0,
        flags=("focus_not_judged",),
    )

    def test_reasons_are_looked_up_in_level_0_pixels(self):
        x = np.array([5.0, 15.0, 25.0, 5.0, 35.0, -1.0])
        y = np.array([5.0, 5.0, 5.0, 15.0, 5.0, 5.0])
        assert self.quality.reason_at(x, y).tolist() == [0, 1, 5, 2, 0, 0]
        assert self.quality.reason_at(x, y).dtype == np.uint8

    def test_areas_count_tissue_only_and_add_up_to_it(self):
        areas = self.quality.areas_mm2(self.tissue)
        assert tuple(areas) == REASONS
        assert areas["ok"] == pytest.approx(3 * 25e-6)
        assert areas["out_of_focus"] == areas["pen"] == pytest.approx(25e-6)
        assert areas["debris"] == 0
        assert sum(areas.values()) == pytest.approx(self.tissue.area_mm2)

    def test_assessable_is_tissue_without_a_reason(self):
        assert self.quality.assessable(self.tissue).tolist() == [[True, False, False], [False, True, True]]

    def test_saved_map_comes_back_whole_and_with_equal_bytes(self, tmp_path):
        digests = set()
        for name in ("a.npz", "b.npz"):
            self.quality.save(tmp_path / name)
            digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
        again = QualityMap.load(tmp_path / "a.npz")
        assert len(digests) == 1
        np.testing.assert_array_equal(again.codes, self.quality.codes)
        assert (again.downsample, again.mpp, again.flags) == (10.0, 5.0, ("focus_not_judged",))

    def test_a_tissue_mask_is_no_quality_map(self, tmp_path):
        self.tissue.save(tmp_path / "tissue.npz")
        with pytest.raises(InvalidTableError):
            QualityMap.load(tmp_path / "tissue.npz")
