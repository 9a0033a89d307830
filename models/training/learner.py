"""What changes while a network learns: its weights, their running mean, and the optimiser."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import ClassVar

import torch
from torch import Tensor

from ...errors import SettingsError
from ..network import CellNetwork, to_input
from .averaging import AveragingLearner, begin_with_imagenet
from .config import TrainingConfig
from .losses import centre_loss, class_loss, outline_loss

__all__ = ["LOSSES", "Learner"]

LOSSES: tuple[str, ...] = ("centre", "outline", "class")
"""Names of the losses, in their order."""
READS_CLASSES = ("reader.4.weight", "reader.4.bias")
"""Weights of `CellNetwork` that have a row for each ray, then one for each class."""


class Learner(AveragingLearner):
    """A network that learns, step by step.

    Parameters
    ----------
    config : TrainingConfig
        How it learns; its seed fixes the weights at the start.
    device : torch.device
        Where.
    """

    losses: ClassVar[tuple[str, ...]] = LOSSES

    def __init__(self, config: TrainingConfig, device: torch.device) -> None:
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = CellNetwork(config.network_settings())
        if config.pretrained:
            begin_with_imagenet(network.encoder, network.settings.encoder)
        mean = copy.deepcopy(network).to(device)
        network = network.to(device).to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(network.parameters(), lr=config.rate, weight_decay=config.weight_decay)
        super().__init__(network, mean, optimiser=optimiser, device=device)

    def begin_with(self, weights: Mapping[str, Tensor]) -> None:
        """Take over another network's weights, without those that tell classes where this one tells none.

        Raises
        ------
        SettingsError
            If they are not those of such a network.
        """
        taken = dict(weights)
        settings = self.network.settings
        if not settings.classes:
            taken |= {name: taken[name][: settings.rays] for name in READS_CLASSES if name in taken}
        try:
            self.network.load_state_dict(taken)
            self.mean.load_state_dict(taken)
        except RuntimeError as error:
            raise SettingsError(
                "the weights to start from are those of another network",
                "Give [network] the settings of the model named by start_from.",
            ) from error

    def averaged(self) -> CellNetwork:
        """Return a copy of the running mean, which may be folded and moved."""
        mean: CellNetwork = copy.deepcopy(self.mean)
        return mean.eval()

    def learn(self, batch: dict[str, Tensor], *, step: int) -> dict[str, float]:
        """Take step number ``step``, counted from 0; returns the losses."""
        self.set_rate(self.config.rate, step=step, steps=self.config.steps)
        losses = self._losses({name: tensor.to(self.device) for name, tensor in batch.items()})
        self.descend(losses, step=step, average=self.config.average)
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
