"""What every training shares: the optimiser's step, and the running mean of the weights, which is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from .imagenet import imagenet_weights

__all__ = ["AveragingLearner", "begin_with_imagenet"]

LONGEST_GRADIENT = 5.0
"""Gradients are shortened to this norm: one odd crop must not undo the work of many."""


class AveragingLearner:
    """A network that learns step by step, and the running mean of its weights.

    Parameters
    ----------
    network, mean : nn.Module
        Equal at the start, on ``device``.
    optimiser : torch.optim.Optimizer
        Of the network.
    device : torch.device
        Where.
    """

    losses: ClassVar[tuple[str, ...]]
    """Names of the losses, in their order."""

    def __init__(
        self, network: Any, mean: Any, *, optimiser: torch.optim.Optimizer, device: torch.device
    ) -> None:
        self.network, self.mean = network, mean
        self.optimiser, self.device = optimiser, device

    def state(self) -> dict[str, Any]:
        """Return everything that a later `restore` needs."""
        return {
            "network": self.network.state_dict(),
            "mean": self.mean.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `state` has returned."""
        self.network.load_state_dict(state["network"])
        self.mean.load_state_dict(state["mean"])
        self.optimiser.load_state_dict(state["optimiser"])

    def kept(self) -> nn.Module:
        """Return what is kept of the running mean: all of it."""
        mean: nn.Module = self.mean
        return mean

    def write_mean(self, path: Path) -> None:
        """Write the running mean of the weights, atomically."""
        from safetensors.torch import save_file

        from ...tiling import atomic_file

        tensors = {name: tensor.cpu().contiguous() for name, tensor in self.kept().state_dict().items()}
        with atomic_file(path) as temporary:
            save_file(tensors, temporary)

    def set_rate(self, rate: float, *, step: int, steps: int) -> None:
        """Set the learning rate of a step: a short rise, then half a cosine to one hundredth of ``rate``."""
        rising = max(1, steps // 20)
        now = rate * min((step + 1) / rising, 0.5 * (1 + np.cos(np.pi * step / steps)) + 0.01)
        for group in self.optimiser.param_groups:
            group["lr"] = float(now)

    def descend(self, losses: Tensor, *, step: int, average: float) -> None:
        """Take the step that lowers the sum of the losses, and move the running mean towards it."""
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LONGEST_GRADIENT)
        self.optimiser.step()
        decay = min(average, (step + 1) / (step + 20))
        with torch.no_grad():
            pairs = zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True)
            for kept, now in pairs:
                if kept.dtype.is_floating_point:
                    kept.lerp_(now, 1.0 - decay)
                else:
                    kept.copy_(now)


def begin_with_imagenet(encoder: nn.Module, name: str) -> None:
    """Give an encoder, whole or trimmed, the weights that its architecture learnt on ImageNet."""
    weights = imagenet_weights(name)
    encoder.load_state_dict({key: weights[key] for key in encoder.state_dict()})
