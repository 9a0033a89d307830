"""Separation by published vectors, against QuPath's and scikit-image's worked values."""

import numpy as np
import pytest

from slidelab.stain import H_DAB, H_E, H_E_DAB, StainSet, separate_stains

BROWN = np.array([[[150, 110, 70]]], np.uint8)
BLUE = np.array([[[120, 90, 160]]], np.uint8)


@pytest.mark.parametrize(("pixel", "expected"), [(BROWN, (0.0127, 0.6959)), (BLUE, (0.5193, 0.0873))])
def test_h_dab_equals_qupath(pixel, expected):
    assert separate_stains(pixel, H_DAB)[:, 0, 0] == pytest.approx(expected, abs=5e-4)


def test_residual_of_a_brown_pixel_equals_qupaths():
    density = -np.log10(np.array([150, 110, 70]) / 255.0)
    assert (density @ H_DAB.matrix)[2] == pytest.approx(0.0550, abs=5e-4)


def test_h_e_dab_equals_scikit_image_once_lengths_and_unit_are_its_own():
    from skimage.color import rgb2hed

    image = np.random.default_rng(1).integers(1, 256, (40, 50, 3), dtype=np.uint8)
    ours = separate_stains(image, H_E_DAB) / H_E_DAB.lengths[:, None, None]
    assert np.abs(ours - np.moveaxis(rgb2hed(image) * 6.0, 2, 0)).max() < 1e-5
    # The worked value: H .0708, E 0, DAB .7058.
    brown = separate_stains(BROWN, H_E_DAB)[:, 0, 0] / H_E_DAB.lengths
    assert brown == pytest.approx((0.0708, 0.0, 0.7058), abs=5e-4)


@pytest.mark.parametrize("stains", [H_E, H_DAB, H_E_DAB], ids=lambda stains: "+".join(stains.names))
def test_a_pixel_of_one_stain_unmixes_to_that_stain(stains):
    unit = np.array(stains.vectors) / stains.lengths[:, None]
    for number, vector in enumerate(unit):
        pixel = np.rint(255 * 10 ** -(0.5 * vector)).astype(np.uint8)[None, None]
        found = separate_stains(pixel, stains)[:, 0, 0]
        expected = np.where(np.arange(len(unit)) == number, 0.5, 0.0)
        assert found == pytest.approx(expected, abs=0.01)


def test_glass_has_no_stain_whatever_its_colour():
    glass = np.full((3, 3, 3), (240, 235, 243), np.uint8)
    assert (separate_stains(glass, H_E_DAB, background=(240.0, 235.0, 243.0)) == 0).all()


def test_separation_does_not_depend_on_tiling_or_layout():
    image = np.random.default_rng(2).integers(0, 256, (201, 333, 3), dtype=np.uint8)
    whole = separate_stains(image, H_E)
    assert np.array_equal(separate_stains(image[17:180, 40:301], H_E), whole[:, 17:180, 40:301])
    assert np.array_equal(separate_stains(image.reshape(-1, 3), H_E), whole.reshape(2, -1))


def test_parallel_vectors_cannot_be_unmixed():
    with pytest.raises(np.linalg.LinAlgError):
        separate_stains(BROWN, StainSet(("a", "b", "c"), ((1.0, 0, 0), (1.0, 0, 0), (0, 1.0, 0)), "nobody"))
