"""The stain fit finds true vectors, and falls back with a flag where it cannot."""

import json

import numpy as np
import pytest

from slidelab.errors import SettingsError
from slidelab.stain import StainProfile, density_to_rgb, fit_h_dab, published_h_e, unmix
from slidelab.stain.profile import angle_deg

BACKGROUND = (242.0, 240.0, 244.0)


def pixels(first, second, *, seed=0, count=40_000, second_share=0.3, strength=0.6):
    """Pixels of two stains: mostly one each, some mixed, as tissue has them."""
    random = np.random.default_rng(seed)
    vectors = np.array([first, second], float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    amounts = random.gamma(4, strength / 4, (count, 2))
    is_second = random.random(count) < second_share
    amounts[is_second, 0] *= random.choice([0.05, 0.5], is_second.sum())
    amounts[~is_second, 1] *= 0.02
    return density_to_rgb(amounts @ vectors + random.normal(0, 0.005, (count, 3)), BACKGROUND)


@pytest.mark.parametrize(
    ("hematoxylin", "dab"),
    [
        ((0.65, 0.70, 0.29), (0.27, 0.57, 0.78)),
        ((0.72, 0.66, 0.20), (0.35, 0.56, 0.75)),
        ((0.60, 0.72, 0.35), (0.20, 0.52, 0.83)),
    ],
)
def test_true_vectors_are_found_within_four_degrees(hematoxylin, dab):
    profile = fit_h_dab(pixels(hematoxylin, dab), BACKGROUND)
    assert profile.source == "fitted"
    assert profile.flags == ()
    assert angle_deg(profile.hematoxylin, hematoxylin) < 4
    assert angle_deg(profile.chromogen, dab) < 4


def test_a_slide_without_brown_keeps_the_published_dab_vector():
    profile = fit_h_dab(pixels((0.65, 0.70, 0.29), (0.27, 0.57, 0.78), second_share=0.0), BACKGROUND)
    assert profile.chromogen == StainProfile().chromogen
    assert "DAB_DEFAULT" in profile.flags
    assert "STAIN_NOT_H_DAB" not in profile.flags


def test_hematoxylin_and_eosin_is_told_from_h_dab():
    profile = fit_h_dab(pixels((0.65, 0.70, 0.29), (0.2159, 0.8012, 0.5581), second_share=0.6), BACKGROUND)
    assert "STAIN_NOT_H_DAB" in profile.flags


@pytest.mark.parametrize(
    "sample",
    [
        np.full((50_000, 3), 250, np.uint8),
        np.zeros((50_000, 3), np.uint8),
        np.empty((0, 3), np.uint8),
        np.full((50_000, 3), (100, 100, 100), np.uint8),
    ],
    ids=["blank", "black", "empty", "grey"],
)
def test_hopeless_samples_give_the_default_and_a_flag_never_nan(sample):
    profile = fit_h_dab(sample, BACKGROUND)
    assert profile.flags
    assert np.isfinite(profile.vectors).all()


def test_a_profile_survives_json():
    profile = fit_h_dab(pixels((0.65, 0.70, 0.29), (0.27, 0.57, 0.78)), BACKGROUND)
    assert StainProfile.from_json(json.loads(json.dumps(profile.to_json()))) == profile


def test_a_broken_profile_is_refused():
    with pytest.raises(SettingsError):
        StainProfile.from_json({"background": [255, 255]})


def test_real_slides_are_recognised(data_folder):
    from PIL import Image

    ihc = np.asarray(Image.open(data_folder / "ihc/ki67-shidc-sample/p1_0299_1.jpg").convert("RGB"))
    glas = np.asarray(Image.open(data_folder / "he/glas/images/testA_1.jpg").convert("RGB"))
    for image, is_h_dab in ((ihc, True), (glas, False)):
        sample = image.reshape(-1, 3)[::7]
        red, green, blue = (float(value) for value in np.percentile(sample, 99, axis=0))
        profile = fit_h_dab(sample, (red, green, blue))
        assert ("STAIN_NOT_H_DAB" not in profile.flags) == is_h_dab


def test_an_h_and_e_slide_gets_the_published_vectors_and_a_brown_one_a_warning():
    random = np.random.default_rng(4)
    amounts = random.uniform(0.2, 0.9, (5000, 2))
    for second, flags in (((0.2159, 0.8012, 0.5581), ()), ((0.27, 0.57, 0.78), ("STAIN_NOT_H_E",))):
        density = amounts @ np.array([(0.65, 0.70, 0.29), second])
        pixels = np.rint(255 * 10**-density).astype(np.uint8)
        profile = published_h_e(pixels)
        assert profile.flags == flags
        assert profile.second_stain == "eosin"
        assert StainProfile.from_json(profile.to_json()) == profile
    assert published_h_e(np.full((5000, 3), 250, np.uint8)).flags == ("STAIN_DEFAULT",)
    assert StainProfile().second_stain == "DAB"


@pytest.mark.parametrize("dab", [(0.27, 0.57, 0.78), (0.34, 0.60, 0.72)])
def test_counterstain_below_all_brown_does_not_raise_the_density_of_dab(dab):
    random = np.random.default_rng(5)
    hematoxylin = np.array([0.72, 0.61, 0.33]) / np.linalg.norm([0.72, 0.61, 0.33])
    brown = np.array(dab) / np.linalg.norm(dab)
    blue = random.uniform(0.2, 0.4, 20_000)  # the more it varies the more is left: 11 % for 0.1-0.6
    amount = np.where(random.random(20_000) < 0.4, random.uniform(0.2, 1.4, 20_000), 0.0)
    density = np.outer(blue, hematoxylin) + np.outer(amount, brown)
    density += random.normal(0, 0.01, density.shape)
    image = np.clip(np.rint(np.array(BACKGROUND) * 10.0**-density), 0, 255).astype(np.uint8)
    profile = fit_h_dab(image, BACKGROUND)
    read = unmix(image[None], profile)[1, 0]
    stained = amount > 0.3
    assert np.median(read[stained] / amount[stained]) == pytest.approx(1.0, abs=0.08)  # the extreme: 1.17
