"""How far a tissue network looks: measured, as architectures change and formulas for them are wrong."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ..errors import SettingsError
from .tissue_network import GLAND_STRIDE, TissueNetwork, TissueSettings

__all__ = ["measure_tissue_reach"]

SMALLEST, LARGEST = 32, 128
"""Sides of the first and the last image that is tried, strides."""


def measure_tissue_reach(settings: TissueSettings) -> int:
    """Return how far from a place's pixels another pixel can be that changes its maps, px along either axis.

    A line of pixels is made "not a number", which every sum, maximum and product hands on: the places whose
    maps become so are those that the line reaches. Both axes and every position of the line within a stride
    are tried. Neither weights nor the number of channels matter, so a network of the same shape with a
    single channel is taken: a tenth of a second in place of minutes.

    Parameters
    ----------
    settings : TissueSettings
        What the network is made of.

    Raises
    ------
    SettingsError
        If the network looks at the whole image, as squeeze-and-excitation and attention do.
    """
    with torch.random.fork_rng(devices=[]):
        network = TissueNetwork(settings).eval()
    _simplify(network)
    strides = SMALLEST
    while strides <= LARGEST:
        reaches = [_reach(network.double(), strides=strides, along=along) for along in (2, 3)]
        if None not in reaches:
            return max(reach for reach in reaches if reach is not None)
        strides *= 2
    raise SettingsError(
        f"a {settings.encoder} network sees {LARGEST * settings.stride // 2} px and farther",
        "Choose an encoder without global pooling or attention.",
    )


def _simplify(network: nn.Module) -> None:
    """Replace each convolution by one of the same shape with one channel, in place; batch norms go."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.Conv2d):
                plain = nn.Conv2d(
                    1,
                    1,
                    child.kernel_size,  # type: ignore[arg-type]
                    child.stride,  # type: ignore[arg-type]
                    child.padding,  # type: ignore[arg-type]
                    child.dilation,  # type: ignore[arg-type]
                    bias=False,
                )
                nn.init.ones_(plain.weight)
                setattr(module, name, plain)
            elif isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())


def _reach(network: TissueNetwork, *, strides: int, along: int) -> int | None:
    """Return the reach along one axis (2 = rows, 3 = columns), None where it is more than half the image."""
    stride = network.settings.stride
    size = strides * stride
    middle = size // 2 + torch.arange(stride)
    images = torch.ones((stride, 1, size, stride), dtype=torch.float64)
    images[torch.arange(stride), :, middle] = torch.nan
    if along == 3:
        images = images.transpose(2, 3)
    with torch.inference_mode():
        output = network(images)
    maps = ((output.classes, stride), (output.glands, GLAND_STRIDE))
    found = [_farthest(map_, middle, cell=cell, along=along) for map_, cell in maps]
    return None if None in found else max(reach for reach in found if reach is not None)


def _farthest(values: Tensor, middle: Tensor, *, cell: int, along: int) -> int | None:
    """Return the distance from a line to the farthest pixel of the farthest cell that it changed."""
    touched = values.isnan().any(1)
    touched = touched.any(2) if along == 2 else touched.any(1)
    if bool(touched[:, 0].any() or touched[:, -1].any()):
        return None
    first = touched.int().argmax(1)
    last = touched.shape[1] - 1 - touched.flip(1).int().argmax(1)
    before, after = middle - cell * first, cell * last + cell - 1 - middle
    return int(torch.maximum(before, after).max())
