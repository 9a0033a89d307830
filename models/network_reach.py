"""How far a network looks: measured, as architectures change and formulas for them are wrong."""

from __future__ import annotations

import torch
from torch import Tensor

from ..errors import SettingsError
from .network import CellNetwork, NetworkSettings

__all__ = ["measure_receptive_field"]

SMALLEST = 32
"""Side of the first image that is tried, strides."""
LARGEST = 128
"""Side of the last, strides."""


def measure_receptive_field(settings: NetworkSettings) -> int:
    """Return how far a pixel can be that changes an output, px along either axis.

    A line of pixels is made "not a number", which every sum, maximum and product hands on: the outputs that
    become so are those that the line reaches. Both axes and every position of the line within a stride are
    tried, and the farthest pixel of the farthest output counts, whether heat map, outline or class. Weights
    do not matter, so random ones are taken.

    Parameters
    ----------
    settings : NetworkSettings
        What the network is made of.

    Raises
    ------
    SettingsError
        If the network looks at the whole image, as squeeze-and-excitation and attention do: what it finds
        would depend on the tiling.
    """
    with torch.random.fork_rng(devices=[]):
        # Double precision is computed plainly: fast algorithms mix neighbours and would look farther.
        network = CellNetwork(settings).eval().double()
    strides = SMALLEST
    while strides <= LARGEST:
        reaches = [_reach(network, strides=strides, along=along) for along in (2, 3)]
        if None not in reaches:
            return max(reach for reach in reaches if reach is not None)
        strides *= 2
    raise SettingsError(
        f"a {settings.encoder} network sees {LARGEST * settings.stride // 2} px and farther",
        "Choose an encoder without global pooling or attention.",
    )


def _reach(network: CellNetwork, *, strides: int, along: int) -> int | None:
    """Return the reach along one axis (2 = rows, 3 = columns), None where it is more than half the image."""
    stride = network.settings.stride
    size = strides * stride
    middle = size // 2 + torch.arange(stride)
    images = torch.ones((stride, 3, size, stride), dtype=torch.float64)
    images[torch.arange(stride), :, middle] = torch.nan
    if along == 3:
        images = images.transpose(2, 3)
    touched = _touched(network, images)
    touched = touched.any(2) if along == 2 else touched.any(1)
    if bool(touched[:, 0].any() or touched[:, -1].any()):
        return None
    first = touched.int().argmax(1)
    last = touched.shape[1] - 1 - touched.flip(1).int().argmax(1)
    # A cell of the grid covers two pixels; the one that is farther away counts.
    return int(torch.maximum(middle - 2 * first, 2 * last + 1 - middle).max())


def _touched(network: CellNetwork, images: Tensor) -> Tensor:
    """Tell which cells of the stride-2 grid have any output that is not a number: (B, h, w)."""
    with torch.inference_mode():
        output = network(images)
        shape = output.heat[:, 0].shape
        places = torch.cartesian_prod(*(torch.arange(size) for size in shape))
        read = torch.cat(network.read(output.features, places), 1)
    touched: Tensor = output.heat.isnan().any(1) | read.isnan().any(1).reshape(shape)
    return touched
