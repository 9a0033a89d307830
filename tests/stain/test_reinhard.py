"""Reinhard's transfer against its equations, worked by hand."""

import json

import numpy as np
import pytest

from slidelab.errors import SettingsError
from slidelab.stain import ColourStatistics, fit_normalizer
from slidelab.stain.reinhard import fit_reinhard, lab_to_rgb, rgb_to_lab
from slidelab.stain.transfer import ColourTransfer


def test_grey_has_the_lightness_that_the_equations_give():
    # LMS of a grey g: .9996 g, .9993 g, .9973 g; l = (ln L + ln M + ln S) / sqrt 3.
    sums = np.log([0.9996 * 160, 0.9993 * 160, 0.9973 * 160])
    lab = rgb_to_lab(np.full((1, 3), 160.0))[0]
    assert lab[0] == pytest.approx(sums.sum() / 3**0.5, abs=1e-9)
    assert lab[1] == pytest.approx((sums[0] + sums[1] - 2 * sums[2]) / 6**0.5, abs=1e-9)
    assert lab[2] == pytest.approx((sums[0] - sums[1]) / 2**0.5, abs=1e-9)


def test_the_reference_lightness_is_a_mid_grey_on_the_scale_of_255():
    # HistomicsTK's 8.74108 is exp(8.74108 / sqrt 3) = 155.6 on all cones: natural logarithms of 0-255.
    assert lab_to_rgb(np.array([[8.74108, 0.0, 0.0]]))[0].mean() == pytest.approx(155.6, abs=1.5)


def test_there_and_back_is_where_it_was():
    colours = np.random.default_rng(1).uniform(1, 255, (500, 3))
    assert np.abs(lab_to_rgb(rgb_to_lab(colours)) - colours).max() < 1e-9


def test_black_is_finite():
    assert np.isfinite(rgb_to_lab(np.zeros((1, 3)))).all()


def test_stained_pixels_get_mean_and_spread_of_the_target(he):
    pixels = he.paint()
    target = ColourStatistics((8.6, -0.08, 0.05), (0.3, 0.05, 0.02))
    normalizer = fit_normalizer(pixels, "reinhard", target=target, background=he.white)
    lab = rgb_to_lab(normalizer.recolour(pixels.astype(float)))
    assert lab.mean(axis=0) == pytest.approx(target.mean, abs=0.02)
    assert lab.std(axis=0) == pytest.approx(target.spread, rel=0.1, abs=0.004)


def test_a_stained_pixel_follows_the_equation_and_glass_becomes_white(he):
    source = ColourStatistics((8.5, -0.1, 0.03), (0.4, 0.08, 0.03), he.white)
    transfer = ColourTransfer(source)
    pixel = np.array([[150.0, 90.0, 160.0]])
    lab = rgb_to_lab(pixel)[0]
    scale = np.array([0.61354, 0.10990, 0.02860]) / source.spread
    moved = (lab - source.mean) * scale + np.array([8.74108, -0.12440, 0.04450])
    assert transfer.recolour(pixel)[0] == pytest.approx(np.clip(lab_to_rgb(moved[None])[0], 0, 255), abs=1e-9)
    assert transfer.recolour(np.array([he.white]))[0] == pytest.approx((255, 255, 255), abs=1e-9)


def test_from_tissue_to_glass_there_is_no_step(he):
    transfer = fit_normalizer(he.paint(), "reinhard", background=he.white)
    ramp = np.array(he.white) * 10.0 ** -np.outer(np.linspace(0.0, 0.2, 400), (0.9, 1.2, 0.9))
    steps = np.abs(np.diff(transfer.recolour(ramp), axis=0)).max()
    assert steps < 4  # grey levels, for 0.0005 OD a step


def test_statistics_survive_json_and_broken_ones_are_refused(he):
    found = fit_reinhard(he.paint(), he.white)
    assert ColourStatistics.from_json(json.loads(json.dumps(found.to_json()))) == found
    for broken in ({}, {**found.to_json(), "mean": [1, 2]}, {**found.to_json(), "spread": [1, 2, -1]}):
        with pytest.raises(SettingsError):
            ColourStatistics.from_json(broken)
