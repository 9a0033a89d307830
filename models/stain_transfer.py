"""The exchange of stains as a function that gradients pass: what the generator corrects.

A look is what is known of a slide's stains in 10 numbers: vectors of hematoxylin and eosin (6, unit length),
their strengths (2, OD, the 99th percentiles of their amounts) and their middles (2, the medians as shares of
those).
"""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["GENTLEST", "LOOK_NUMBERS", "STEEPEST", "describe_looks", "stain_frames", "transfer_stains"]

LOOK_NUMBERS = 10
"""Numbers of a look: vectors 6, strengths 2, middles 2."""
GENTLEST, STEEPEST = 0.4, 2.5
"""Slopes of the tone curve at no stain, at least and at most: noise must not become tissue."""


def stain_frames(looks: Tensor) -> Tensor:
    """Return the three directions of looks, hematoxylin, eosin and what neither explains: (B, 3, 3), in rows.

    Parameters
    ----------
    looks : (B, 10) tensor
        See the module.
    """
    pair = looks[:, :6].reshape(-1, 2, 3)
    across = torch.linalg.cross(pair[:, 0], pair[:, 1])
    across = across / across.norm(dim=1, keepdim=True)
    return torch.cat([pair, across[:, None]], 1)


def transfer_stains(density: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Exchange stains: amounts of the source's, through a tone curve, shown in the target's.

    Parameters
    ----------
    density : (B, 3, H, W) tensor
        Optical density, base 10, under the source's white point.
    source, target : (B, 10) tensor
        Looks.

    Returns
    -------
    density : (B, 3, H, W) tensor
        In the target's look, under its white point; may be below 0.
    amounts : (B, 3, H, W) tensor
        Stains of the source as shares of their strengths, and the rest, OD.

    Notes
    -----
    The curve takes 0 to 0, 1 (the strength) to 1 and the source's middle to the target's, as far as its slope
    stays between ``GENTLEST`` and ``STEEPEST``; its inverse is the curve of the way back. What neither stain
    explains keeps its amount, so that nothing is lost and equal looks change nothing. Sums are written
    out: the last bits of a matrix product depend on the number of pixels.
    """
    inverse = torch.linalg.inv(stain_frames(source).double()).to(density.dtype)[..., None, None]
    frame = stain_frames(target)[..., None, None]
    red, green, blue = density.unbind(1)
    found = [red * inverse[:, 0, k] + green * inverse[:, 1, k] + blue * inverse[:, 2, k] for k in range(3)]
    slopes = _slopes(source[:, 8:], target[:, 8:])
    given = []
    for stain in range(2):
        found[stain] = found[stain] / source[:, 6 + stain, None, None]
        curved = _curve(found[stain], slopes[:, stain, None, None])
        given.append(curved * target[:, 6 + stain, None, None])
    given.append(found[2])
    shown = [
        given[0] * frame[:, 0, c] + given[1] * frame[:, 1, c] + given[2] * frame[:, 2, c] for c in range(3)
    ]
    return torch.stack(shown, 1), torch.stack(found, 1)


def describe_looks(source: Tensor, target: Tensor) -> Tensor:
    """Return what the generator is told of two looks, in numbers of like size: (B, 20)."""
    return torch.cat([_scaled(source), _scaled(target)], 1)


def _scaled(look: Tensor) -> Tensor:
    """Return a look with logarithms of its strengths and odds of its middles."""
    vectors, strengths, middles = look[:, :6], look[:, 6:8], look[:, 8:]
    return torch.cat([4.0 * (vectors - 0.5), strengths.log(), torch.logit(middles, eps=1e-3) + 1.0], 1)


def _slopes(source: Tensor, target: Tensor) -> Tensor:
    """Return the slopes at 0 of the curves that take middles to middles."""
    odds = (target * (1.0 - source)) / (source * (1.0 - target))
    return odds.clamp(GENTLEST, STEEPEST)


def _curve(amounts: Tensor, slope: Tensor) -> Tensor:
    """Return amounts along the curve; beyond 0 and 1 it goes on as a straight line."""
    inner = amounts.clamp(0.0, 1.0)
    within = slope * inner / (1.0 + (slope - 1.0) * inner)
    return within + slope * amounts.clamp(max=0.0) + (amounts - 1.0).clamp(min=0.0) / slope
