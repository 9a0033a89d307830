"""What a tissue network is punished for: wrong classes, wrong glands, and changing its mind."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

from ...tissue_network import TissueOutput

__all__ = ["class_targets", "consistency_loss", "gland_loss", "grade_loss"]


def class_targets(classes: int, *, smoothing: float, neighbours: float) -> Tensor:
    """Return what to answer to each class: (K, K), rows sum to 1.

    Classes stand in the order of their grade and experts confuse the next ones most: a part of the smoothed
    share goes to those alone.

    Parameters
    ----------
    classes : int
        How many.
    smoothing : float
        Share that is taken from the true class.
    neighbours : float
        Share of that which goes to the classes before and after, the rest to all evenly.
    """
    near = torch.diag(torch.ones(classes - 1), 1) if classes > 1 else torch.ones(1, 1)
    near = near + near.T
    near = near / near.sum(1, keepdim=True)
    even = torch.full((classes, classes), 1.0 / classes)
    return (1 - smoothing) * torch.eye(classes) + smoothing * (neighbours * near + (1 - neighbours) * even)


def grade_loss(logits: Tensor, labels: Tensor, targets: Tensor) -> Tensor:
    """Cross entropy of images' classes, of those that have one.

    Parameters
    ----------
    logits : (B, K) tensor
        From `pool_classes`.
    labels : (B,) long tensor
        Index of the class, -1 = unknown.
    targets : (K, K) tensor
        From `class_targets`.
    """
    known = labels >= 0
    if not bool(known.any()):
        return logits.sum() * 0.0
    return functional.cross_entropy(logits[known], targets[labels[known]])


def gland_loss(logits: Tensor, wanted: Tensor, known: Tensor) -> Tensor:
    """Cross entropy plus Dice loss of the gland maps that were drawn.

    Parameters
    ----------
    logits, wanted : (B, h, w) tensor
        What the network says, and the share of gland in each cell.
    known : (B,) bool tensor
        Whether anybody drew glands in an image.
    """
    if not bool(known.any()):
        return logits.sum() * 0.0
    logits, wanted = logits[known], wanted[known]
    entropy = functional.binary_cross_entropy_with_logits(logits, wanted)
    said = torch.sigmoid(logits)
    shared = (said * wanted).sum((1, 2))
    dice = (2 * shared + 1.0) / (said.sum((1, 2)) + wanted.sum((1, 2)) + 1.0)
    return entropy + (1 - dice).mean()


def consistency_loss(output: TissueOutput, teacher: TissueOutput) -> Tensor:
    """Punish a network for changing its mind when colours change.

    The running mean of the weights has seen the same crops in their own colours; its answers are the target,
    place by place, classes weighted by the glands that it sees. No gradient reaches it.

    Parameters
    ----------
    output : TissueOutput
        Of the network, for crops in changed colours.
    teacher : TissueOutput
        Of the running mean, for the same crops in their own colours.
    """
    with torch.no_grad():
        classes = torch.softmax(teacher.classes.float(), 1)
        glands = torch.sigmoid(teacher.glands.float())
        weight = functional.avg_pool2d(glands, 4)[:, 0] + 0.1
    said = torch.log_softmax(output.classes.float(), 1)
    divergence = (torch.xlogy(classes, classes) - classes * said).sum(1)
    changed = (divergence * weight).sum() / weight.sum()
    return changed + functional.mse_loss(torch.sigmoid(output.glands.float()), glands)
