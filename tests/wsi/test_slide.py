from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import openslide
import pytest

from slidelab.errors import (
    RegionError,
    SlidelabError,
    SlideNotFoundError,
    UnreadableSlideError,
    UnsupportedSlideError,
)
from slidelab.wsi import Region, Slide, list_readers, open_slide

GOOD = {
    "BRACS_1640_N_3_cropped.tiff": ("native-tiff", "generic-tiff", 650, 743, 3),
    "OS-1-detail.ome.tif": ("native-tiff", "ome-tiff", 1101, 1101, 1),
    "OS-2-ndpi.ome.tif": ("native-tiff", "ome-tiff", 2202, 2202, 1),
    "OS-2-vsi.ome.tif": ("native-tiff", "ome-tiff", 1445, 1445, 1),
    "biopsy-packer-example.tif": ("native-tiff", "generic-tiff", 1472, 690, 3),
    "camelyon-overview.dcm": ("openslide", "dicom", 1152, 700, 1),
    "cmu-1-small-region-dicom": ("openslide", "dicom", 2220, 2967, 12),
    "cmu-1-small-region.svs": ("native-tiff", "aperio", 2220, 2967, 1),
    "gleason-label-mask-lzw.tif": ("native-tiff", "generic-tiff", 3072, 3968, 4),
    "kidney-48-5.tif": ("plain", "plain", 1493, 901, 1),
    "mouse-ihc-dicom": ("openslide", "dicom", 12000, 8448, 6),
    "tcga-cr-7395-01a-01-ts1.svs": ("native-tiff", "aperio", 4443, 3567, 2),
    "test3-dapi.ndpi": ("openslide", "hamamatsu", 3968, 4864, 7),
}

BAD = {
    "Mirax2-Fluorescence-1.mrxs": (UnreadableSlideError, "companion folder"),
    "Mirax2-Fluorescence-1": (UnreadableSlideError, "folder without DICOM"),
    "broken.svs": (UnreadableSlideError, "no slide or image of any known format"),
    "concatenation-fragment.dcm": (UnsupportedSlideError, "one part of a DICOM concatenation"),
    "git-lfs-pointer.tif": (UnreadableSlideError, "Git LFS pointer"),
    "gray16-striped.tif": (UnsupportedSlideError, "16 bits per sample"),
    "hamamatsu-vms-stub/CMU-1-40x - 2010-01-12 13.24.05.vms": (UnreadableSlideError, "Premature end of JPEG"),
    "invalid_meta_data_tiff.tif": (UnsupportedSlideError, "4 samples per pixel"),
    "invalid_tiles_tiff.tif": (UnsupportedSlideError, "4 samples per pixel"),
    "jpeg-named-tiff.tiff": (UnsupportedSlideError, "the content is JPEG, but the name says TIFF"),
    "not-a-wsi.dcm": (UnsupportedSlideError, "no whole-slide image"),
    "unopenable.tiff": (UnsupportedSlideError, "compressed in a way that cannot be read"),
    "unreadable.svs": (UnreadableSlideError, "Bogus marker length"),
    "zstack-compressed.czi": (UnsupportedSlideError, "several planes"),
    "../small_vectra.qptiff": (UnsupportedSlideError, r"multi-channel fluorescence image \(3 channels\)"),
}


@pytest.mark.parametrize("name", GOOD)
def test_every_good_slide_opens_and_reads_whole(data_folder: Path, name: str) -> None:
    with open_slide(data_folder / "slides" / name) as slide:
        found = (slide.facts.reader, slide.vendor, slide.width, slide.height, len(slide.levels))
        assert found == GOOD[name]
        for top in range(0, slide.height, 2048):
            strip = slide.read_level(0, Region(0, top, slide.width, min(2048, slide.height - top)))
            assert strip.shape[1:] == (slide.width, 3)
        coarsest = slide.levels[-1]
        assert slide.read_level(len(slide.levels) - 1, Region(0, 0, coarsest.width, coarsest.height)).any()


@pytest.mark.parametrize("name", BAD)
def test_every_bad_slide_is_refused_in_one_line_with_advice(data_folder: Path, name: str) -> None:
    kind, reason = BAD[name]
    with pytest.raises(kind, match=reason) as caught:
        open_slide(data_folder / "slides" / "bad" / name)
    assert "\n" not in str(caught.value)
    assert caught.value.advice
    assert "\n" not in caught.value.advice


def test_no_bad_file_is_left_out_of_the_list(data_folder: Path) -> None:
    folder = data_folder / "slides" / "bad"
    files = {path.name for path in folder.iterdir() if path.is_file()}
    assert files <= set(BAD)


def test_fluorescence_opens_and_is_called_so(data_folder: Path) -> None:
    with open_slide(data_folder / "slides" / "test3-dapi.ndpi") as slide:
        assert slide.problems == ("looks like fluorescence (dark background): not a bright-field stain",)


@pytest.mark.parametrize(
    "name", ["cmu-1-small-region.svs", "mouse-ihc-dicom", "OS-2-ndpi.ome.tif", "kidney-48-5.tif"]
)
def test_stained_slides_have_no_health_problems(data_folder: Path, name: str) -> None:
    with open_slide(data_folder / "slides" / name) as slide:
        assert slide.problems == ()


def test_a_class_map_is_called_no_stain(data_folder: Path) -> None:
    with open_slide(data_folder / "slides" / "gleason-label-mask-lzw.tif") as slide:
        assert slide.problems == ("one channel: not a stained slide",)
        assert slide.bounds == Region(0, 512, 3072, 3456)


def test_outside_the_slide_is_white(write_tiff, picture) -> None:
    image = picture(300, 200)
    with open_slide(write_tiff(image)) as slide:
        found = slide.read_level(0, Region(-10, -20, 400, 300))
    assert np.array_equal(found[20:220, 10:310], image)
    found[20:220, 10:310] = 255
    assert (found == 255).all()


@pytest.mark.parametrize("name", ["cmu-1-small-region.svs", "cmu-1-small-region-dicom", "kidney-48-5.tif"])
def test_a_slide_survives_pickling_with_its_mpp(data_folder: Path, name: str) -> None:
    path = data_folder / "slides" / name
    with open_slide(path, mpp=0.41) as slide, pickle.loads(pickle.dumps(slide)) as copy:
        assert copy.mpp == 0.41
        assert copy.path == path
        window = Region(700, 300, 200, 150)
        assert np.array_equal(copy.read_level(0, window), slide.read_level(0, window))


def read_sum(slide: Slide, window: Region) -> int:
    return int(slide.read_level(0, window).sum(dtype=np.int64))


def test_a_slide_can_be_sent_to_another_process(write_tiff, picture) -> None:
    with open_slide(write_tiff(picture(400, 300), compression="jpeg")) as slide:
        window = Region(11, 7, 200, 150)
        with ProcessPoolExecutor(1, mp_context=get_context("forkserver")) as pool:
            found = pool.submit(slide.read_level, 0, window).result()
        assert np.array_equal(found, slide.read_level(0, window))


@pytest.mark.parametrize("name", ["cmu-1-small-region.svs", "cmu-1-small-region-dicom"])
def test_8_threads_on_one_slide_agree_with_one(data_folder: Path, name: str) -> None:
    windows = [Region(x, y, 333, 271) for y in range(0, 2600, 190) for x in range(0, 1800, 250)]
    with open_slide(data_folder / "slides" / name) as slide:
        alone = [read_sum(slide, window) for window in windows]
        with ThreadPoolExecutor(8) as pool:
            assert list(pool.map(lambda window: read_sum(slide, window), windows)) == alone


def test_a_closed_slide_says_so(write_tiff, picture) -> None:
    slide = open_slide(write_tiff(picture(300, 200)))
    slide.close()
    slide.close()
    with pytest.raises(UnreadableSlideError, match="is closed"):
        slide.read_level(0, Region(0, 0, 10, 10))


def test_associated_images_are_listed_and_read(data_folder: Path) -> None:
    path = data_folder / "slides" / "cmu-1-small-region.svs"
    with open_slide(path) as slide, openslide.OpenSlide(path) as peer:
        assert slide.associated_names == ("label", "macro", "thumbnail")
        macro = slide.read_associated("macro")
        assert np.array_equal(macro, np.asarray(peer.associated_images["macro"].convert("RGB")))
        with pytest.raises(RegionError, match="no associated image 'map'"):
            slide.read_associated("map")


def test_the_colour_profile_is_noted(data_folder: Path) -> None:
    with open_slide(data_folder / "slides" / "tcga-cr-7395-01a-01-ts1.svs") as slide:
        assert len(slide.icc_profile or b"") == 3144
    with open_slide(data_folder / "slides" / "cmu-1-small-region.svs") as slide:
        assert slide.icc_profile is None


def test_the_fingerprint_follows_the_content_not_the_name(write_tiff, picture, tmp_path: Path) -> None:
    path = write_tiff(picture(300, 200))
    moved = tmp_path / "elsewhere" / "other name.tif"
    moved.parent.mkdir()
    shutil.copy(path, moved)
    changed = write_tiff(picture(300, 200, seed=1), name="changed.tif")
    with open_slide(path) as slide, open_slide(moved) as copy, open_slide(changed) as other:
        assert len(slide.fingerprint) == 64
        assert slide.fingerprint == copy.fingerprint
        assert slide.fingerprint != other.fingerprint


def test_every_file_of_a_dicom_slide_has_the_same_fingerprint(data_folder: Path) -> None:
    folder = data_folder / "slides" / "mouse-ihc-dicom"
    prints = set()
    for path in (folder, folder / "level_375x264.dcm", folder / "level_6000x4224.dcm"):
        with open_slide(path) as slide:
            prints.add(slide.fingerprint)
            assert slide.width == 12000
    assert len(prints) == 1


def test_a_folder_with_several_series_asks_which(data_folder: Path, tmp_path: Path) -> None:
    slides = data_folder / "slides"
    shutil.copy(slides / "camelyon-overview.dcm", tmp_path)
    shutil.copy(slides / "mouse-ihc-dicom" / "level_375x264.dcm", tmp_path)
    with pytest.raises(UnsupportedSlideError, match="holds 2 DICOM series") as caught:
        open_slide(tmp_path)
    assert "camelyon-overview.dcm, level_375x264.dcm" in caught.value.advice


@pytest.mark.parametrize("share", [0.3, 0.9, 0.99])
@pytest.mark.parametrize(
    "name",
    [
        "BRACS_1640_N_3_cropped.tiff",  # cut at 0.9, level 0 is whole and the others are gone
        "cmu-1-small-region.svs",
        "mouse-ihc-dicom/level_375x264.dcm",
        "test3-dapi.ndpi",
        "kidney-48-5.tif",
    ],
)
def test_slides_cut_short_do_not_open(data_folder: Path, tmp_path: Path, name: str, share: float) -> None:
    data = (data_folder / "slides" / name).read_bytes()
    path = tmp_path / Path(name).name
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UnreadableSlideError):
        open_slide(path)


def test_a_damaged_frame_of_a_dicom_slide_spoils_no_other(data_folder: Path, tmp_path: Path) -> None:
    """OpenSlide's handles are useless after an error; the reader must not be."""
    source = data_folder / "slides" / "cmu-1-small-region-dicom" / "level-0-frames-0-30.dcm"
    data = bytearray(source.read_bytes())
    starts = [place for place in range(len(data) - 3) if data[place : place + 4] == b"\xff\xd8\xff\xe0"]
    frame = starts[7] if len(starts) > 7 else data.index(b"\xff\xd8\xff", len(data) // 2)
    data[frame + 200 : frame + 4000] = bytes(3800)
    path = tmp_path / "damaged.dcm"
    path.write_bytes(data)
    windows = [Region(x, y, 100, 100) for y in range(0, 2900, 200) for x in range(0, 2100, 200)]

    def read(slide: Slide, window: Region) -> np.ndarray | None:
        try:
            return slide.read_level(0, window)
        except UnreadableSlideError:
            return None

    with open_slide(path) as slide, open_slide(source) as sound, ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda window: read(slide, window), windows))
        failed = [pixels is None for pixels in found]
        assert 0 < sum(failed) < 20
        for window, pixels in zip(windows, found, strict=True):
            if pixels is not None:
                assert np.array_equal(pixels, sound.read_level(0, window))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "is empty"),
        (b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        (b"<!DOCTYPE html><html>404</html>", "web page"),
        (b"nonsense" * 100, "no slide or image of any known format"),
        (b"II*\0\x08\0\0\0", "cut short"),
        (b"II*\0\x08\0\0\0\0\0\0\0\0\0", "damaged TIFF file: its first image has no size"),
        (b"\xff\xd8\xff\xe0" + b"\0" * 50, "the content is JPEG, but the name says SVS"),
    ],
)
def test_files_that_are_no_slides_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "file.svs"
    path.write_bytes(content)
    with pytest.raises(SlidelabError, match=reason) as caught:
        open_slide(path)
    assert caught.value.advice


def test_a_dicomdir_beside_the_slide_is_no_second_series(data_folder: Path, tmp_path: Path) -> None:
    shutil.copy(data_folder / "slides" / "camelyon-overview.dcm", tmp_path)
    (tmp_path / "DICOMDIR").write_bytes(bytes(128) + b"DICM" + bytes(100))
    with open_slide(tmp_path) as slide:
        assert slide.width == 1152


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    with pytest.raises(SlideNotFoundError, match="there is no file"):
        open_slide(tmp_path / "none.svs")


def test_readers_are_listed() -> None:
    assert [reader.name for reader in list_readers()] == ["native-tiff", "openslide", "plain"]
    assert all(suffix.startswith(".") for reader in list_readers() for suffix in reader.suffixes)
