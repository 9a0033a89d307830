"""The sparse factorisation: exact codes, a minimum that alternation does not beat, known stains found."""

import numpy as np
import pytest
from scipy.optimize import check_grad, nnls

from slidelab.stain.concentration import sparse_codes
from slidelab.stain.profile import angle_deg
from slidelab.stain.vahadane import _price, fit_vahadane, vahadane_vectors

SPARSITY = 0.1 / np.log(10)


def densities(he, **settings):
    pixels = he.paint(8_000, **settings)
    return -np.log10(np.maximum(pixels, 1) / np.array(he.white))


def cost(density, vectors, codes):
    return 0.5 * ((density - codes @ vectors) ** 2).sum() + SPARSITY * codes.sum()


def test_codes_are_the_exact_minimum():
    # |v - hW|^2 / 2 + s (h1 + h2) is |b - L'h|^2 / 2 up to a constant, with W W' = L L' and L b = W v - s:
    # scipy's non-negative least squares solves that.
    random = np.random.default_rng(0)
    for _ in range(5):
        vectors = np.abs(random.normal(size=(2, 3)))
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        density = random.normal(0.2, 0.4, (300, 3))
        codes = sparse_codes(density, vectors, sparsity=0.05)
        lower = np.linalg.cholesky(vectors @ vectors.T)
        for value, code in zip(density, codes, strict=True):
            expected, _ = nnls(lower.T, np.linalg.solve(lower, vectors @ value - 0.05))
            assert code == pytest.approx(expected, abs=1e-12)


def test_without_a_price_and_inside_the_cone_codes_are_least_squares(he):
    vectors = np.array([he.hematoxylin, he.eosin]) / np.linalg.norm(
        [he.hematoxylin, he.eosin], axis=1, keepdims=True
    )
    amounts = np.random.default_rng(1).uniform(0.1, 1, (100, 2))
    assert np.abs(sparse_codes(amounts @ vectors, vectors, sparsity=0.0) - amounts).max() < 1e-12


def test_the_slope_of_the_price_is_that_of_its_value(he):
    density = densities(he)[:500]
    angles = np.array([0.8, 0.3, 1.2, 0.5])
    error = check_grad(
        lambda x: _price(x, density, SPARSITY)[0], lambda x: _price(x, density, SPARSITY)[1], angles
    )
    assert error < 1e-6


@pytest.mark.parametrize("seed", range(3))
def test_alternation_from_random_starts_finds_no_lower_minimum(he, seed):
    density = densities(he, seed=seed)
    ours = vahadane_vectors(density)
    best = cost(density, ours, sparse_codes(density, ours, sparsity=SPARSITY))
    random = np.random.default_rng(seed)
    for _ in range(3):
        vectors = random.uniform(0.1, 1, (2, 3))
        for _ in range(200):
            vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
            codes = sparse_codes(density, vectors, sparsity=SPARSITY)
            gram, mixed = codes.T @ codes, codes.T @ density
            for row in (0, 1):  # coordinate descent on the dictionary (Mairal 2010)
                step = (mixed[row] - gram[row] @ vectors) / max(gram[row, row], 1e-9)
                vectors[row] = np.maximum(vectors[row] + step, 0.0)
        vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
        rival = cost(density, vectors, sparse_codes(density, vectors, sparsity=SPARSITY))
        assert best <= rival * (1 + 1e-4)


def test_scikit_learn_finds_no_lower_minimum(he):
    decomposition = pytest.importorskip("sklearn.decomposition")
    density = densities(he)[:2000]
    learner = decomposition.DictionaryLearning(
        2, alpha=SPARSITY, max_iter=300, positive_code=True, positive_dict=True, fit_algorithm="cd",
        transform_algorithm="lasso_cd", random_state=0,
    )  # fmt: skip
    rival = learner.fit(density).components_
    rival = rival / np.linalg.norm(rival, axis=1, keepdims=True)
    ours = vahadane_vectors(density)
    costs = [cost(density, each, sparse_codes(density, each, sparsity=SPARSITY)) for each in (ours, rival)]
    assert costs[0] <= costs[1] * (1 + 1e-4)


def test_known_sparse_stains_are_found(he):
    profile = fit_vahadane(he.paint(), he.white)
    assert (profile.source, profile.flags) == ("vahadane", ())
    assert angle_deg(profile.hematoxylin, he.hematoxylin) < 7
    assert angle_deg(profile.chromogen, he.eosin) < 7
    assert (np.array([profile.hematoxylin, profile.chromogen]) >= 0).all()


def test_two_fits_are_the_same_to_the_last_bit(he):
    assert fit_vahadane(he.paint(), he.white) == fit_vahadane(he.paint(), he.white)


def test_no_pixels_give_nan_and_no_error():
    assert np.isnan(vahadane_vectors(np.empty((0, 3)))).all()
