"""Macenko's vectors against the formulas of torchstain and TIAToolbox, and against known stains."""

import numpy as np
import pytest

from slidelab.stain.macenko import fit_macenko, macenko_vectors
from slidelab.stain.profile import angle_deg


def torchstain_vectors(density, alpha=1):
    """The formula of torchstain 1.4.1, written out: eigenvectors as they come, whatever their sign."""
    _, axes = np.linalg.eigh(np.cov(density.T))
    axes = axes[:, 1:3]
    projected = density @ axes
    angles = np.arctan2(projected[:, 1], projected[:, 0])
    low, high = np.percentile(angles, alpha), np.percentile(angles, 100 - alpha)
    ends = [axes @ np.array([np.cos(angle), np.sin(angle)]) for angle in (low, high)]
    return np.array(ends if ends[0][0] > ends[1][0] else ends[::-1])


def tiatoolbox_vectors(density, percentile=99):
    """The formula of TIAToolbox 2.1, written out: signs by the first component."""
    _, axes = np.linalg.eigh(np.cov(density, rowvar=False))
    axes = axes[:, [2, 1]]
    for column in (0, 1):
        if axes[0, column] < 0:
            axes[:, column] *= -1
    projected = density @ axes
    angles = np.arctan2(projected[:, 1], projected[:, 0])
    ends = [
        axes @ np.array([np.cos(angle), np.sin(angle)])
        for angle in (np.percentile(angles, 100 - percentile), np.percentile(angles, percentile))
    ]
    both = np.array(ends if ends[0][0] > ends[1][0] else ends[::-1])
    return both / np.linalg.norm(both, axis=1, keepdims=True)


def dense(pixels):
    density = -np.log((pixels.astype(float) + 1) / 240)
    return density[~np.any(density < 0.15, axis=1)]


@pytest.mark.parametrize("seed", range(4))
def test_vectors_equal_tiatoolbox_on_its_own_densities(he, seed):
    density = dense(he.paint(seed=seed))
    assert np.abs(macenko_vectors(density) - tiatoolbox_vectors(density)).max() < 1e-12


@pytest.mark.parametrize("seed", range(4))
def test_vectors_equal_torchstain_on_its_own_densities_up_to_its_open_signs(he, seed):
    density = dense(he.paint(seed=seed))
    theirs = torchstain_vectors(density)
    if (theirs.sum(axis=1) < 0).any():
        pytest.skip("this linear algebra left the eigenvectors pointing away from the pixels")
    assert np.abs(macenko_vectors(density) - theirs).max() < 1e-9


def test_vectors_equal_the_torchstain_package(he_image):
    torchstain = pytest.importorskip("torchstain.numpy.normalizers")
    peer = torchstain.NumpyMacenkoNormalizer()
    peer.fit(he_image)
    assert np.abs(macenko_vectors(dense(he_image.reshape(-1, 3))) - peer.HERef.T).max() < 1e-9


def test_vectors_equal_the_tiatoolbox_package(he_image):
    extract = pytest.importorskip("tiatoolbox.tools.stainextract")
    theirs = extract.MacenkoExtractor().get_stain_matrix(he_image)
    mask = extract.get_luminosity_tissue_mask(he_image, threshold=0.8)
    density = extract.rgb2od(he_image)[mask]
    assert np.abs(macenko_vectors(density) - theirs).max() < 1e-9


def test_known_stains_are_found_within_four_degrees(he):
    profile = fit_macenko(he.paint(), he.white)
    assert (profile.source, profile.flags, profile.second_stain) == ("macenko", (), "eosin")
    assert angle_deg(profile.hematoxylin, he.hematoxylin) < 4
    assert angle_deg(profile.chromogen, he.eosin) < 4


def test_strengths_are_99th_percentiles_of_the_amounts(he):
    # Amounts drawn evenly from 0 to 1 for either stain alone: the 99th percentile is near 0.98 of all pixels.
    random = np.random.default_rng(3)
    vectors = np.array([he.hematoxylin, he.eosin]) / np.linalg.norm(
        [he.hematoxylin, he.eosin], axis=1, keepdims=True
    )
    amounts = random.uniform(0.2, 1.0, (60_000, 2))
    amounts[::2, 0], amounts[1::2, 1] = 0.0, 0.0
    pixels = np.rint(np.array(he.white) * 10.0 ** -(amounts @ vectors)).astype(np.uint8)
    profile = fit_macenko(pixels, he.white)
    assert profile.strengths == pytest.approx((0.984, 0.984), abs=0.05)


def test_a_fit_does_not_depend_on_glass_in_the_sample(he):
    pixels = he.paint(20_000)
    glass = np.full((60_000, 3), (242, 240, 244), np.uint8)
    assert fit_macenko(np.concatenate([glass, pixels]), he.white) == fit_macenko(pixels, he.white)


@pytest.mark.parametrize("density", [np.empty((0, 3)), np.ones((1, 3)), np.full((900, 3), 0.4)])
def test_pixels_without_spread_give_nan_vectors_and_no_error(density):
    assert np.isnan(macenko_vectors(density)).all()
