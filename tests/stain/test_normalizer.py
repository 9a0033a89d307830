"""Normalisation: worked values, the same for every tiling, and guards that never let a sample crash it."""

import json
import pickle
from dataclasses import replace

import numpy as np
import pytest

from slidelab.errors import SettingsError
from slidelab.stain import (
    BY_NETWORK,
    FALLBACKS,
    METHODS,
    REFERENCE,
    StainProfile,
    fit_colours,
    fit_normalizer,
    make_normalizer,
    read_colours,
)
from slidelab.stain.profile import angle_deg
from slidelab.stain.transfer import StainTransfer

FITTED = tuple(method for method in METHODS[1:] if method not in BY_NETWORK)
LN_10 = np.log(10.0)


def torchstain(image, *, white=240.0, beta=0.15):
    """Macenko as torchstain 1.4.1 has it, written out: stains, 99th percentiles and the new image."""
    density = -np.log((image.reshape(-1, 3).astype(float) + 1) / white)
    dense = density[~np.any(density < beta, axis=1)]
    _, axes = np.linalg.eigh(np.cov(dense.T))
    axes = axes[:, 1:3] * np.where(axes[:, 1:3].sum(axis=0) < 0, -1, 1)
    projected = dense @ axes
    angles = np.percentile(np.arctan2(projected[:, 1], projected[:, 0]), [1, 99])
    ends = [axes @ np.array([np.cos(angle), np.sin(angle)]) for angle in angles]
    stains = np.array(ends if ends[0][0] > ends[1][0] else ends[::-1]).T
    amounts = np.linalg.lstsq(stains, density.T, rcond=None)[0]
    strengths = np.percentile(amounts, 99, axis=1)
    reference = np.array([[0.5626, 0.2159], [0.7201, 0.8012], [0.4062, 0.5581]])
    scale = np.array([1.9705, 1.0308]) / strengths
    new = white * np.exp(-reference @ (amounts * scale[:, None]))
    return stains.T, strengths, np.minimum(new.T, 255).reshape(image.shape)


def test_the_reference_shows_one_hematoxylin_and_half_an_eosin_as_published():
    # I = 240 exp(-HE C) with C = (1, 0.5): 122.74, 78.25, 120.95.
    source = StainProfile((240.0,) * 3, (0.7, 0.6, 0.4), (0.1, 0.9, 0.3), "macenko", (), REFERENCE.strengths)
    pixel = 240 * 10.0 ** -((1.0 / LN_10) * source.vectors[0] + (0.5 / LN_10) * source.vectors[1])
    target = replace(REFERENCE, background=(240.0,) * 3)
    new = StainTransfer(source, target).recolour(pixel[None])[0]
    assert new == pytest.approx((122.74, 78.25, 120.95), abs=0.02)


def test_a_transfer_equals_torchstain_given_its_stains(he):
    # Their density is -ln((I + 1) / 240): ours of the same image one grey level lighter, white 240.
    image = he.paint(strength=0.8).reshape(200, 200, 3)
    image = np.minimum(image, 238)  # ours cuts densities below 0, theirs lets them be
    (hematoxylin, eosin), strengths, theirs = torchstain(image)
    white = (240.0,) * 3
    source = StainProfile(white, tuple(hematoxylin), tuple(eosin), "macenko", (), tuple(strengths / LN_10))
    ours = StainTransfer(source, replace(REFERENCE, background=white)).recolour(image.reshape(-1, 3) + 1.0)
    # The reference's vectors are of length 1.00003, and ours are brought to 1.
    assert np.abs(np.minimum(ours, 255) - theirs.reshape(-1, 3)).max() < 0.02


def test_a_fit_is_that_of_torchstain_but_for_what_takes_part(he):
    # Ours: white point of the slide, no pixel with a channel below 9, none of glass. The same stains result.
    image = he.paint(white=(240.0,) * 3).reshape(200, 200, 3)
    stains, strengths, _ = torchstain(image)
    profile = fit_colours(image, "macenko", background=(240.0,) * 3)
    assert angle_deg(profile.hematoxylin, stains[0]) < 1.0
    assert angle_deg(profile.chromogen, stains[1]) < 1.0
    assert np.array(profile.strengths) == pytest.approx(strengths / LN_10, rel=0.05)


def test_the_written_out_torchstain_is_the_package(he):
    peer = pytest.importorskip("torchstain.numpy.normalizers").NumpyMacenkoNormalizer()
    image = he.paint(strength=0.8).reshape(200, 200, 3)
    theirs = peer.normalize(image, stains=False)[0]
    difference = torchstain(image)[2] - theirs  # it cuts fractions off
    assert -1e-6 < difference.min() <= difference.max() < 1 + 1e-6


@pytest.mark.parametrize("method", FITTED)
def test_normalised_pixels_do_not_depend_on_tiles_order_or_threads(he_image, he, method):
    normalizer = fit_normalizer(he_image, method, background=he.white)
    whole = normalizer.apply(he_image)
    for side in (1, 7, 64, 97):
        pieces = np.zeros_like(whole)
        corners = [(y, x) for y in range(0, 160, side) for x in range(0, 250, side)]
        for y, x in (corners if side > 1 else corners[:200])[::-1]:
            copy = pickle.loads(pickle.dumps(normalizer))  # as a worker gets it
            pieces[y : y + side, x : x + side] = copy.apply(he_image[y : y + side, x : x + side])
        covered = pieces.any(axis=-1)
        assert np.array_equal(pieces[covered], whole[covered])
        assert covered.mean() > 0.99 or side == 1


@pytest.mark.parametrize("method", FITTED)
def test_applied_pixels_are_the_rounded_formula(he_image, he, method):
    normalizer = fit_normalizer(he_image, method, background=he.white)
    exact = np.clip(normalizer.recolour(he_image.reshape(-1, 3).astype(float)), 0, 255)
    applied = normalizer.apply(he_image).reshape(-1, 3).astype(float)
    assert np.abs(applied - exact).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("method", FITTED)
def test_two_looks_of_the_same_tissue_come_together(he, method):
    one = he.paint(seed=5)
    other = he.paint(
        seed=5,
        first=(0.70, 0.62, 0.25),
        second=(0.32, 0.86, 0.35),
        strength=0.75,
        white=(228.0, 231.0, 250.0),
    )
    looks = [(one, he.white), (other, (228.0, 231.0, 250.0))]
    made = [fit_normalizer(each, method, background=white).apply(each) for each, white in looks]
    before = np.abs(one.astype(float).mean(axis=0) - other.mean(axis=0)).max()
    after = np.abs(made[0].astype(float).mean(axis=0) - made[1].mean(axis=0)).max()
    assert before > 20
    assert after < before / 4


@pytest.mark.parametrize("method", FITTED)
def test_glass_becomes_white_and_never_grey(he, method):
    normalizer = fit_normalizer(he.paint(), method, background=he.white)
    glass = np.array([[he.white, (239, 238, 240), (250, 251, 249), (255, 255, 255)]]).astype(np.uint8)
    assert normalizer.flags == ()
    assert normalizer.apply(glass).min() >= 250


@pytest.mark.parametrize("method", FITTED)
def test_a_slide_can_be_given_the_look_of_another(he, method):
    other = he.paint(first=(0.70, 0.62, 0.25), second=(0.32, 0.86, 0.35), strength=0.6, white=(250.0,) * 3)
    target = fit_colours(other, method, background=(250.0,) * 3)
    normalizer = fit_normalizer(he.paint(), method, target=target, background=he.white)
    made = normalizer.apply(he.paint())
    assert normalizer.flags == ()
    assert np.abs(made.mean(axis=0) - other.mean(axis=0)).max() < 12


def samples(he):
    """Samples that are no H&E, or not enough of it, with the white point of clear glass."""
    random = np.random.default_rng(7)
    brown = he.paint(second=(0.27, 0.57, 0.78), strength=0.7)
    green = np.clip(random.normal((60, 150, 70), 12, (30_000, 3)), 0, 255).astype(np.uint8)
    black = np.clip(random.normal(20, 5, (40_000, 3)), 0, 255).astype(np.uint8)
    blank = np.clip(random.normal(241, 1.5, (50_000, 3)), 0, 255).astype(np.uint8)
    hematoxylin = he.paint(share=0.0, second=he.hematoxylin)
    eosin = he.paint(share=1.0, first=he.eosin)
    return {
        "empty": np.empty((0, 3), np.uint8),
        "one pixel": np.array([[120, 60, 130]], np.uint8),
        "blank": blank,
        "few": np.concatenate([blank, he.paint(400)]),
        "white": np.full((5_000, 3), 255, np.uint8),
        "pure black": np.zeros((5_000, 3), np.uint8),
        "marker": black,
        "green pen": green,
        "pen over tissue": np.concatenate([he.paint(40_000), green]),
        "one colour": np.full((50_000, 3), (150, 80, 160), np.uint8),
        "grey": np.repeat(random.integers(30, 240, (40_000, 1)), 3, axis=1).astype(np.uint8),
        "hematoxylin alone": hematoxylin,
        "eosin alone": eosin,
        "H-DAB": brown,
        "pale": he.paint(strength=0.06),
        "noise": random.integers(0, 256, (40_000, 3)).astype(np.uint8),
        "fluorescence": np.clip(random.gamma(1.0, 8.0, (40_000, 3)), 0, 255).astype(np.uint8),
    }


NO_H_E = (
    "empty",
    "one pixel",
    "blank",
    "few",
    "white",
    "pure black",
    "marker",
    "green pen",
    "pen over tissue",
    "one colour",
    "grey",
    "H-DAB",
    "noise",
    "fluorescence",
)
NAMES = (*NO_H_E, "hematoxylin alone", "eosin alone", "pale")


@pytest.fixture(scope="module")
def cases(he):
    return samples(he)


@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize("name", NAMES)
def test_no_sample_crashes_a_fit_or_makes_nan(cases, he, he_image, method, name):
    sample = cases[name]
    with np.errstate(all="raise", under="ignore"):
        normalizer = fit_normalizer(sample, method, background=he.white)
        new = normalizer.recolour(he_image.reshape(-1, 3).astype(float))
    assert np.isfinite(new).all()
    json.dumps(normalizer.to_json(), allow_nan=False)


@pytest.mark.parametrize("method", FITTED)
@pytest.mark.parametrize(
    "name", [name for name in NO_H_E if name not in {"eosin alone", "hematoxylin alone"}]
)
def test_what_is_no_h_and_e_is_left_as_it_is_with_a_flag(cases, he, he_image, method, name):
    normalizer = fit_normalizer(cases[name], method, background=he.white)
    assert set(normalizer.flags) & FALLBACKS
    assert normalizer.apply(he_image) is he_image


def test_flags_say_what_is_wrong(cases, he):
    flags = {name: fit_normalizer(cases[name], "macenko", background=he.white).flags for name in cases}
    assert flags["blank"] == flags["empty"] == flags["few"] == ("STAIN_ABSENT",)
    assert "STAIN_NOT_H_E" in flags["H-DAB"]
    assert "STAIN_ODD" in flags["green pen"]
    assert "STAIN_SINGLE" in flags["one colour"]


def test_a_little_ink_is_left_out_and_said(he):
    green = np.full((800, 3), (60, 150, 70), np.uint8)
    clean = fit_normalizer(he.paint(), "macenko", background=he.white)
    inked = fit_normalizer(np.concatenate([he.paint(), green]), "macenko", background=he.white)
    assert inked.flags == ("INK_LEFT_OUT",)
    assert angle_deg(inked.source.hematoxylin, clean.source.hematoxylin) < 0.5
    assert inked.source.strengths == pytest.approx(clean.source.strengths, rel=0.02)


def test_a_pale_but_sound_slide_is_strengthened(he):
    pale = fit_normalizer(he.paint(strength=0.25), "macenko", background=he.white)
    assert pale.flags == ()
    assert 1 < max(pale.gains) <= 4


def test_what_is_too_pale_is_not_blown_up(he):
    source = replace(REFERENCE, source="macenko", strengths=(0.1, 0.05))
    assert make_normalizer(source).flags == ("STAIN_PALE",)


@pytest.mark.parametrize("method", FITTED)
def test_a_normalizer_made_of_its_json_is_the_same(he, method):
    fitted = fit_normalizer(he.paint(), method, background=he.white)
    told = json.loads(json.dumps(fitted.to_json()))
    assert make_normalizer(read_colours(told), read_colours(told["target"])) == fitted
    assert make_normalizer(read_colours(told["slide"])) == fitted


def test_none_changes_nothing(he_image):
    nothing = fit_normalizer(he_image, "none")
    assert nothing.apply(he_image) is he_image
    assert (nothing.method, nothing.flags) == ("none", ())


def test_what_does_not_fit_together_is_refused(he):
    reinhard = fit_colours(he.paint(), "reinhard", background=he.white)
    macenko = fit_colours(he.paint(), "macenko", background=he.white)
    for attempt in (
        lambda: make_normalizer(macenko, reinhard),
        lambda: make_normalizer(reinhard, macenko),
        lambda: make_normalizer(macenko, fit_colours(np.empty((0, 3), np.uint8), "macenko")),
        lambda: make_normalizer(StainProfile()),
        lambda: fit_normalizer(he.paint(), "cyclegan"),
        lambda: read_colours([]),
        lambda: read_colours({"slide": 3}),
    ):
        with pytest.raises(SettingsError):
            attempt()


@pytest.mark.parametrize(
    "change",
    [
        {"background": (0.0, 240.0, 240.0)},
        {"background": (float("nan"), 240.0, 240.0)},
        {"hematoxylin": (0.0, 0.0, 0.0)},
        {"chromogen": (float("inf"), 0.8, 0.5)},
        {"chromogen": REFERENCE.hematoxylin},
    ],
    ids=["black", "nan", "zero", "infinite", "the same twice"],
)
@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_a_profile_spoilt_by_hand_is_refused(method, change):
    with pytest.raises(SettingsError):
        make_normalizer(replace(REFERENCE, source=method, **change))


def test_real_fields_of_h_and_e_are_normalised_and_grow_alike(data_folder):
    from PIL import Image

    means = {"before": [], "after": []}
    for path in sorted((data_folder / "he/stain-multicentre").glob("*.jpg")):
        image = np.asarray(Image.open(path).convert("RGB"))[::3, ::3]
        red, green, blue = (float(max(v, 200)) for v in np.percentile(image.reshape(-1, 3), 99.5, axis=0))
        normalizer = fit_normalizer(image, "macenko", background=(red, green, blue))
        assert not set(normalizer.flags) & FALLBACKS, path.name
        stained = image.mean(axis=-1) < 200
        means["before"].append(image[stained].mean(axis=0))
        means["after"].append(normalizer.apply(image)[stained].mean(axis=0))
    assert len(means["after"]) == 18
    assert np.std(means["after"], axis=0).mean() < 0.75 * np.std(means["before"], axis=0).mean()


def test_real_h_dab_is_not_normalised_as_h_and_e(data_folder):
    from PIL import Image

    image = np.asarray(Image.open(data_folder / "ihc/ki67-bcdata-sample/images/11.jpg").convert("RGB"))
    assert "STAIN_NOT_H_E" in fit_normalizer(image, "vahadane", background=(240.0,) * 3).flags
