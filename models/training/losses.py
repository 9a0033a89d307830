"""What a network is punished for."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = ["centre_loss", "class_loss", "outline_loss"]


def centre_loss(logits: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Penalty-reduced focal loss of centre heat maps (Zhou, Wang, Kraehenbuehl, Objects as Points, 2019).

    Parameters
    ----------
    logits, wanted, weight : (B, heats, h, w) tensors
        What the network says, bumps of height 1, and 1 where anything is known.
    """
    log_yes, log_no = functional.logsigmoid(logits), functional.logsigmoid(-logits)
    yes = log_yes.exp()
    peak = (wanted >= 1.0).to(logits.dtype)
    hit = peak * (1 - yes) ** 2 * log_yes
    miss = (1 - peak) * (1 - wanted) ** 4 * yes**2 * log_no
    return -((hit + miss) * weight).sum() / ((peak * weight).sum() + 1.0)


def outline_loss(radii: Tensor, wanted: Tensor, weight: Tensor) -> Tensor:
    """Negative log of the polar intersection over union, over the known rays of each nucleus.

    Parameters
    ----------
    radii, wanted, weight : (N, rays) tensors
        px; 1 where a radius is known. Nuclei with fewer than half of their rays known do not count.
    """
    counts = weight.sum(1) >= weight.shape[1] / 2
    if not bool(counts.any()):
        return radii.sum() * 0.0
    radii, wanted, weight = radii[counts], wanted[counts], weight[counts]
    smaller = (torch.minimum(radii, wanted) ** 2 * weight).sum(1)
    larger = (torch.maximum(radii, wanted) ** 2 * weight).sum(1)
    return -torch.log((smaller + 1.0) / (larger + 1.0)).mean()


def class_loss(logits: Tensor, wanted: Tensor) -> Tensor:
    """Cross entropy over the nuclei whose class is known (-1 = unknown)."""
    known = wanted >= 0
    if logits.shape[1] == 0 or not bool(known.any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits[known], wanted[known], label_smoothing=0.02)
