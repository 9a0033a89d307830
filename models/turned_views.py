"""An image in its eight turns, and what a network says of them brought back: a mean, steadier than one."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["VIEWS", "turn_back_maps", "turn_back_radii", "turn_pixels", "turn_places"]

VIEWS = 8
"""Turns by quarters, and the same of the mirrored image. Number 0 is the image itself."""


def turn_pixels(pixels: Tensor, number: int) -> Tensor:
    """Mirror (B, H, W, C) pixels from left to right from number 4 on, then turn them by quarters."""
    mirrored = pixels.flip(2) if number >= VIEWS // 2 else pixels
    return torch.rot90(mirrored, number % 4, (1, 2)).contiguous()


def turn_back_maps(maps: Tensor, number: int) -> Tensor:
    """Bring (B, C, h, w) maps of a turned image back."""
    straight = torch.rot90(maps, -(number % 4), (2, 3))
    return straight.flip(3) if number >= VIEWS // 2 else straight


def turn_places(places: Tensor, number: int, *, height: int, width: int) -> Tensor:
    """Return where places of a map lie in the turned one.

    Parameters
    ----------
    places : (N, 3) long tensor
        Image, row and column.
    number : int
        Of the view.
    height, width : int
        Of the map before it is turned.
    """
    image, row, column = places.unbind(1)
    if number >= VIEWS // 2:
        column = width - 1 - column
    for _ in range(number % 4):
        row, column = width - 1 - column, row
        height, width = width, height
    return torch.stack([image, row, column], 1)


def turn_back_radii(radii: Tensor, number: int) -> Tensor:
    """Order the radii of outlines, (N, rays), as they were before the image was turned."""
    rays = radii.shape[1]
    ray = torch.arange(rays, device=radii.device)
    mirrored = rays // 2 - ray if number >= VIEWS // 2 else ray
    return radii[:, (mirrored - rays // 4 * (number % 4)) % rays]
