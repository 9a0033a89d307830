from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import numpy as np
import openslide
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from slidelab.errors import SlidelabError, UnreadableSlideError, UnsupportedSlideError
from slidelab.wsi import Region, Slide, open_slide

NATIVE = (
    "cmu-1-small-region.svs",
    "tcga-cr-7395-01a-01-ts1.svs",
    "biopsy-packer-example.tif",
    "BRACS_1640_N_3_cropped.tiff",
    "gleason-label-mask-lzw.tif",
)
APERIO = "Aperio Image Library v11.2.1 \r\n{0}x{1} (144x128) JPEG/RGB Q=30|AppMag = 20|MPP = 0.4990"

CODECS = [
    {"compression": None},
    {"compression": "lzw"},
    {"compression": "lzw", "predictor": True},
    {"compression": "deflate"},
    {"compression": "deflate", "predictor": True},
    {"compression": "zstd"},
    {"compression": "jpeg"},
    {"compression": "jpeg", "subsampling": (1, 1)},
    {"compression": "jpeg", "subsampling": (2, 1)},
    {"compression": "jpeg", "tile": (64, 64)},
    {"compression": "deflate", "bigtiff": True},
    {"compression": "deflate", "bigtiff": True, "byteorder": ">"},
]


def peer_read(
    peer: openslide.OpenSlide, place: tuple[int, int], level: int, size: tuple[int, int]
) -> np.ndarray:
    """Read with OpenSlide and lay the result on white."""
    pixels = peer.read_region(place, level, size)
    canvas = Image.new("RGBA", size, "white")
    canvas.alpha_composite(pixels)
    return np.asarray(canvas.convert("RGB"))


def whole(slide: Slide, level: int = 0) -> np.ndarray:
    stored = slide.levels[level]
    return slide.read_level(level, Region(0, 0, stored.width, stored.height))


def assert_equals_openslide(path: Path) -> None:
    with open_slide(path) as slide, openslide.OpenSlide(path) as peer:
        assert slide.facts.reader == "native-tiff"
        assert tuple((level.width, level.height) for level in slide.levels) == peer.level_dimensions
        for level, size in enumerate(peer.level_dimensions):
            assert np.array_equal(whole(slide, level), peer_read(peer, (0, 0), level, size))


def spoil(path: Path, tile: int, *, page: int = 0, keep: float = 0.4) -> None:
    """Overwrite the rest of a tile with zeros."""
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[page].dataoffsets[tile], tiff.pages[page].databytecounts[tile]
    with path.open("r+b") as file:
        file.seek(offset + int(count * keep))
        file.write(bytes(count - int(count * keep)))


def remove_tile(path: Path, tile: int, *, page: int = 0) -> None:
    """Mark a tile as not stored."""
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for name in ("TileOffsets", "TileByteCounts"):
            tag = tiff.pages[page].tags[name]
            tag.overwrite([0 if place == tile else value for place, value in enumerate(tag.value)])


@pytest.mark.parametrize("name", NATIVE)
def test_real_slides_equal_openslide_at_every_level(data_folder: Path, name: str) -> None:
    assert_equals_openslide(data_folder / "slides" / name)


@pytest.mark.parametrize("name", NATIVE)
@given(data=st.data())
@settings(max_examples=12)
def test_any_window_of_a_real_slide_equals_openslide(
    data_folder: Path, name: str, data: st.DataObject
) -> None:
    path = data_folder / "slides" / name
    with open_slide(path) as slide, openslide.OpenSlide(path) as peer:
        x, y = data.draw(st.integers(-300, slide.width)), data.draw(st.integers(-300, slide.height))
        size = data.draw(st.integers(1, 600)), data.draw(st.integers(1, 600))
        assert np.array_equal(slide.read_level(0, Region(x, y, *size)), peer_read(peer, (x, y), 0, size))


@pytest.mark.parametrize("options", CODECS, ids=str)
@pytest.mark.parametrize("size", [(700, 531), (144, 128), (37, 29)], ids=str)
def test_every_codec_and_size_equals_openslide(write_tiff, picture, options: dict, size: tuple) -> None:
    assert_equals_openslide(write_tiff(picture(*size), levels=2, **options))


def test_big_endian_classic_tiff_is_read_though_openslide_refuses_it(write_tiff, picture) -> None:
    image = picture(700, 531)
    path = write_tiff(image, byteorder=">", compression="lzw", predictor=True)
    assert openslide.OpenSlide.detect_format(path) is None
    with open_slide(path) as slide:
        assert slide.vendor == "generic-tiff"
        assert np.array_equal(whole(slide), image)
        assert np.array_equal(whole(slide, 1), image[::2, ::2])


def test_grey_tiles_equal_openslide_and_are_called_no_stain(write_tiff, picture) -> None:
    path = write_tiff(picture(500, 400)[..., 0], photometric="minisblack", compression="lzw")
    assert_equals_openslide(path)
    with open_slide(path) as slide:
        assert slide.problems == ("one channel: not a stained slide",)


def test_an_aperio_slide_equals_openslide(write_tiff, picture) -> None:
    path = write_tiff(
        picture(700, 531),
        name="made.svs",
        compression="jpeg",
        description=APERIO.format(700, 531),
        software=False,
    )
    assert_equals_openslide(path)
    with open_slide(path) as slide:
        assert (slide.vendor, slide.mpp, slide.objective_power) == ("aperio", 0.499, 20.0)


def test_jpeg_tiles_in_rgb_equal_openslide(write_tiff, picture) -> None:
    """Aperio stores R, G and B as such, without a marker that says so."""
    path = write_tiff(picture(500, 400), compression="jpeg", subsampling=(1, 1))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        for page in tiff.pages:
            page.tags["PhotometricInterpretation"].overwrite(2)
    assert_equals_openslide(path)


def test_an_ome_pyramid_has_its_hidden_levels_and_equals_openslide_at_level_0(write_ome, picture) -> None:
    image = picture(701, 530)
    path = write_ome(image, compression="deflate")
    with open_slide(path) as slide, openslide.OpenSlide(path) as peer:
        assert slide.vendor == "ome-tiff"
        assert slide.resolution.source == "ome:PhysicalSizeX"
        assert slide.mpp == 0.25
        assert [level.downsample for level in slide.levels] == [1, 2, 4]
        assert np.array_equal(whole(slide), peer_read(peer, (0, 0), 0, peer.dimensions))
        assert np.array_equal(whole(slide, 2), image[::4, ::4])


def test_ome_slides_that_openslide_refuses_are_read(data_folder: Path) -> None:
    path = data_folder / "slides" / "OS-2-ndpi.ome.tif"
    assert openslide.OpenSlide.detect_format(path) is None
    with open_slide(path) as slide, tifffile.TiffFile(path) as tiff:
        # the tiles are YCbCr JPEG, whatever the colour tag says: blue and brown tissue, and no green cast
        assert np.array_equal(whole(slide), tiff.pages[0].asarray())
        red, green, blue = whole(slide).mean(axis=(0, 1))
        assert red < green < blue < 230


@pytest.mark.parametrize("description", [None, APERIO.format(700, 531)])
def test_missing_tiles_are_white_as_in_openslide(write_tiff, picture, description: str | None) -> None:
    path = write_tiff(
        picture(700, 531), levels=1, compression="deflate", description=description, software=False
    )
    remove_tile(path, 3)
    assert_equals_openslide(path)
    with open_slide(path) as slide:
        assert (slide.read_level(0, Region(3 * 144, 0, 144, 128)) == 255).all()


def test_aperio_levels_with_missing_tiles_are_left_to_openslide(write_tiff, picture) -> None:
    path = write_tiff(
        picture(700, 531), compression="deflate", description=APERIO.format(700, 531), software=False
    )
    remove_tile(path, 1, page=1)
    with open_slide(path) as slide, openslide.OpenSlide(path) as peer:
        assert slide.facts.reader == "openslide"
        assert np.array_equal(whole(slide, 1), peer_read(peer, (0, 0), 1, peer.level_dimensions[1]))


@pytest.mark.parametrize("compression", ["jpeg", "lzw", "deflate", "zstd"])
def test_a_damaged_tile_is_named_and_spoils_no_other(write_tiff, picture, compression: str) -> None:
    image = picture(700, 531)
    path = write_tiff(image, levels=1, compression=compression)
    with open_slide(path) as slide:
        good = whole(slide)
    spoil(path, 6)  # second column of the second row
    with open_slide(path) as slide:
        for _ in range(2):
            with pytest.raises(
                UnreadableSlideError, match=r"level 0 at level-0 x 144\.\.288, y 128\.\.256"
            ) as caught:
                slide.read_level(0, Region(100, 100, 200, 200))
            assert "\n" not in str(caught.value)
            assert caught.value.advice
            for window in (Region(0, 0, 144, 531), Region(288, 0, 412, 531), Region(144, 256, 144, 275)):
                expected = good[window.y : window.bottom, window.x : window.right]
                assert np.array_equal(slide.read_level(0, window), expected)


def test_damage_in_the_middle_of_a_jpeg_tile_is_seen(write_tiff, picture) -> None:
    """The decoder must not fill up with grey: the tile keeps its end mark, and 40 bytes inside are lost."""
    pytest.importorskip("simplejpeg")
    path = write_tiff(picture(700, 531), levels=1, compression="jpeg")
    with tifffile.TiffFile(path) as tiff:
        offset, count = tiff.pages[0].dataoffsets[6], tiff.pages[0].databytecounts[6]
    with path.open("r+b") as file:
        file.seek(offset + count // 2)
        file.write(bytes(40))
    with open_slide(path) as slide, pytest.raises(UnreadableSlideError, match="is damaged"):
        slide.read_level(0, Region(150, 130, 10, 10))


def test_a_slide_without_a_sound_tile_does_not_open(write_tiff, picture) -> None:
    path = write_tiff(picture(140, 120), levels=1, compression="jpeg")
    spoil(path, 0)
    with pytest.raises(UnreadableSlideError, match="no pixels can be read"):
        open_slide(path)


@pytest.mark.parametrize("share", [0.001, 0.3, 0.6, 0.95, 0.999])
@pytest.mark.parametrize("compression", ["jpeg", "deflate"])
def test_a_slide_cut_short_does_not_open(write_tiff, picture, compression: str, share: float) -> None:
    path = write_tiff(picture(900, 800), levels=3, compression=compression)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableSlideError, match="cut short") as caught:
        open_slide(path)
    assert "copy it" in caught.value.advice


def test_tiles_of_a_nonsensical_size_are_refused(write_tiff, picture) -> None:
    """OpenSlide would ask for the memory, and end the process when it gets none."""
    path = write_tiff(picture(300, 200))
    with tifffile.TiffFile(path, mode="r+") as tiff:
        tiff.pages[0].tags["TileLength"].overwrite(838860864, dtype=4)
    with pytest.raises(UnreadableSlideError, match="its tiles would be 144 x 838860864 px"):
        open_slide(path)


def test_16_bit_tiles_are_refused_not_cut_down(write_tiff, picture) -> None:
    path = write_tiff(picture(300, 200).astype(np.uint16) * 256)
    with pytest.raises(UnsupportedSlideError, match="16 bits per sample"):
        open_slide(path)


def test_channels_in_separate_ome_planes_are_refused_as_fluorescence(tmp_path: Path, picture) -> None:
    path = tmp_path / "made.ome.tif"
    planes = np.concatenate([picture(300, 200).transpose(2, 0, 1)] * 2)[:5]
    tifffile.imwrite(
        path, planes, metadata={"axes": "CYX"}, tile=(128, 128), photometric="minisblack", ome=True
    )
    with pytest.raises(UnsupportedSlideError, match="multi-channel fluorescence image \\(5 channels\\)"):
        open_slide(path)


def test_layouts_that_are_not_understood_go_to_openslide(write_tiff, picture) -> None:
    image = picture(500, 400)
    clear = np.dstack([image, np.full(image.shape[:2], 255, np.uint8)])
    path = write_tiff(clear, compression="deflate", extrasamples=["unassalpha"], levels=1)
    with open_slide(path) as slide:
        assert slide.facts.reader == "openslide"
        assert np.array_equal(whole(slide), image)


@given(data=st.data())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_windows_in_any_order_give_the_same_pixels(write_tiff, picture, data: st.DataObject) -> None:
    """Tiles left over from one window must not leak into another."""
    image = picture(500, 400)
    path = write_tiff(image, levels=1, compression="lzw")
    with open_slide(path) as slide:
        for _ in range(data.draw(st.integers(1, 12))):
            x, y = data.draw(st.integers(0, 499)), data.draw(st.integers(0, 399))
            width, height = data.draw(st.integers(1, 500 - x)), data.draw(st.integers(1, 400 - y))
            found = slide.read_level(0, Region(x, y, width, height))
            assert np.array_equal(found, image[y : y + height, x : x + width])


@pytest.mark.parametrize("compression", ["jpeg", "lzw"])
@given(data=st.data())
@settings(max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_byte_is_damaged_no_foreign_error_escapes(
    write_ome, picture, compression: str, data: st.DataObject
) -> None:
    path = write_ome(picture(300, 200), levels=2, compression=compression)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
        content[data.draw(st.integers(0, 1500))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    with suppress(SlidelabError), open_slide(path) as slide:
        slide.read_level(0, Region(0, 0, 300, 200))
