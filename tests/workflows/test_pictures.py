"""Pictures show outlines where the nuclei are, in the colours of the legend, and repeat byte for byte."""

from __future__ import annotations

import io

import numpy as np
import pytest
import shapely
from PIL import Image

from slidelab.errors import RegionError
from slidelab.workflows.report.pictures import (
    GAP_PX,
    PALETTES,
    Crop,
    CropCells,
    Palette,
    draw_crop,
    draw_crop_pair,
    draw_overview,
    nice_length,
)
from slidelab.workflows.slides.outline import Circle

PURE = Palette(positive="#ff0000", negative="#0000ff", excluded="#00aa00")


def decode(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def near(pixels, color):
    return np.abs(pixels - color).sum(axis=-1) < 120


def white_crop(side=80, *, downsample=2.0):
    return Crop(np.full((side, side, 3), 255, np.uint8), x=1000, y=2000, downsample=downsample, mpp=0.5)


def test_outlines_lie_where_the_nuclei_are():
    # Level-0 (1040, 2060), side 40, is (20, 30), side 20, in the crop, and the crop is drawn 7 times larger.
    square = shapely.box(1040, 2060, 1080, 2100)
    pixels = decode(draw_crop(white_crop(), CropCells([square], ["Positive"], [""]), palette=PURE))
    assert pixels.shape == (560, 560, 3)
    rows, columns = np.nonzero(near(pixels, (255, 0, 0)))
    assert (columns.min(), columns.max()) == pytest.approx((140, 280), abs=3)
    assert (rows.min(), rows.max()) == pytest.approx((210, 350), abs=3)
    assert not near(pixels[230:330, 160:260], (255, 0, 0)).any(), "outlines are not filled"


def test_each_class_has_its_colour():
    boxes = [shapely.box(1010 + 40 * place, 2010, 1030 + 40 * place, 2030) for place in range(3)]
    cells = CropCells(boxes, ["Positive", "Negative", "Positive"], ["", "", "pen"])
    pixels = decode(draw_crop(white_crop(), cells, palette=PURE))
    for place, color in enumerate(((255, 0, 0), (0, 0, 255), (0, 170, 0))):
        found = [near(pixels[:, 140 * third : 140 * third + 130], color).any() for third in range(3)]
        assert found == [third == place for third in range(3)]


def test_a_pair_is_bare_on_the_left_and_outlined_on_the_right():
    cells = CropCells([shapely.box(1040, 2060, 1080, 2100)], ["Positive"], [""])
    pixels = decode(draw_crop_pair(white_crop(), cells, palette=PURE))
    assert pixels.shape == (560, 2 * 560 + GAP_PX, 3)
    assert (pixels[:, :560] > 250).all()
    assert near(pixels[:, 560 + GAP_PX :], (255, 0, 0)).any()


def test_a_ring_is_drawn_on_the_outlined_half_alone():
    bare, ringed = (
        decode(draw_crop_pair(white_crop(), CropCells([], [], []), ring=ring))
        for ring in (None, Circle(1080, 2080, 40))
    )
    changed = np.abs(bare - ringed).sum(axis=2) > 60
    assert not changed[:, :560].any()
    assert changed[:, 560:].any()


def test_a_large_field_is_shrunk_to_a_size_that_a_page_can_carry():
    image = np.random.default_rng(0).integers(0, 255, (1500, 1500, 3)).astype(np.uint8)
    assert decode(draw_crop(Crop(image, 0, 0, 1.0, 0.25))).shape == (900, 900, 3)


def test_pictures_repeat_byte_for_byte(tissue, quality):
    image = np.random.default_rng(0).integers(0, 255, (60, 80, 3)).astype(np.uint8)
    crop, cells = white_crop(), CropCells([shapely.box(1040, 2060, 1080, 2100)], ["Negative"], [""])
    assert draw_crop_pair(crop, cells) == draw_crop_pair(crop, cells)
    first, second = (
        draw_overview(
            image, mpp=4.0, downsample=16.0, tissue=tissue, quality=quality, hot_spot=Circle(640, 480, 90)
        )
        for _ in range(2)
    )
    assert first == second
    assert b"matplotlib" not in first.lower()


def test_the_overview_marks_tissue_exclusions_and_hot_spot(tissue, quality):
    image = np.full((60, 80, 3), 255, np.uint8)
    options = {"mpp": 4.0, "downsample": 16.0}
    plain = decode(draw_overview(image, **options))
    assert plain.shape[1] == 1600
    spot = Circle(1040.0, 480.0, 100.0)  # at (65, 30) of the overview: (1300, 600) of the picture
    marked = decode(draw_overview(image, **options, tissue=tissue, quality=quality, hot_spot=spot))
    changed = (plain != marked).any(axis=2)
    assert near(marked[590:610, 1150:1200], (255, 212, 0)).any(), (
        "left side of the ring, 125 px from its centre"
    )
    assert changed[12 * 20, 40 * 20], "the pen stroke is tinted"
    assert not changed[30 * 20, 30 * 20], "assessed tissue keeps its colour"


@pytest.mark.parametrize(
    ("longest", "expected"),
    [(1, 1), (1.99, 1), (2, 2), (4.9, 2), (99, 50), (100, 100), (0.07, 0.05), (2300, 2000)],
)
def test_scale_bars_have_round_lengths(longest, expected):
    assert nice_length(longest) == pytest.approx(expected)


def test_a_picture_without_size_has_no_scale_bar():
    with pytest.raises(RegionError, match="scale bar"):
        nice_length(0.0)


def luminance(color):
    channels = np.array([int(color[place : place + 2], 16) for place in (1, 3, 5)]) / 255
    linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)
    return float(linear @ (0.2126, 0.7152, 0.0722))


@pytest.mark.parametrize("name", sorted(PALETTES))
def test_outlines_stand_out_from_white_paper(name):
    palette = PALETTES[name]
    for color in (palette.positive, palette.negative, palette.excluded):
        assert 1.05 / (luminance(color) + 0.05) >= 3, "contrast that WCAG 2.1 asks of graphics"
