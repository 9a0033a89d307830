"""What changes while a tissue network learns: its weights, their running mean and teacher, the optimiser."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...network import to_input
from ...tissue_network import TissueNetwork, TissueOutput, pool_classes
from ..averaging import AveragingLearner, begin_with_imagenet
from .config import TissueConfig
from .losses import class_targets, consistency_loss, gland_loss, grade_loss

__all__ = ["LOSSES", "TissueLearner"]

LOSSES: tuple[str, ...] = ("grade", "gland", "consistency")
"""Names of the losses, in their order."""
TRUST_AFTER = 0.3
"""Share of the steps over which the teacher comes to be trusted wholly; at first it knows nothing."""


class TissueLearner(AveragingLearner):
    """A tissue network that learns, step by step, from labels and from its own running mean.

    Parameters
    ----------
    config : TissueConfig
        How it learns; its seed fixes the weights at the start.
    device : torch.device
        Where.
    """

    losses: ClassVar[tuple[str, ...]] = LOSSES

    def __init__(self, config: TissueConfig, device: torch.device) -> None:
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = TissueNetwork(config.network_settings())
        if config.pretrained:
            begin_with_imagenet(network.encoder, network.settings.encoder)
        self._frozen = _freeze(network, config.frozen_stages) if config.frozen_stages else []
        mean = copy.deepcopy(network).to(device).to(memory_format=torch.channels_last)
        mean.eval().requires_grad_(False)
        network = network.to(device).to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(
            [each for each in network.parameters() if each.requires_grad],
            lr=config.rate,
            weight_decay=config.weight_decay,
        )
        super().__init__(network, mean, optimiser=optimiser, device=device)
        self.targets = class_targets(
            len(network.settings.classes), smoothing=config.smoothing, neighbours=config.neighbours
        ).to(device)

    def learn(self, batch: dict[str, Tensor], *, step: int) -> dict[str, float]:
        """Take step number ``step``, counted from 0; returns the losses."""
        self.set_rate(self.config.rate, step=step, steps=self.config.steps)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.config.seed + step)  # what drops out depends on the step alone
            losses = self._losses({name: tensor.to(self.device) for name, tensor in batch.items()}, step=step)
        self.descend(losses, step=step, average=self.config.average)
        return dict(zip(LOSSES, losses.detach().tolist(), strict=True))

    def _losses(self, batch: dict[str, Tensor], *, step: int) -> Tensor:
        """Return the weighted losses of one batch: (3,)."""
        self.network.train()
        for module in self._frozen:
            module.eval()  # nor do its batch norms follow these images
        config = self.config
        output = self._see(self.network, batch["images"])
        pooled = pool_classes(output, floor=self.network.settings.gland_floor)
        losses = [grade_loss(pooled, batch["labels"], self.targets)]
        zero = pooled.sum() * 0.0
        glands = zero
        if config.gland_weight:
            glands = gland_loss(output.glands[:, 0].float(), batch["glands"], batch["known"])
        losses.append(config.gland_weight * glands)
        changed, trust = zero, min(1.0, step / (TRUST_AFTER * config.steps))
        if config.consistency_weight and trust:
            with torch.no_grad():
                teacher = self._see(self.mean, batch["plain"])
            changed = consistency_loss(output, teacher)
        losses.append(config.consistency_weight * trust * changed)
        return torch.stack(losses)

    def _see(self, network: TissueNetwork, images: Tensor) -> TissueOutput:
        """Run a network; bfloat16 only on CUDA: elsewhere it is slower, or not there."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            output: TissueOutput = network(to_input(images).contiguous(memory_format=torch.channels_last))
        return output


def _freeze(network: TissueNetwork, stages: int) -> list[nn.Module]:
    """Keep stem and first stages of the encoder as they are; returns these parts."""
    encoder: Any = network.encoder
    parts: list[nn.Module] = [encoder.conv_stem, encoder.bn1, *list(encoder.blocks)[:stages]]
    for part in parts:
        part.requires_grad_(False)
    return parts
