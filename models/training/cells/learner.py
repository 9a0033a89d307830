"""What changes while a cell classifier learns: its weights, their running mean, the optimiser."""

from __future__ import annotations

import copy
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ....errors import SettingsError
from ...cell_classifier_network import CellClassNetwork
from ...network import to_input
from ..averaging import AveragingLearner, begin_with_imagenet
from .config import CellsConfig
from .losses import class_loss, order_loss

__all__ = ["LOSSES", "CellLearner"]

LOSSES: tuple[str, ...] = ("class", "order")
"""Names of the losses, in their order."""


class CellLearner(AveragingLearner):
    """A cell classifier that learns step by step.

    Parameters
    ----------
    config : CellsConfig
        How it learns; its seed fixes the weights at the start.
    device : torch.device
        Where.
    start : dict of Tensor, optional
        First weights, of a network of the same settings.

    Raises
    ------
    SettingsError
        If the first weights are those of another network.
    """

    losses: ClassVar[tuple[str, ...]] = LOSSES

    def __init__(
        self, config: CellsConfig, device: torch.device, *, start: dict[str, Tensor] | None = None
    ) -> None:
        self.config = config
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            network = CellClassNetwork(config.network_settings())
        if start is not None:
            try:
                network.load_state_dict(start)
            except RuntimeError as error:
                raise SettingsError(
                    f"{config.start_from} is another network than that of {config.name}",
                    "Give [network] the settings of the model named by start_from.",
                ) from error
        elif config.pretrained:
            begin_with_imagenet(network.encoder, network.settings.encoder)
        encoder: Any = network.encoder
        self._frozen: list[nn.Module] = []
        if config.frozen_stages:
            self._frozen = [encoder.conv_stem, encoder.bn1, *list(encoder.blocks)[: config.frozen_stages]]
        for part in self._frozen:
            part.requires_grad_(False)
        mean = copy.deepcopy(network).to(device).to(memory_format=torch.channels_last)
        mean.eval().requires_grad_(False)
        network = network.to(device).to(memory_format=torch.channels_last)
        optimiser = torch.optim.AdamW(
            [each for each in network.parameters() if each.requires_grad],
            lr=config.rate,
            weight_decay=config.weight_decay,
        )
        super().__init__(network, mean, optimiser=optimiser, device=device)
        self.order = [config.classes.index(name) for name in config.order]

    def learn(self, batch: dict[str, Tensor], *, step: int) -> dict[str, float]:
        """Take step number ``step``, counted from 0; returns the losses."""
        config = self.config
        self.set_rate(config.rate, step=step, steps=config.steps)
        self.network.train()
        for module in self._frozen:
            module.eval()  # nor do its batch norms follow these images
        images, allowed, trust = (batch[name].to(self.device) for name in ("images", "allowed", "trust"))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed + step)  # what drops out depends on the step alone
            logits = self._see(images)
        losses = torch.stack(
            [
                class_loss(logits, allowed, trust, smoothing=config.smoothing),
                config.order_weight * order_loss(logits, allowed, trust, order=self.order),
            ]
        )
        self.descend(losses, step=step, average=config.average)
        return dict(zip(LOSSES, losses.detach().tolist(), strict=True))

    def _see(self, images: Tensor) -> Tensor:
        """Run the network; bfloat16 only on CUDA: elsewhere it is slower, or not there."""
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.device.type == "cuda"):
            logits: Tensor = self.network(to_input(images).contiguous(memory_format=torch.channels_last))
        return logits.float()
