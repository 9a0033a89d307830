"""The streaming pyramid writer."""

from __future__ import annotations

import io
import itertools
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile

from slidelab.wsi.phantom import file as phantom_file
from slidelab.wsi.phantom.file import (
    BLOCK,
    PyramidWriter,
    SlidePlan,
    TileCodec,
    encode_block,
    level_sizes,
    reduce,
)

RAW = TileCodec("none", 90, (1, 1))


def plan(width: int, height: int, codec: TileCodec = RAW) -> SlidePlan:
    return SlidePlan(width, height, mpp=0.25, codec=codec, background=(240, 240, 240), text="made by a test")


def written(path: Path, image: np.ndarray, codec: TileCodec = RAW) -> Path:
    """Write an image block by block."""
    height, width = image.shape[:2]
    rows, columns = -(-height // BLOCK), -(-width // BLOCK)
    padding = ((0, rows * BLOCK - height), (0, columns * BLOCK - width), (0, 0))
    padded = np.pad(image, padding, constant_values=240)
    with path.open("wb") as file:
        writer = PyramidWriter(file, plan(width, height, codec))
        for i in range(rows):
            for j in range(columns):
                block = padded[i * BLOCK : (i + 1) * BLOCK, j * BLOCK : (j + 1) * BLOCK]
                writer.write_block(i, j, encode_block(block, codec))
        writer.close()
    return path


@pytest.fixture(scope="module")
def image() -> np.ndarray:
    y, x = np.mgrid[:2300, :4500].astype(np.int32)
    return np.stack((x % 251, y % 241, (x + y) % 239), axis=-1).astype(np.uint8)


def test_every_level_is_the_mean_of_the_level_below(tmp_path: Path, image: np.ndarray) -> None:
    path = written(tmp_path / "x.tif", image)
    with tifffile.TiffFile(path) as tiff:
        levels = [page.asarray() for page in tiff.pages]
        assert [page.subfiletype for page in tiff.pages] == [0, 1, 1]
    np.testing.assert_array_equal(levels[0], image)
    assert [level.shape[:2] for level in levels] == [(2300, 4500), (575, 1125), (143, 281)]
    for fine, coarse in itertools.pairwise(levels):
        height, width = coarse.shape[:2]
        np.testing.assert_array_equal(coarse, reduce(fine[: 4 * height, : 4 * width]))


@pytest.mark.parametrize("limit", [phantom_file.CLASSIC_LIMIT, 1000])
def test_becomes_a_bigtiff_where_it_must(
    tmp_path: Path, image: np.ndarray, monkeypatch: pytest.MonkeyPatch, limit: int
) -> None:
    monkeypatch.setattr(phantom_file, "CLASSIC_LIMIT", limit)
    path = written(tmp_path / "x.tif", image[:2100, :2100], TileCodec("jpeg", 90, (2, 2)))
    with tifffile.TiffFile(path) as tiff:
        assert tiff.is_bigtiff == (limit == 1000)
        assert tiff.pages[0].description == "made by a test"
    with openslide.OpenSlide(path) as opened:
        assert opened.level_dimensions == ((2100, 2100), (525, 525))
        assert float(opened.properties["openslide.mpp-x"]) == pytest.approx(0.25)


def test_shared_tiles_are_stored_once() -> None:
    block = np.full((BLOCK, BLOCK, 3), 240, dtype=np.uint8)
    glass = encode_block(block, RAW, shared=True)
    sizes = []
    for columns in (1, 4):
        file = io.BytesIO()
        writer = PyramidWriter(file, plan(columns * BLOCK, 2048))
        for column in range(columns):
            writer.write_block(0, column, glass)
        writer.close()
        sizes.append(len(file.getvalue()))
    assert sizes[1] - sizes[0] < 4 * 512 * 512 * 3


def test_level_sizes_end_at_a_thousand_pixels() -> None:
    assert level_sizes(512, 700) == [(512, 700)]
    assert level_sizes(1025, 800) == [(1025, 800), (256, 200)]
    assert level_sizes(60_000, 40_000) == [(60_000, 40_000), (15_000, 10_000), (3750, 2500), (937, 625)]


def test_reduce_rounds_the_mean() -> None:
    block = np.zeros((4, 4, 3), dtype=np.uint8)
    block[0, 0] = (8, 7, 255)
    assert reduce(block).tolist() == [[[1, 0, 16]]]
