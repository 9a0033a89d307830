"""What generator and critic are punished for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["critic_loss", "darkness", "fooling_loss", "structure_loss"]

WINDOW = 7
"""Side of the window in which lightness is compared, px."""
FAINT = 0.015**2
"""Variance of darkness below which a window counts as even: 4 grey levels."""
WEIGHTS = (0.299, 0.587, 0.114)
"""Of red, green and blue in lightness (ITU-R BT.601)."""


def darkness(density: Tensor) -> Tensor:
    """Return optical density, base 10, as darkness: 0 white, 1 black; same shape."""
    return 1.0 - torch.exp(density * -2.302585)


def fooling_loss(judged: Tensor) -> Tensor:
    """Return the generator's price of being found out (least squares): ``E (D - 1)^2``."""
    return ((judged - 1.0) ** 2).mean()


def critic_loss(real: Tensor, made: Tensor) -> Tensor:
    """Return the critic's price: ``(E (D(real) - 1)^2 + E D(made)^2) / 2`` (Mao 2017, Zhu 2017)."""
    return 0.5 * ((real - 1.0) ** 2).mean() + 0.5 * (made**2).mean()


def structure_loss(before: Tensor, after: Tensor) -> Tensor:
    """Return 1 less the local correlation of lightness before and after, weighted by local contrast.

    Parameters
    ----------
    before, after : (B, 3, H, W) tensor
        Darkness. Gain and offset of the lightness of a window do not count: a look may change those.
    """
    first, second = (_light(image) for image in (before, after))
    mean_1, mean_2 = _mean(first), _mean(second)
    var_1 = (_mean(first * first) - mean_1**2).clamp(min=0.0)
    var_2 = (_mean(second * second) - mean_2**2).clamp(min=0.0)
    both = _mean(first * second) - mean_1 * mean_2
    return 1.0 - ((both + FAINT) / (torch.sqrt((var_1 + FAINT) * (var_2 + FAINT)))).mean()


def _light(image: Tensor) -> Tensor:
    """Return lightness (B, 1, H, W), here of darkness."""
    weights = image.new_tensor(WEIGHTS).reshape(1, 3, 1, 1)
    return (image * weights).sum(1, keepdim=True)


def _mean(image: Tensor) -> Tensor:
    """Return the mean around each pixel."""
    return functional.avg_pool2d(image, WINDOW, stride=1)
