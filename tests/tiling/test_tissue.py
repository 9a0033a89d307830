"""Tissue is found wherever it was seen by eye, and dust, smears, noise and ink-free glass are not."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from scipy import ndimage

from slidelab.errors import InvalidTableError
from slidelab.tiling import overview
from slidelab.tiling.tissue import TissueMask, TissueSettings, find_tissue, find_tissue_in_image
from slidelab.wsi import Region, open_slide

STAINS = {
    "strong H&E": (0.25, 0.45, 0.20),
    "pale eosin": (0.02, 0.08, 0.04),
    "pale haematoxylin": (0.08, 0.05, 0.02),
    "DAB": (0.10, 0.20, 0.35),
}
GLASSES = {
    "clean": {},
    "noisy": {"noise": 3.0},
    "banded": {"band": 0.006},
    "uneven light": {"slope": 0.06},
    "yellow": {"glass": (225, 220, 200)},
    "grey": {"glass": (216, 216, 216)},
}


def disc_with_bay(shape=(300, 400)):
    """Return a mask: an ellipse with a bay, so that a hull or a box would be wrong."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    body = ((y - 150) / 100) ** 2 + ((x - 200) / 150) ** 2 < 1
    return body & ~(np.hypot(y - 150, x - 330) < 60)


def paint(mask, *, od, glass=(240, 238, 240), noise=1.0, band=0.0, slope=0.0):
    """Paint tissue of a mean optical density with a cell-sized texture on glass."""
    random = np.random.default_rng(3)
    texture = np.clip(3 * ndimage.gaussian_filter(random.normal(size=mask.shape), 1.0), -2, 2)
    columns = np.arange(mask.shape[1])
    shade = slope * columns / mask.shape[1] + band * (columns // 25 % 2)
    density = (mask * (1 + 0.3 * texture))[..., None] * np.array(od) + shade[:, None]
    values = np.array(glass) * 10.0**-density + random.normal(0, noise, (*mask.shape, 3))
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


def overlap(found, truth):
    return (found & truth).sum() / (found | truth).sum()


class TestPaintedSlides:
    @pytest.mark.parametrize("stain", STAINS)
    @pytest.mark.parametrize("glass", GLASSES)
    def test_outline_agrees_with_what_was_painted(self, stain, glass):
        truth = disc_with_bay()
        found = find_tissue_in_image(paint(truth, od=STAINS[stain], **GLASSES[glass]), mpp=8.0)
        assert overlap(found.mask, truth) >= 0.93
        assert found.flags == ()

    @pytest.mark.parametrize("shape", [(5, 5), (9, 9), (1, 300), (30, 7)])
    def test_a_tiny_blank_field_has_no_tissue(self, shape):
        assert not find_tissue_in_image(np.full((*shape, 3), 250, np.uint8), mpp=8.0).mask.any()

    def test_white_point_is_the_colour_of_the_glass(self):
        found = find_tissue_in_image(paint(disc_with_bay(), od=STAINS["DAB"], glass=(225, 220, 200)), mpp=8.0)
        assert found.background == pytest.approx((225, 220, 200), abs=1.5)

    @pytest.mark.parametrize(
        "glass", [*GLASSES.values(), {"noise": 7.0}, {"glass": (255, 255, 255), "noise": 0.0}]
    )
    def test_blank_slide_is_empty_and_says_so(self, glass):
        found = find_tissue_in_image(paint(np.zeros((300, 400), bool), od=(0, 0, 0), **glass), mpp=8.0)
        assert not found.mask.any()
        assert found.flags == ("no_tissue",)

    @pytest.mark.parametrize("stain", STAINS)
    def test_field_without_glass_is_all_tissue_and_says_so(self, stain):
        found = find_tissue_in_image(paint(np.ones((60, 60), bool), od=STAINS[stain]), mpp=8.0)
        assert found.mask.all()
        assert found.flags == ("no_glass",)

    def test_dark_field_is_empty_and_says_so(self):
        image = np.zeros((100, 100, 3), np.uint8)
        image[40:60, 40:60] = (20, 40, 230)
        image += 3
        assert find_tissue_in_image(image, mpp=8.0).flags == ("dark_background",)

    def test_grey_image_is_empty_and_says_so(self):
        classes = np.repeat(np.random.default_rng(1).integers(0, 5, (100, 100, 1), np.uint8), 3, axis=2)
        assert find_tissue_in_image(classes, mpp=8.0).flags == ("single_channel",)

    def test_grey_dust_is_no_tissue_and_coloured_specks_of_that_size_are(self):
        mask = np.zeros((300, 400), bool)
        mask[50:60, 50:60] = True
        dust, tissue = (
            find_tissue_in_image(paint(mask, od=od), mpp=8.0) for od in [(0.1,) * 3, (0.05, 0.2, 0.1)]
        )
        assert not dust.mask.any()
        assert tissue.mask[55, 55]

    def test_a_dark_strip_across_the_slide_is_the_edge_of_the_coverslip(self):
        mask = np.zeros((300, 400), bool)
        mask[5:20] = True
        assert not find_tissue_in_image(paint(mask, od=(0.2, 0.2, 0.2)), mpp=8.0).mask.any()

    def test_turned_slide_gives_the_turned_mask(self):
        image = paint(disc_with_bay(), od=STAINS["pale eosin"], slope=0.03)
        upright = find_tissue_in_image(image, mpp=8.0).mask
        for turns in (1, 2, 3):
            turned = find_tissue_in_image(np.ascontiguousarray(np.rot90(image, turns)), mpp=8.0).mask
            assert overlap(np.rot90(turned, -turns), upright) > 0.995

    def test_bands_of_work_leave_no_trace(self, monkeypatch):
        image = paint(disc_with_bay(), od=STAINS["pale haematoxylin"])
        whole = find_tissue_in_image(image, mpp=8.0).mask
        monkeypatch.setattr(overview, "BAND_ROWS", 37)
        np.testing.assert_array_equal(find_tissue_in_image(image, mpp=8.0).mask, whole)

    def test_a_hole_is_filled_up_to_its_limit(self):
        mask = disc_with_bay()
        mask[140:146, 150:156] = False  # 48 um x 48 um: a lumen
        mask[120:145, 200:225] = False  # 200 um x 200 um: a tear
        found = find_tissue_in_image(paint(mask, od=STAINS["strong H&E"]), mpp=8.0).mask
        assert found[142, 152]
        assert not found[132, 212]
        kept = TissueSettings(hole_mm2=0.05)
        assert find_tissue_in_image(paint(mask, od=STAINS["strong H&E"]), mpp=8.0, settings=kept).mask[
            132, 212
        ]


class TestMask:
    mask = TissueMask(
        mask=np.array([[True, False, False], [True, True, False]]),
        downsample=10.0,
        mpp=5.0,
        background=(240.0, 239.0, 241.5),
        flags=("no_glass",),
    )

    def test_area(self):
        assert self.mask.area_mm2 == pytest.approx(3 * 5.0 * 5.0 / 1e6)

    def test_points_are_looked_up_in_level_0_pixels(self):
        x = np.array([0.5, 9.99, 10.0, 15.0, 29.0, 30.0, -0.1, 5.0])
        y = np.array([0.5, 19.99, 0.0, 15.0, 5.0, 5.0, 5.0, 20.0])
        assert self.mask.covers(x, y).tolist() == [True, True, False, True, False, False, False, False]

    @pytest.mark.parametrize(
        ("region", "share"),
        [
            (Region(0, 0, 30, 20), 3 / 6),
            (Region(5, 0, 10, 10), 0.5),
            (Region(5, 5, 10, 10), 0.75),
            (Region(-10, 0, 20, 10), 0.5),
            (Region(100, 100, 10, 10), 0.0),
            (Region(-30, -30, 10, 10), 0.0),
        ],
    )
    def test_fraction_is_exact(self, region, share):
        assert self.mask.fraction(region) == pytest.approx(share)

    def test_saved_mask_comes_back_whole_and_with_equal_bytes(self, tmp_path):
        digests = set()
        for name in ("a.npz", "b.npz"):
            self.mask.save(tmp_path / name)
            digests.add(hashlib.sha256((tmp_path / name).read_bytes()).hexdigest())
        again = TissueMask.load(tmp_path / "a.npz")
        assert len(digests) == 1
        np.testing.assert_array_equal(again.mask, self.mask.mask)
        assert (again.downsample, again.mpp, again.background) == (10.0, 5.0, (240.0, 239.0, 241.5))
        assert (again.method, again.flags) == (self.mask.method, ("no_glass",))

    @pytest.mark.parametrize("content", [b"", b"not a raster", b"PK\x03\x04broken"])
    def test_a_damaged_file_is_refused(self, tmp_path, content):
        (tmp_path / "x.npz").write_bytes(content)
        with pytest.raises(InvalidTableError):
            TissueMask.load(tmp_path / "x.npz")


# Each fact was established by looking at the slide: file, um per pixel to assume, range of the tissue share,
# points on tissue and points off it, both in level-0 px.
SEEN = {
    "pale fat with lymph nodes": (
        "mouse-ihc-dicom/level_12000x8448.dcm",
        1.45,
        (0.31, 0.37),
        [
            (3660, 3520),
            (8190, 2330),
            (10520, 6360),
            (5490, 4570),
            (5950, 6860),
            (10060, 4120),
            (7320, 1190),
            (1010, 2200),
        ],
        [
            (550, 910),
            (2740, 6400),
            (4570, 2290),
            (8230, 6400),
            (11700, 2740),
            (1310, 5400),
            (10435, 730),
            (750, 1765),
        ],
    ),
    "epidermis with green debris": (
        "cmu-1-small-region.svs",
        None,
        (0.38, 0.48),
        [(1100, 1500), (900, 2000), (760, 2700), (1700, 2500), (1150, 300), (1000, 900)],
        [(300, 400), (300, 2000), (2000, 1700), (1900, 100), (100, 2800), (2100, 2500)],
    ),
    "frozen section, stitched on white": (
        "tcga-cr-7395-01a-01-ts1.svs",
        0.5,
        (0.61, 0.68),
        [(800, 1000), (2000, 800), (2300, 2000), (3300, 350), (4000, 2800), (3200, 3300)],
        [(300, 200), (2800, 1980), (600, 3000), (4300, 200), (470, 665), (2600, 300), (4400, 1300)],
    ),
    "two biopsies": (
        "biopsy-packer-example.tif",
        None,
        (0.22, 0.32),
        [(280, 450), (120, 600), (1150, 180), (420, 280)],
        [(700, 300), (100, 100), (800, 600), (1380, 500), (560, 60), (1378, 431)],
    ),
    "one tiny fragment among dust and smears": (
        "kidney-48-5.tif",
        0.5,
        (0.003, 0.010),
        [(345, 540), (315, 525)],
        [(1180, 155), (270, 205), (880, 65), (1350, 430), (700, 700), (1430, 100)],
    ),
    "field of carcinoma without glass": (
        "OS-1-detail.ome.tif",
        None,
        (0.99, 1.0),
        [(550, 550), (20, 20)],
        [],
    ),
    "field of breast gland without glass": (
        "BRACS_1640_N_3_cropped.tiff",
        0.25,
        (0.99, 1.0),
        [(300, 300)],
        [],
    ),
    "Ki-67 field with a large lumen": (
        "OS-2-ndpi.ome.tif",
        None,
        (0.85, 0.98),
        [(300, 300), (1200, 1500), (1900, 1800)],
        [(250, 1500), (300, 1400)],
    ),
    "the same field on another scanner": (
        "OS-2-vsi.ome.tif",
        None,
        (0.85, 0.98),
        [(197, 197), (787, 984), (1247, 1181)],
        [(100, 1000), (150, 1050)],
    ),
}


class TestRealSlides:
    @pytest.mark.parametrize("name", SEEN)
    def test_tissue_is_where_it_was_seen(self, data_folder, name):
        file, mpp, (least, most), inside, outside = SEEN[name]
        with open_slide(data_folder / "slides" / file, mpp=mpp) as slide:
            found = find_tissue(slide)
            assert found.mask.shape[1] * found.downsample >= slide.width
        assert least <= found.mask.mean() <= most
        assert found.covers(*np.array(inside, float).T).all()
        if outside:
            assert not found.covers(*np.array(outside, float).T).any()

    def test_both_scanners_of_one_field_agree(self, data_folder):
        areas = []
        for name in ("OS-2-ndpi.ome.tif", "OS-2-vsi.ome.tif"):
            with open_slide(data_folder / "slides" / name) as slide:
                areas.append(find_tissue(slide).area_mm2)
        assert areas[0] == pytest.approx(areas[1], rel=0.03)

    @pytest.mark.parametrize(
        ("file", "flag"),
        [("test3-dapi.ndpi", "dark_background"), ("gleason-label-mask-lzw.tif", "single_channel")],
    )
    def test_what_is_no_bright_field_stain_is_empty_and_says_so(self, data_folder, file, flag):
        with open_slide(data_folder / "slides" / file) as slide:
            found = find_tissue(slide)
        assert not found.mask.any()
        assert found.flags == (flag,)

    def test_overview_of_lymph_nodes_keeps_the_fat_and_drops_the_dust(self, data_folder):
        with open_slide(data_folder / "slides" / "camelyon-overview.dcm", mpp=5.0) as slide:
            image = slide.read_level(0, Region(0, 0, slide.width, slide.height))
        found = find_tissue_in_image(image, mpp=28.97)
        inside = [
            (150, 300),
            (740, 400),
            (480, 180),
            (330, 160),
            (390, 300),
            (400, 500),
            (290, 490),
            (1050, 150),
        ]
        outside = [
            (20, 200),
            (560, 300),
            (380, 10),
            (528, 310),
            (470, 461),
            (600, 45),
            (1120, 400),
            (300, 50),
        ]
        assert found.covers(*np.array(inside, float).T).all()
        assert not found.covers(*np.array(outside, float).T).any()
        assert 0.33 <= found.mask.mean() <= 0.43

    def test_edge_of_the_coverslip_and_dust_are_not_tissue(self, data_folder):
        from PIL import Image

        with Image.open(data_folder / "ihc" / "misc-open-ihc" / "histoqc_ihc_coverslip_edge.png") as file:
            found = find_tissue_in_image(np.asarray(file.convert("RGB")), mpp=8.0)
        inside = [(700, 320), (840, 280), (640, 420), (1030, 330), (1030, 140), (1080, 260)]
        outside = [(300, 30), (900, 60), (400, 80), (120, 350), (160, 150), (300, 400), (1400, 300)]
        assert found.covers(*np.array(inside, float).T).all()
        assert not found.covers(*np.array(outside, float).T).any()

    @pytest.mark.parametrize("pattern", ["he/crc-val-he-7k/*.jpg", "ihc/pdl1-sp142-ic/*/*.jpg"])
    def test_full_fields_of_view_stay_whole(self, data_folder, pattern):
        from PIL import Image

        files = sorted(data_folder.glob(pattern))
        assert files
        for file in files:
            with Image.open(file) as field:
                small = field.convert("RGB").resize(
                    (field.width // 10, field.height // 10), Image.Resampling.BOX
                )
            found = find_tissue_in_image(np.asarray(small), mpp=8.0)
            assert found.mask.mean() > 0.9, file.name
