"""The student of a generator: close to its teacher, a function of colour, kept in the profile whole."""

from dataclasses import replace

import numpy as np
import pytest

from slidelab.errors import SettingsError
from slidelab.stain import (
    REFERENCE,
    DistilledTransfer,
    ToneTransfer,
    colour_distance,
    fit_colours,
    fit_normalizer,
    fit_student,
    is_alike,
    look_numbers,
    structure_kept,
)
from slidelab.stain.colour_lattice import ColourLattice


@pytest.fixture(scope="module")
def taught(he):
    """A student of a made-up teacher that moves colours smoothly."""
    windows = np.stack([he.paint(80 * 80, seed=seed).reshape(80, 80, 3) for seed in range(6)])
    profile = fit_colours(windows, "macenko", background=he.white)
    transfer = ToneTransfer(profile)
    after = teach(windows, transfer)
    return windows, after, transfer, fit_student(windows, after, transfer, teacher="made-up@1")


def teach(windows, transfer):
    white = np.array(transfer.source.background)
    density = np.maximum(0, -np.log10(np.maximum(windows.reshape(-1, 3), 1) / white))
    shown = transfer.density(density)
    shown = shown + 0.15 * np.sin(4 * density[:, [1, 2, 0]]) * np.minimum(
        1, density.mean(1, keepdims=True) * 8
    )
    return np.clip(np.rint(255 * 10 ** -np.maximum(shown, 0)), 0, 255).astype(np.uint8).reshape(windows.shape)


def test_a_student_comes_close_to_its_teacher_on_colours_it_has_not_seen(he, taught):
    _, _, transfer, student = taught
    fresh = he.paint(60 * 60, seed=99).reshape(1, 60, 60, 3)
    far = colour_distance(student.apply(fresh).reshape(-1, 3), teach(fresh, transfer).reshape(-1, 3))
    assert far.mean() < 1.0
    assert student.distance[0] < 1.2
    assert student.distance[0] <= student.distance[1] < 3.0


def test_a_student_beats_the_exchange_that_it_corrects(he, taught):
    windows, after, _, student = taught
    nothing = replace(student, corrections=ColourLattice(bytes(33**3 * 6)))
    flat = after.reshape(-1, 3)
    assert (
        colour_distance(student.apply(windows).reshape(-1, 3), flat).mean()
        < 0.5 * colour_distance(nothing.apply(windows).reshape(-1, 3), flat).mean()
    )


def test_a_student_leaves_glass_white_and_makes_numbers_of_any_colour(he, taught):
    student = taught[3]
    assert student.apply(np.array([[he.white]], np.uint8)).min() == 255
    every = np.stack(np.meshgrid(*[np.arange(0, 256, 15)] * 3), -1).reshape(1, -1, 3).astype(np.uint8)
    assert np.isfinite(student.recolour(every[0].astype(float))).all()
    assert student.halo == 0


def test_a_student_read_back_from_its_json_is_the_same(taught):
    student = taught[3]
    assert DistilledTransfer.from_json(student.to_json()) == student
    assert hash(student) == hash(DistilledTransfer.from_json(student.to_json()))


@pytest.mark.parametrize(
    "change",
    [
        {"corrections": "no lattice"},
        {"corrections": "eJwDAAAAAAE="},
        {"slide": 3},
        {"colour_distance_to_generator": {}},
    ],
)
def test_a_damaged_profile_is_refused_in_one_line(taught, change):
    with pytest.raises(SettingsError) as caught:
        DistilledTransfer.from_json(taught[3].to_json() | change)
    assert "\n" not in caught.value.what


def test_a_lattice_gives_back_smooth_functions_and_comes_to_rest_far_from_samples():
    random = np.random.default_rng(2)
    colours = random.integers(60, 200, (20_000, 3)).astype(np.uint8)
    values = np.stack([colours[:, 0] / 1000, -colours[:, 1] / 2000, np.full(len(colours), 0.05)], 1)
    lattice = ColourLattice.fit(colours, values, weights=np.ones(len(colours)))
    assert np.abs(lattice.at(colours.astype(float)) - values).max() < 0.02
    assert np.abs(lattice.at(np.array([[0.0, 255.0, 0.0], [255.0, 255.0, 255.0]]))).max() < 0.3
    assert ColourLattice.from_text(lattice.to_text()) == lattice


def test_the_curve_brings_middles_and_strengths_together(he):
    pixels = he.paint(strength=0.35)
    source = fit_colours(pixels, "macenko", background=he.white)
    transfer = ToneTransfer(source)
    density = -np.log10(np.maximum(pixels, 1) / np.array(he.white))
    shown = 255 * 10 ** -np.maximum(transfer.density(np.maximum(density, 0)), 0)
    found = fit_colours(np.rint(np.clip(shown, 0, 255)).astype(np.uint8), "macenko")
    assert found.strengths == pytest.approx(REFERENCE.strengths, rel=0.12)
    assert found.middles == pytest.approx(REFERENCE.middles, abs=0.06)


def test_without_middles_there_is_no_curve(he):
    source = fit_colours(he.paint(), "macenko", background=he.white)
    assert ToneTransfer(source, replace(REFERENCE, middles=None)).slopes == (1.0, 1.0)
    with pytest.raises(SettingsError, match="middles"):
        look_numbers(replace(source, middles=None))


def test_structure_follows_gain_and_offset_and_a_lie_is_seen(he_image, he):
    light = np.clip(he_image * 0.6 + 60, 0, 255).astype(np.uint8)
    assert structure_kept(he_image, light) > 0.98
    assert structure_kept(he_image, 255 - he_image) < -0.98
    shuffled = np.random.default_rng(0).permutation(he_image.reshape(-1, 3)).reshape(he_image.shape)
    assert abs(structure_kept(he_image, shuffled)) < 0.1
    assert structure_kept(np.full((20, 20, 3), 200, np.uint8), np.full((20, 20, 3), 90, np.uint8)) == 1.0
    assert is_alike(he_image, light, background=he.white)
    assert not is_alike(he_image, 255 - he_image, background=he.white)


def test_methods_of_networks_say_what_they_need(he):
    with pytest.raises(SettingsError, match="needs a network"):
        fit_normalizer(he.paint(), "distilled", background=he.white)
