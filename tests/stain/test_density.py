"""Optical density and unmixing, against the published worked values."""

import numpy as np
import pytest

from slidelab.stain import StainProfile, density_to_rgb, rgb_to_density, unmix, unmixing_matrix

WHITE = (255.0, 255.0, 255.0)


def test_density_of_a_brown_pixel_is_minus_log10_of_its_transmission():
    # -log10(150/255) = 0.2304, -log10(110/255) = 0.3651, -log10(70/255) = 0.5614
    density = rgb_to_density(np.array([[150, 110, 70]], np.uint8), WHITE)
    assert density[0] == pytest.approx([0.2304, 0.3651, 0.5614], abs=5e-5)


def test_black_is_finite_and_brighter_than_white_is_zero():
    density = rgb_to_density(np.array([[0, 255, 250]], np.uint8), (240.0, 240.0, 240.0))
    assert density[0] == pytest.approx([np.log10(240), 0.0, 0.0], abs=1e-6)


def test_brown_pixel_unmixes_as_qupath_does():
    # QuPath's H-DAB default on RGB 150, 110, 70: H 0.0127, DAB 0.6959, residual 0.0550
    vectors = np.array([(0.65, 0.70, 0.29), (0.27, 0.57, 0.78)])
    density = rgb_to_density(np.array([[150, 110, 70]], np.uint8), WHITE).astype(float)
    concentrations = density @ unmixing_matrix(vectors)
    assert concentrations[0] == pytest.approx([0.0127, 0.6959, 0.0550], abs=5e-4)


@pytest.mark.parametrize(
    ("rgb", "hematoxylin", "dab"), [((150, 110, 70), 0.0127, 0.6959), ((120, 90, 160), 0.5193, 0.0873)]
)
def test_unmix_gives_qupaths_densities(rgb, hematoxylin, dab):
    densities = unmix(np.full((2, 3, 3), rgb, np.uint8), StainProfile())
    assert densities.shape == (2, 2, 3)
    assert densities[0] == pytest.approx(hematoxylin, abs=5e-4)
    assert densities[1] == pytest.approx(dab, abs=5e-4)


def test_white_has_no_stain():
    assert (unmix(np.full((4, 4, 3), 255, np.uint8), StainProfile()) == 0).all()


def test_unmixing_a_pixel_does_not_depend_on_its_neighbours():
    image = np.random.default_rng(1).integers(0, 256, (64, 48, 3), dtype=np.uint8)
    whole = unmix(image, StainProfile(background=(240.0, 238.0, 245.0)))
    part = unmix(image[10:31, 5:40], StainProfile(background=(240.0, 238.0, 245.0)))
    assert np.array_equal(whole[:, 10:31, 5:40], part)


def test_density_and_colour_are_inverse():
    density = np.random.default_rng(2).uniform(0, 1, (100, 3))
    back = rgb_to_density(density_to_rgb(density, (250.0, 245.0, 240.0)), (250.0, 245.0, 240.0))
    assert np.abs(back - density).max() < 0.02  # one grey level at OD 1 is 0.018
