"""Small pictures and TIFF files that the tests write themselves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

APERIO = "Aperio Image Library v11.2.1 \r\n{0}x{1} (256x256) JPEG/RGB Q=30|AppMag = 20|MPP = 0.4990"


@pytest.fixture(scope="session")
def picture() -> Callable[..., np.ndarray]:
    """Make an (H, W, 3) uint8 picture: pink and blue blobs with fine grain, never uniform."""

    def make(width: int, height: int, seed: int = 0) -> np.ndarray:
        y, x = np.mgrid[:height, :width].astype(np.float32)
        waves = [
            np.sin(x / 17 + seed) + np.cos(y / 23),
            np.sin((x + y) / 31),
            np.cos(x / 11) * np.sin(y / 13),
        ]
        grain = np.random.default_rng(seed).integers(-12, 13, (height, width, 3))
        return np.clip(np.stack(waves, axis=-1) * 40 + (190, 140, 180) + grain, 0, 255).astype(np.uint8)

    return make


@pytest.fixture
def write_tiff(tmp_path: Path) -> Callable[..., Path]:
    """Write a tiled pyramid of every second pixel of the level before; return its path."""

    def write(image: np.ndarray, *, name: str = "made.tif", levels: int = 2, **options: object) -> Path:
        path = tmp_path / name
        options = {"tile": (128, 144), "photometric": "rgb", "metadata": None, **options}
        file = {key: options.pop(key) for key in ("bigtiff", "byteorder") if key in options}
        with tifffile.TiffWriter(path, **file) as tiff:
            for level in range(levels):
                tiff.write(image[:: 2**level, :: 2**level], subfiletype=int(level > 0), **options)
        return path

    return write


@pytest.fixture
def write_ome(tmp_path: Path) -> Callable[..., Path]:
    """Write an OME-TIFF whose reduced levels hang below the first (SubIFDs)."""

    def write(image: np.ndarray, *, name: str = "made.ome.tif", levels: int = 3, **options: object) -> Path:
        path = tmp_path / name
        about = {
            "axes": "YXS",
            "PhysicalSizeX": 0.25,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.25,
            "PhysicalSizeYUnit": "µm",
        }
        options = {"tile": (128, 144), "photometric": "rgb", **options}
        with tifffile.TiffWriter(path, ome=True) as tiff:
            tiff.write(image, subifds=levels - 1, metadata=about, **options)
            for level in range(1, levels):
                tiff.write(image[:: 2**level, :: 2**level], subfiletype=1, metadata=None, **options)
        return path

    return write
