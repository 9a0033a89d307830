"""Painted H&E whose stains are known."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from slidelab.stain import density_to_rgb

HEMATOXYLIN = (0.60, 0.72, 0.35)
EOSIN = (0.20, 0.84, 0.50)
WHITE = (242.0, 240.0, 244.0)


def paint(count=40_000, *, first=HEMATOXYLIN, second=EOSIN, strength=0.5, share=0.6, seed=0, white=WHITE):
    """Pixels of two stains: nuclei with a little eosin, stroma with a little hematoxylin; no glass."""
    random = np.random.default_rng(seed)
    vectors = np.array([first, second], float)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    amounts = random.gamma(5, strength / 5, (count, 2))
    is_second = random.random(count) < share
    amounts[is_second, 0] *= random.uniform(0.0, 0.25, is_second.sum())
    amounts[~is_second, 1] *= random.uniform(0.0, 0.25, (~is_second).sum())
    return density_to_rgb(amounts @ vectors + random.normal(0, 0.003, (count, 3)), white)


@pytest.fixture(scope="session")
def he():
    """The painter and the true colours of what it paints."""
    vectors = np.array([HEMATOXYLIN, EOSIN])
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return SimpleNamespace(paint=paint, hematoxylin=HEMATOXYLIN, eosin=EOSIN, vectors=vectors, white=WHITE)


@pytest.fixture(scope="session")
def he_image():
    """One painted image, 160 x 250 px."""
    return paint(40_000).reshape(160, 250, 3)
