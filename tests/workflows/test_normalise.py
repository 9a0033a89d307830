"""A slide in other colours: written as a pyramid, the same pixels whatever the format, tiling or workers."""

import json
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

from slidelab.errors import SettingsError
from slidelab.stain import (
    FALLBACKS,
    METHODS,
    colour_distance,
    make_normalizer,
    read_colours,
    structure_kept,
)
from slidelab.workflows.bench_stain import benchmark_stain
from slidelab.workflows.contact_sheet import draw_contact_sheet
from slidelab.workflows.normalise import NormaliseSettings, normalise_slide, profile_path
from slidelab.workflows.slides.normalised_plane import NormalisedPlane
from slidelab.workflows.slides.stain_fit import choose_normalizer, restore_normalizer, sample_slide
from slidelab.workflows.slides.stain_generator_fit import GeneratedNormalizer, fit_generated
from slidelab.wsi import PhantomSettings, Region, open_slide, write_phantom

SIDE = 1152
"""More than 1024 px, so that there is a second level."""


def painted(folder, kind):
    path = folder / f"{kind}.tiff"
    settings = PhantomSettings(
        kind=kind, width=SIDE, height=SIDE - 101, mpp=0.5, artefacts=False, compression="none"
    )
    write_phantom(path, settings)
    return path


@pytest.fixture(scope="module")
def he_slide(tmp_path_factory):
    return painted(tmp_path_factory.mktemp("he"), "he")


@pytest.fixture(scope="module")
def lossless(he_slide, tmp_path_factory):
    out = tmp_path_factory.mktemp("lossless") / "slide.ome.tiff"
    return normalise_slide(he_slide, out, settings=NormaliseSettings(quality=None, workers=2))


def level_0(path):
    with open_slide(path) as slide:
        return slide.read_level(0, Region(0, 0, slide.width, slide.height))


def test_a_written_slide_opens_with_size_resolution_and_levels(he_slide, lossless):
    with open_slide(he_slide) as before, open_slide(lossless.out) as after:
        assert (after.width, after.height) == (before.width, before.height)
        assert after.mpp == pytest.approx(before.mpp)
        assert after.resolution.source == "ome:PhysicalSizeX"
        assert [level.downsample for level in after.levels] == [1.0, 2.0]
        assert after.problems == ()


def test_written_pixels_are_those_of_the_profile_beside_it(he_slide, lossless):
    told = json.loads(lossless.profile.read_text())
    normalizer = make_normalizer(read_colours(told), read_colours(told["target"]))
    assert lossless.is_changed
    assert lossless.flags == ()
    assert np.array_equal(level_0(lossless.out), normalizer.apply(level_0(he_slide)))
    assert told["method"] == "macenko"
    assert told["fingerprint"]


def test_ome_zarr_holds_the_same_pixels_and_0_4_metadata(he_slide, lossless, tmp_path):
    import zarr

    done = normalise_slide(he_slide, tmp_path / "slide.ome.zarr", settings=NormaliseSettings(workers=3))
    root = zarr.open_group(done.out, mode="r")
    assert np.array_equal(np.moveaxis(root["0"][:], 0, 2), level_0(lossless.out))
    (image,) = root.attrs["multiscales"]
    assert image["version"] == "0.4"
    assert [axis["name"] for axis in image["axes"]] == ["c", "y", "x"]
    scales = [each["coordinateTransformations"][0]["scale"] for each in image["datasets"]]
    assert scales == [[1.0, 0.5, 0.5], [1.0, 1.0, 1.0]]
    assert [channel["color"] for channel in root.attrs["omero"]["channels"]] == ["FF0000", "00FF00", "0000FF"]
    with open_slide(lossless.out) as slide:
        second = slide.read_level(1, Region(0, 0, slide.levels[1].width, slide.levels[1].height))
    assert np.array_equal(np.moveaxis(root["1"][:], 0, 2), second)


def test_a_file_does_not_depend_on_workers(he_slide, lossless, tmp_path):
    again = normalise_slide(
        he_slide, tmp_path / "slide.ome.tiff", settings=NormaliseSettings(quality=None, workers=1)
    )
    assert np.array_equal(level_0(again.out), level_0(lossless.out))


def test_a_jpeg_file_differs_by_its_compression_alone(he_slide, lossless, tmp_path):
    done = normalise_slide(he_slide, tmp_path / "slide.ome.tif")
    difference = np.abs(level_0(done.out).astype(int) - level_0(lossless.out))
    assert difference.mean() < 2.5
    assert done.out.stat().st_size < 0.5 * lossless.out.stat().st_size


def test_tissue_only_leaves_everything_else_white(he_slide, lossless, tmp_path):
    settings = NormaliseSettings(tissue_only=True, quality=None)
    done = normalise_slide(he_slide, tmp_path / "tissue.ome.tiff", settings=settings)
    pixels, whole = level_0(done.out), level_0(lossless.out)
    blank = (pixels == 255).all(axis=-1)
    assert 0.05 < blank.mean() < 0.95
    assert np.array_equal(pixels[~blank], whole[~blank])


def test_a_stored_profile_gives_the_same_slide_without_a_fit(he_slide, lossless, tmp_path):
    done = normalise_slide(
        he_slide,
        tmp_path / "again.ome.tiff",
        settings=NormaliseSettings(quality=None),
        profile=lossless.profile,
    )
    assert np.array_equal(level_0(done.out), level_0(lossless.out))


def test_a_profile_and_an_image_can_be_the_target(he_slide, lossless, tmp_path):
    from PIL import Image

    field = tmp_path / "target.png"
    Image.fromarray(level_0(he_slide)).save(field)
    settings = NormaliseSettings(quality=None)
    for number, target in enumerate((lossless.profile, field)):
        done = normalise_slide(he_slide, tmp_path / f"{number}.ome.tiff", settings=settings, target=target)
        # Its own colours as the target: the slide hardly changes but for white glass.
        tissue = level_0(he_slide).mean(axis=-1) < 190
        before, after = level_0(he_slide)[tissue].astype(float), level_0(done.out)[tissue]
        assert np.abs(before.mean(axis=0) - after.mean(axis=0)).max() < 15


def test_none_writes_the_slide_as_it_is(he_slide, tmp_path):
    settings = NormaliseSettings(method="none", quality=None)
    done = normalise_slide(he_slide, tmp_path / "none.ome.tiff", settings=settings)
    assert not done.is_changed
    assert np.array_equal(level_0(done.out), level_0(he_slide))


def test_a_brown_slide_is_left_as_it_is_and_says_so(tmp_path):
    slide = painted(tmp_path, "ki67")
    settings = NormaliseSettings(method="vahadane", quality=None)
    done = normalise_slide(slide, tmp_path / "brown.ome.tiff", settings=settings)
    assert "STAIN_NOT_H_E" in done.flags
    assert "NOT NORMALISED" in done.to_text()
    assert np.array_equal(level_0(done.out), level_0(slide))
    assert json.loads(done.profile.read_text())["changed"] is False


def test_blank_glass_is_written_with_a_flag(tmp_path):
    from PIL import Image

    Image.fromarray(np.full((1200, 1300, 3), 243, np.uint8)).save(tmp_path / "blank.png")
    done = normalise_slide(
        tmp_path / "blank.png", tmp_path / "blank.ome.tiff", settings=NormaliseSettings(mpp=0.5)
    )
    assert {"NO_TISSUE", "STAIN_ABSENT"} <= set(done.flags)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda slide, folder: normalise_slide(slide, folder / "x.svs"), "names no format"),
        (lambda slide, folder: NormaliseSettings(method="magic"), "unknown method"),
        (lambda slide, folder: NormaliseSettings(quality=0), "quality"),
        (lambda slide, folder: NormaliseSettings(workers=-1), "workers"),
        (lambda slide, folder: draw_contact_sheet(slide, folder / "x.jpg"), "PNG"),
        (
            lambda slide, folder: normalise_slide(slide, folder / "x.ome.tiff", profile=folder / "no.json"),
            "no such profile",
        ),
        (
            lambda slide, folder: normalise_slide(slide, folder / "x.ome.tiff", profile=slide),
            "no stain profile",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(he_slide, tmp_path, make, words):
    with pytest.raises(SettingsError, match=words) as caught:
        make(he_slide, tmp_path)
    assert "\n" not in caught.value.what + caught.value.advice


def test_a_profile_of_another_method_is_refused(he_slide, lossless, tmp_path):
    with pytest.raises(SettingsError, match="measured by macenko"):
        normalise_slide(
            he_slide,
            tmp_path / "x.ome.tiff",
            settings=NormaliseSettings(method="vahadane"),
            profile=lossless.profile,
        )
    assert list(tmp_path.iterdir()) == []


def test_the_profile_stands_beside_the_slide(tmp_path):
    for name in ("a.ome.tiff", "a.ome.tif", "a.ome.zarr", "a.zarr"):
        assert profile_path(tmp_path / name) == tmp_path / "a.profile.json"


@pytest.fixture(scope="module")
def generated(he_slide, tmp_path_factory):
    """The slide as the network shows it, and the normalizer that its profile tells."""
    out = tmp_path_factory.mktemp("cyclegan") / "slide.ome.tiff"
    done = normalise_slide(
        he_slide, out, settings=NormaliseSettings(method="cyclegan", quality=None, workers=2)
    )
    return done, restore_normalizer(json.loads(done.profile.read_text()))


def test_a_slide_by_a_network_is_the_same_in_one_piece_and_in_any_tiles(he_slide, generated):
    done, normalizer = generated
    source, written = level_0(he_slide), level_0(done.out)
    assert done.is_changed
    assert 0 < normalizer.halo < 64
    assert np.array_equal(normalizer.apply(source), written)
    assert pickle.loads(pickle.dumps(normalizer)) == normalizer
    with open_slide(he_slide) as slide:
        plane = NormalisedPlane(slide.plane(slide.mpp), normalizer)
        for window in ((0, 0, 100, 90), (511, 513, 64, 300), (1100, 1000, 52, 51)):
            x, y, width, height = window
            assert np.array_equal(plane.read(*window), written[y : y + height, x : x + width])


def test_glass_is_white_and_structure_stays_after_a_network(he_slide, generated):
    source, written = level_0(he_slide), level_0(generated[0].out)
    white = generated[1].transfer.source.background
    glass = (source >= np.array(white)).all(axis=-1)
    assert glass.sum() > 500
    assert written[glass].min() == 255
    assert structure_kept(source, written) > 0.9
    assert not np.array_equal(source, written)


def test_a_student_is_close_to_its_network_and_its_profile_is_enough(he_slide, generated, tmp_path):
    settings = NormaliseSettings(method="distilled", quality=None)
    done = normalise_slide(he_slide, tmp_path / "a.ome.tiff", settings=settings)
    told = json.loads(done.profile.read_text())
    assert told["colour_distance_to_generator"]["mean"] <= 3
    far = colour_distance(
        level_0(done.out)[::5, ::5].reshape(-1, 3), level_0(generated[0].out)[::5, ::5].reshape(-1, 3)
    )
    assert far.mean() <= 3
    again = normalise_slide(he_slide, tmp_path / "b.ome.tiff", settings=settings, profile=done.profile)
    assert np.array_equal(level_0(again.out), level_0(done.out))
    assert restore_normalizer(told).apply(np.full((3, 3, 3), 255, np.uint8)).min() == 255


def test_a_network_takes_the_stains_of_a_macenko_profile_and_another_target(he_slide, lossless, tmp_path):
    done = normalise_slide(
        he_slide,
        tmp_path / "own.ome.tiff",
        settings=NormaliseSettings(method="cyclegan", quality=None),
        profile=lossless.profile,
        target=lossless.profile,
    )
    # Its own look as the target: little changes but the white of the glass.
    source = level_0(he_slide)
    tissue = source.mean(axis=-1) < 190
    assert np.abs(source[tissue].mean(axis=0) - level_0(done.out)[tissue].mean(axis=0)).max() < 15


@pytest.mark.parametrize("method", ["cyclegan", "distilled"])
def test_what_no_network_should_touch_is_left_with_a_flag(method):
    random = np.random.default_rng(1)
    green = np.full((3, 80, 80, 3), (60, 190, 90)) + random.integers(-9, 9, (3, 80, 80, 3))
    amount = random.uniform(0.15, 1.2, (3, 80, 80, 1))
    brown = 255 * 10 ** (-amount * np.array([0.27, 0.57, 0.78]))
    noise = random.integers(0, 256, (3, 80, 80, 3))
    cases = {
        "blank": np.full((3, 80, 80, 3), 244),
        "one colour": np.full((3, 80, 80, 3), (150, 90, 160)),
        "green": green,
        "brown": brown,
        "noise": noise,
        "none": np.zeros((0, 80, 80, 3)),
    }
    for name, windows in cases.items():
        pixels = windows.astype(np.uint8)
        made = fit_generated(pixels, method, background=(244.0,) * 3)
        assert FALLBACKS & set(made.flags), name
        assert made.halo == 0
        if len(pixels):
            assert np.array_equal(made.apply(pixels[0]), pixels[0])


def test_a_network_that_turns_tissue_into_something_else_is_found_out(he_slide, monkeypatch):
    with open_slide(he_slide) as slide:
        sample = sample_slide(slide)
    monkeypatch.setattr(GeneratedNormalizer, "apply", lambda self, image: np.ascontiguousarray(image[::-1]))
    made = choose_normalizer(sample, "cyclegan")
    assert "NORMALISED_UNLIKE" in made.flags


def test_a_contact_sheet_shows_every_method(he_slide, tmp_path):
    from PIL import Image

    sheet = draw_contact_sheet(he_slide, tmp_path / "sheet.png")
    with Image.open(sheet.path) as picture:
        assert min(picture.size) > 800
    assert list(sheet.methods) == list(METHODS)
    assert sheet.methods["none"]["ssim"] == 1.0
    assert all(facts["ssim"] > 0.5 for facts in sheet.methods.values())


def test_the_bench_says_what_is_measured_and_what_is_not_installed(he_slide):
    figures = benchmark_stain(he_slide, side=256, rounds=1)
    for method in (*METHODS[1:], "unmix"):
        assert figures[f"slidelab_{method}_mp_s"] > 0
    assert figures["slidelab_macenko_greatest_difference"] <= 0.5
    assert figures["torchstain_macenko_mp_s"] == "not installed" or figures["torchstain_macenko_mp_s"] > 0
    assert "torchstain_vahadane_mp_s" not in figures


def slidelab(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "slidelab", *map(str, arguments)],
        capture_output=True,
        text=True,
        env=dict(os.environ),
        check=False,
    )


def test_the_verb_prints_one_json_object(he_slide, tmp_path):
    out, sheet = tmp_path / "x.ome.tiff", tmp_path / "sheet.png"
    done = slidelab(
        "normalise", he_slide, "--method", "reinhard", "--out", out, "--contact-sheet", sheet, "--json"
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["changed"] is True
    assert out.exists()
    assert sheet.exists()
    assert (tmp_path / "x.profile.json").exists()


def test_the_verb_without_anything_to_write_says_what_to_do(he_slide):
    done = slidelab("normalise", he_slide)
    assert done.returncode == 1
    assert "--out" in done.stderr
    assert "Traceback" not in done.stderr
