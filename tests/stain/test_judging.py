"""Figures that judge a normalisation."""

import numpy as np
import pytest

from slidelab.stain import likeness, normalised_median_intensity


def test_median_over_95th_percentile():
    # Intensities 1..100 as grey pixels: median 50.5, 95th percentile 95.05.
    pixels = np.repeat(np.arange(1, 101, dtype=np.uint8)[:, None], 3, axis=1)
    assert normalised_median_intensity(pixels) == pytest.approx(50.5 / 95.05)


def test_no_pixels_have_no_median():
    assert np.isnan(normalised_median_intensity(np.empty((0, 3), np.uint8)))


def test_an_image_is_wholly_like_itself_and_not_like_noise(he_image):
    noise = np.random.default_rng(1).integers(0, 256, he_image.shape, dtype=np.uint8)
    assert likeness(he_image, he_image) == pytest.approx(1.0)
    assert likeness(he_image, noise) < 0.2
