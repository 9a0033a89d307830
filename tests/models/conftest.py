"""Small painted images with known nuclei, for the tests of training and of annotations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from slidelab.models import LabelledImage

Paint = Callable[..., LabelledImage]


def discs(places: np.ndarray, *, radius: float, side: int) -> np.ndarray:
    """Instance map of discs."""
    rows, columns = np.mgrid[:side, :side] + 0.5
    instances = np.zeros((side, side), np.int32)
    for number, (x, y) in enumerate(places, 1):
        instances[np.hypot(columns - x, rows - y) < radius] = number
    return instances


@pytest.fixture
def paint(tmp_path: Path) -> Paint:
    """Paint blue and brown nuclei on glass; the returned image knows all of them."""

    def make(
        name: str = "painted", *, side: int = 160, mpp: float = 0.5, seed: int = 1, **changes: Any
    ) -> LabelledImage:
        random = np.random.default_rng(seed)
        grid = np.mgrid[14 : side - 10 : 24, 14 : side - 10 : 24].reshape(2, -1).T
        places = grid + random.uniform(-4, 4, grid.shape)
        instances = discs(places, radius=6.0, side=side)
        positive = random.random(len(places)) < 0.5
        pixels = np.full((side, side, 3), 240, np.uint8)
        pixels[(instances > 0) & np.isin(instances, np.flatnonzero(positive) + 1)] = (110, 70, 40)
        pixels[(instances > 0) & np.isin(instances, np.flatnonzero(~positive) + 1)] = (90, 100, 170)
        path = tmp_path / f"{name}.png"
        Image.fromarray(pixels).save(path)
        facts: dict[str, Any] = {
            "x": places[:, 0],
            "y": places[:, 1],
            "labels": np.where(positive, "Positive", "Negative"),
            "instance_ids": np.arange(1, len(places) + 1, dtype=np.int32),
            "load_instances": partial(discs, places, radius=6.0, side=side),
        }
        return LabelledImage("painted", name, name, path, mpp, **(facts | changes))

    return make
