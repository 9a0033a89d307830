"""Crops and their targets show the same nuclei, turned, cut or padded."""

import numpy as np
import pytest

from slidelab.models.training.crops import StainJitter, _turn, draw_crop, jitter_stain
from slidelab.models.training.samples import load_samples

HEATS, CLASSES = ("nucleus", "tumour"), ("Negative", "Positive")


def sample_of(image, *, mpp=0.5):
    return load_samples([image], mpp=mpp, heats=HEATS, classes=CLASSES)[0]


def crops_of(sample, *, side=64, count=20):
    return [draw_crop(sample, np.random.default_rng(seed), side=side, rays=32) for seed in range(count)]


def is_nucleus(image):
    return image.min(2) < 200


def test_heat_peaks_lie_on_painted_nuclei_in_every_turn(paint):
    for crop in crops_of(sample_of(paint())):
        rows, columns = np.nonzero(crop.heat[0] == 1)
        assert len(rows)
        assert is_nucleus(crop.image)[rows * 2 + 1, columns * 2 + 1].all()


def test_the_eight_symmetries_move_image_and_marks_alike(paint):
    sample = sample_of(paint(side=64))
    seen = set()
    for number in range(8):
        turned = _turn(sample, number, side=64)
        seen.add(turned.image.tobytes())
        for x, y, which in zip(turned.x, turned.y, turned.ids, strict=True):
            assert turned.instances[int(y), int(x)] == which
    assert len(seen) == 8


def test_radii_are_those_of_the_painted_discs(paint):
    for crop in crops_of(sample_of(paint())):
        sure = crop.ray_weight.all(1)
        # A disc of 6 px; the place is up to a grid cell and a half off its centre, so opposite rays vary.
        across = crop.radii[:, :16] + crop.radii[:, 16:]
        assert np.median(across[sure]) == pytest.approx(12.0, abs=1.0) if sure.any() else True
    assert any(crop.ray_weight.all(1).any() for crop in crops_of(sample_of(paint())))


def test_rays_that_leave_the_crop_are_unknown(paint):
    sample = sample_of(paint())
    cut = 0
    for crop in crops_of(sample, count=40):
        angles = np.arange(32) * np.pi / 16
        ends = (
            crop.places[:, ::-1, None] * 2
            + 1
            + crop.radii[:, None] * np.stack([np.cos(angles), np.sin(angles)])
        )
        outside = ((ends < 0.5) | (ends > 63.5)).any(1)
        known = crop.ray_weight == 1
        cut += int((outside & ~known).sum())
        assert not (((ends < -0.5) | (ends > 64.5)).any(1) & known).any()
    assert cut


def test_a_nucleus_cut_by_the_border_of_a_small_image_is_known_only_inside(paint):
    image = paint(side=48)
    cut = sample_of(image)
    # One disc whose middle lies on the right border: rays to the right end beyond the image.
    cut.instances[:] = 0
    rows, columns = np.mgrid[:48, :48] + 0.5
    cut.instances[np.hypot(columns - 44, rows - 24) < 8] = 1
    one = type(cut)(
        **{name: getattr(cut, name) for name in ("source", "image", "instances", "known", "complete")},
        x=np.array([43.0]),
        y=np.array([24.0]),
        ids=np.array([1], np.int32),
        heats=np.ones((1, 2), np.int8),
        classes=np.array([0]),
    )
    known = 0
    for crop in crops_of(one, count=30):
        angles = np.arange(32) * np.pi / 16
        rays = np.stack([np.cos(angles), np.sin(angles)])
        first_outside = crop.radii + 0.25  # radii end between the last step inside and this one
        ends = crop.places[:, ::-1, None] * 2 + 1 + first_outside[:, None] * rays
        columns, rows = np.floor(ends + 1e-4).astype(int).clip(0, 63).transpose(1, 0, 2)
        beyond = crop.image[rows, columns].min(-1) == 255  # padding; glass is painted a little darker
        assert beyond[crop.ray_weight == 0].all()
        assert not beyond[crop.ray_weight == 1].any()
        known += int(crop.ray_weight.sum())
    assert known


def test_beyond_a_small_image_nothing_is_known(paint):
    sample = sample_of(paint(side=48))
    for crop in crops_of(sample):
        assert crop.image.shape == (64, 64, 3)
        assert crop.weight[0].mean() == pytest.approx((48 / 64) ** 2, abs=0.01)


def test_in_a_partly_marked_image_only_marks_and_glass_are_known(paint):
    image = paint(marked="tumour")
    half = image.x < image.x.mean()
    lost = paint(
        marked="tumour",
        x=image.x[half],
        y=image.y[half],
        labels=image.labels[half],
        instance_ids=image.instance_ids[half],
    )
    sample = sample_of(lost)
    for crop in crops_of(sample):
        nucleus = is_nucleus(crop.image).reshape(32, 2, 32, 2).all((1, 3))
        far = crop.heat[0] < 0.01
        assert not crop.weight[0][nucleus & far].any()  # an unmarked nucleus is no background
        assert crop.weight[0][crop.heat[0] == 1].all()
        assert crop.weight[1].all()  # all nuclei of tumour were marked
        glass = (crop.image.reshape(32, 2, 32, 2, 3).min((1, 3, 4)) >= 232) & far
        assert crop.weight[0][glass].all()


def test_where_no_mark_tells_tumour_its_heat_map_is_unknown_around_nuclei(paint):
    image = paint()
    plain = paint(labels=np.full(len(image.x), "Nucleus"))
    for crop in crops_of(sample_of(plain)):
        assert crop.weight[0].all()
        assert not crop.weight[1].any() or not (crop.heat[0] == 1).any()
        assert (crop.classes == -1).all()


def test_outside_the_marked_region_nothing_is_known(paint, tmp_path):
    from PIL import Image

    mask = np.zeros((160, 160), np.uint8)
    mask[:, :80] = 255
    Image.fromarray(mask).save(tmp_path / "region.png")
    sample = sample_of(paint(region=tmp_path / "region.png"))
    assert sample.known[:, :80].all()
    assert not sample.known[:, 80:].any()
    weights = [crop.weight[0].mean() for crop in crops_of(sample)]
    assert min(weights) < 0.9


def test_at_another_resolution_marks_stay_on_their_nuclei(paint):
    image = paint()
    for mpp in (0.35, 0.5, 0.8):
        sample = sample_of(image, mpp=mpp)
        found = sample.instances[sample.y.astype(int), sample.x.astype(int)]
        assert (found == sample.ids).all()
        assert is_nucleus(sample.image)[sample.y.astype(int), sample.x.astype(int)].all()


def test_the_same_seed_draws_the_same_crop(paint):
    sample = sample_of(paint())
    first, again = (draw_crop(sample, np.random.default_rng(5), side=64, rays=32) for _ in range(2))
    for name in ("image", "heat", "weight", "places", "radii", "ray_weight", "classes"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))


@pytest.mark.parametrize("stain", ["H-DAB", "H&E"])
def test_stain_jitter_changes_colours_and_keeps_what_is_dark(paint, stain):
    crop = draw_crop(sample_of(paint()), np.random.default_rng(1), side=64, rays=32)
    images = np.stack([crop.image] * 12)
    varied = jitter_stain(images, np.random.default_rng(2), stain=stain, jitter=StainJitter())
    assert varied.dtype == np.uint8
    assert len({image.tobytes() for image in varied}) == 12
    nucleus = is_nucleus(crop.image)
    for image in varied:
        assert image[nucleus].mean() < image[~nucleus].mean() - 20


def test_without_jitter_the_pixels_stay(paint):
    crop = draw_crop(sample_of(paint()), np.random.default_rng(1), side=64, rays=32)
    none = StainJitter((1, 1), (1, 1), hue=0.0, tint=0.0, noise=0.0, blur=0.0)
    varied = jitter_stain(crop.image[None], np.random.default_rng(2), stain="H-DAB", jitter=none)
    # Only what neither stain explains is scaled, by up to 1.3: little in blue and brown.
    assert np.abs(varied[0].astype(int) - crop.image).max() < 40


def test_the_radii_of_a_disc_are_its_radius_on_average(paint):
    cut = sample_of(paint(side=96))
    cut.instances[:] = 0
    rows, columns = np.mgrid[:96, :96] + 0.5
    cut.instances[np.hypot(columns - 48, rows - 48) < 9] = 1
    fields = ("source", "image", "instances", "known", "complete")
    one = type(cut)(
        **{name: getattr(cut, name) for name in fields},
        x=np.array([48.0]),
        y=np.array([48.0]),
        ids=np.array([1], np.int32),
        heats=np.ones((1, 2), np.int8),
        classes=np.array([0]),
    )
    areas = []
    for crop in crops_of(one, count=40):
        radii = crop.radii[crop.ray_weight.all(1)]
        areas += (0.5 * np.sin(2 * np.pi / 32) * (radii * np.roll(radii, 1, 1)).sum(1)).tolist()
    assert np.mean(areas) == pytest.approx(np.pi * 81, rel=0.02)
