"""What a cell classifier is punished for: wrong classes, and classes that are far off."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

__all__ = ["class_loss", "order_loss"]


def class_loss(logits: Tensor, allowed: Tensor, trust: Tensor, *, smoothing: float) -> Tensor:
    """Cross entropy of cells that are one of some classes.

    Parameters
    ----------
    logits : (B, K) tensor
        Of the network.
    allowed : (B, K) bool tensor
        Which classes each may be; where several, the sum of their probabilities counts.
    trust : (B,) tensor
        Weight of each cell.
    smoothing : float
        Share of the target that is spread over all classes.
    """
    said = torch.log_softmax(logits, 1)
    right = -torch.logsumexp(said.masked_fill(~allowed, -torch.inf), 1)
    losses = (1 - smoothing) * right - smoothing * said.mean(1)
    return (losses * trust).sum() / trust.sum()


def order_loss(logits: Tensor, allowed: Tensor, trust: Tensor, *, order: Sequence[int]) -> Tensor:
    """Squared distance of cumulated probabilities along an order (Hou et al., arXiv:1611.05916).

    Parameters
    ----------
    logits : (B, K) tensor
        Of the network.
    allowed : (B, K) bool tensor
        Which classes each may be; only cells of one class of the order count.
    trust : (B,) tensor
        Weight of each cell.
    order : sequence of int
        Classes by severity; probabilities among these alone are compared.
    """
    ordered = allowed[:, list(order)]
    known = (allowed.sum(1) == 1) & ordered.any(1)
    if len(order) < 2 or not bool(known.any()):
        return logits.sum() * 0.0
    said = torch.softmax(logits[known][:, list(order)], 1).cumsum(1)
    wanted = ordered[known].to(said.dtype).cumsum(1)
    losses = ((said - wanted) ** 2).sum(1)
    return (losses * trust[known]).sum() / trust[known].sum()
