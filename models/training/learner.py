"""What changes while a network learns: its weights, their running mean, and the optimiser."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...errors import SettingsError
from ..network import CellNetwork, to_input
from .config import TrainingConfig
from .imagenet import imagenet_weights
from .losses import centre_loss, class_loss, outline_loss

__all__ = ["LOSSES", "Learner"]

LOSSES = ("centre", "outline", "class")
"""Names of the losses, in their order."""
LONGEST_GRADIENT = 5.0
"""Gradients are shortened to this norm: one odd crop must not undo the work of many."""


class Learner:
    """A network that learns, step by step.

    Parameters
    ----------
    config : TrainingConfig
        How it learns; its seed fixes the weights at the start.
    device : torch.device
        Where.
    """

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self.config, self.device = config, device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = CellNetwork(config.network_settings())
        if config.pretrained:
            wanted = network.encoder.state_dict()
            weights = imagenet_weights(network.settings.encoder)
            network.encoder.load_state_dict({name: weights[name] for name in wanted})
        self.mean = copy.deepcopy(network).to(device)
        self.network = network.to(device).to(memory_format=torch.channels_last)
        self.optimiser = torch.optim.AdamW(
            self.network.parameters(), lr=config.rate, weight_decay=config.weight_decay
        )

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take over the weights of another network.

        Raises
        ------
        SettingsError
            If they are not those of such a network.
        """
        try:
            self.network.load_state_dict(dict(weights))
            self.mean.load_state_dict(dict(weights))
        except RuntimeError as error:
            raise SettingsError(
                "the weights to start from are those of another network",
                "Give [network] the settings of the model named by start_from.",
            ) from error

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

    def averaged(self) -> CellNetwork:
        """Return a copy of the running mean, which may be folded and moved."""
        return copy.deepcopy(self.mean).eval()

    def learn(self, batch: dict[str, Tensor], *, step: int) -> dict[str, float]:
        """Take step number ``step``, counted from 0; returns the losses."""
        for group in self.optimiser.param_groups:
            group["lr"] = _rate(self.config, step)
        losses = self._losses({name: tensor.to(self.device) for name, tensor in batch.items()})
        self.optimiser.zero_grad(set_to_none=True)
        losses.sum().backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.network.parameters(), LONGEST_GRADIENT)
        self.optimiser.step()
        self._follow(min(self.config.average, (step + 1) / (step + 20)))
        return dict(zip(LOSSES, losses.detach().tolist(), strict=True))

    def _losses(self, batch: dict[str, Tensor]) -> Tensor:
        """Return the weighted losses of one batch: (3,)."""
        self.network.train()
        # bfloat16 only on CUDA: elsewhere it is slower, or not there.
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            inputs = to_input(batch["images"]).contiguous(memory_format=torch.channels_last)
            output = self.network(inputs)
            radii, classes = self.network.read(output.features, batch["places"])
        return torch.stack(
            [
                centre_loss(output.heat.float(), batch["heat"], batch["weight"]),
                self.config.outline_weight * outline_loss(radii.float(), batch["radii"], batch["ray_weight"]),
                self.config.class_weight * class_loss(classes.float(), batch["classes"]),
            ]
        )

    def _follow(self, decay: float) -> None:
        """Move the running mean of the weights towards the network's."""
        with torch.no_grad():
            pairs = zip(self.mean.state_dict().values(), self.network.state_dict().values(), strict=True)
            for kept, now in pairs:
                if kept.dtype.is_floating_point:
                    kept.lerp_(now, 1.0 - decay)
                else:
                    kept.copy_(now)


def _rate(config: TrainingConfig, step: int) -> float:
    """Return the learning rate: a short rise, then half a cosine to one hundredth."""
    rising = max(1, config.steps // 20)
    return float(
        config.rate * min((step + 1) / rising, 0.5 * (1 + np.cos(np.pi * step / config.steps)) + 0.01)
    )
