"""The network that names single cells: an encoder, the mean over the crop, and one layer of classes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from .cell_classes import CERVICAL_CLASSES
from .encoder import build_encoder

__all__ = ["CellClassNetwork", "CellClassSettings"]

DEPTH = 5
"""Scales of the encoder: strides 2 to 32."""


@dataclass(frozen=True)
class CellClassSettings:
    """What a network is made of; all that is needed to build it again."""

    encoder: str = "efficientnet_lite0"
    """timm EfficientNet without squeeze-and-excitation."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Passed on to timm."""
    encoder_stages: int = 7
    """Stages to keep; seven are all."""
    dropout: float = 0.3
    """Share of the pooled features that is dropped while learning."""
    classes: tuple[str, ...] = CERVICAL_CLASSES
    """Names of the classes, in the order of the logits."""
    side: int = 128
    """Side of the crops, px."""

    @property
    def stride(self) -> int:
        """Sides of crops are multiples of this."""
        return int(2**DEPTH)


class CellClassNetwork(nn.Module):
    """Class logits of crops.

    Parameters
    ----------
    settings : CellClassSettings
        What it is made of.
    """

    def __init__(self, settings: CellClassSettings) -> None:
        super().__init__()
        if settings.side % settings.stride:
            raise ValueError(f"side: {settings.side} is no multiple of the stride, {settings.stride} px")
        self.settings = settings
        self.encoder, channels = build_encoder(
            settings.encoder, settings.encoder_options, depth=DEPTH, stages=settings.encoder_stages
        )
        if len(channels) != DEPTH:
            raise ValueError(f"encoder_stages: {settings.encoder_stages} stages do not reach stride 32")
        self.dropout = nn.Dropout(settings.dropout)
        self.classify = nn.Linear(channels[-1], len(settings.classes))

    def forward(self, inputs: Tensor) -> Tensor:
        """Return logits (B, K) of (B, 3, S, S) input (`to_input`)."""
        pooled = self.encoder(inputs)[-1].mean((2, 3))
        # Once the last layer is widened (`with_idle_outputs`) only its first outputs mean anything.
        logits: Tensor = self.classify(self.dropout(pooled))[:, : len(self.settings.classes)]
        return logits
