"""A stain generator ready to recolour images of one slide: any size, the same pixels however they are cut."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .folding import steady_convolutions
from .session import DeviceSession, SessionSettings
from .stain_generator import FixedGenerator, StainGenerator

__all__ = ["StainSession"]

BLOCK = 512
"""Side of what is computed at once, px: its features stay small."""


class StainSession(DeviceSession):
    """Runs a generator for one slide and one target.

    Parameters
    ----------
    generator : StainGenerator
        With its weights.
    source, target : (10,) float array
        Looks (`transfer_stains`).
    white, target_white : (red, green, blue)
        White points, 1-255.
    device : str
        ``auto``, ``cpu``, ``cuda``.
    """

    def __init__(
        self,
        generator: StainGenerator,
        *,
        source: NDArray[np.float64],
        target: NDArray[np.float64],
        white: tuple[float, float, float],
        target_white: tuple[float, float, float] = (255.0, 255.0, 255.0),
        device: str = "auto",
    ) -> None:
        looks = (torch.from_numpy(np.asarray(look, np.float32)) for look in (source, target))
        fixed = FixedGenerator(generator.eval(), *looks)
        steady_convolutions(fixed)
        self.reach = generator.settings.reach
        self._tables = density_tables(white)
        # Colours must not lose bits: bfloat16 has 8 of them.
        super().__init__(fixed, SessionSettings(device=device, half=False))
        self._light = torch.tensor(target_white, dtype=torch.float32, device=self.device).reshape(3, 1, 1)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold a card; on a processor each thread computes for itself, with one core."""
        if self.device.type != "cpu":
            with super().turn():
                yield
            return
        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            with torch.inference_mode():
                yield
        finally:
            torch.set_num_threads(threads)

    def recolour(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return an image (H, W, 3) in the target's look; beyond its border is glass."""
        height, width = image.shape[:2]
        made = np.empty_like(image)
        reach = self.reach
        with self.turn():
            for top in range(0, height, BLOCK):
                for left in range(0, width, BLOCK):
                    bottom, right = min(top + BLOCK, height), min(left + BLOCK, width)
                    density = self._density(image, (top - reach, left - reach, bottom + reach, right + reach))
                    made[top:bottom, left:right] = self._pixels(self._forward(density.to(self.device)))
        return made

    def _density(self, image: NDArray[np.uint8], box: tuple[int, int, int, int]) -> Tensor:
        """Return the density of a window (1, 3, h, w), channels last; 0 beyond the image."""
        top, left, bottom, right = box
        height, width = image.shape[:2]
        rows, columns = slice(max(top, 0), min(bottom, height)), slice(max(left, 0), min(right, width))
        density = np.zeros((bottom - top, right - left, 3), np.float32)
        inside = density[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]
        for channel in range(3):
            inside[..., channel] = self._tables[channel][image[rows, columns, channel]]
        return torch.from_numpy(density).permute(2, 0, 1)[None]

    def _pixels(self, density: Tensor) -> NDArray[np.uint8]:
        """Return densities as pixels."""
        light = self._light * torch.exp(density[0] * float(-np.log(10.0)))
        pixels = light.clamp(0.0, 255.0).round().to(torch.uint8)
        return pixels.permute(1, 2, 0).cpu().numpy()


def density_tables(white: tuple[float, float, float]) -> NDArray[np.float32]:
    """Return the optical density, base 10, of each of the 256 values per channel: (3, 256)."""
    values = np.maximum(np.arange(256, dtype=np.float64), 1.0)
    density: NDArray[np.float64] = -np.log10(values / np.array(white).reshape(3, 1))
    return np.maximum(0.0, density).astype(np.float32)
