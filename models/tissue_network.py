"""The network that grades tissue: class logits at stride 16, glands at stride 4, no look at the whole.

Whole images have one label each, so an image's class is the mean of the dense class logits over its glands:
the dense map is learnt from image labels and gland masks together.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .encoder import build_encoder
from .tissue_classes import COLORECTAL_CLASSES

__all__ = ["GLAND_STRIDE", "TissueNetwork", "TissueOutput", "TissueSettings", "pool_classes"]

GLAND_STRIDE = 4
"""Working px per cell of the gland map."""
DEPTH = 4
"""Scales of the encoder in use: strides 2, 4, 8, 16."""
FINEST = 1
"""Scale at which the decoder ends: stride 4."""


@dataclass(frozen=True)
class TissueSettings:
    """What a network is made of; all that is needed to build it again."""

    encoder: str = "efficientnet_lite0"
    """timm EfficientNet without squeeze-and-excitation, which would look at the whole tile."""
    encoder_options: dict[str, Any] = field(default_factory=dict)
    """Passed on to timm."""
    encoder_stages: int = 5
    """Stages to keep; five end at stride 16."""
    widths: tuple[int, ...] = (32, 48, 64)
    """Channels of the gland decoder at strides 4, 8 and 16."""
    class_width: int = 96
    """Channels of the two convolutions before the class logits."""
    dropout: float = 0.3
    """Share of those channels that is dropped while learning."""
    classes: tuple[str, ...] = COLORECTAL_CLASSES
    """Names of the classes, in the order of the logits."""
    gland_floor: float = 0.1
    """Weight of a place without glands when an image's class is pooled; that of a gland is 1 more."""

    @property
    def stride(self) -> int:
        """Tiles must begin on multiples of this many px, and their sides be such multiples."""
        return int(2**DEPTH)


class TissueOutput(NamedTuple):
    """What the network returns."""

    classes: Tensor
    """Class logits: (B, K, H/16, W/16)."""
    glands: Tensor
    """Logits of the epithelium of glands with their lumen: (B, 1, H/4, W/4)."""


def _convolution(into: int, out: int) -> nn.Sequential:
    """3 x 3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
    )


class TissueNetwork(nn.Module):
    """Class logits and glands everywhere.

    Parameters
    ----------
    settings : TissueSettings
        What it is made of.
    """

    def __init__(self, settings: TissueSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder, channels = build_encoder(
            settings.encoder, settings.encoder_options, depth=DEPTH, stages=settings.encoder_stages
        )
        if len(channels) != DEPTH:
            raise ValueError(f"encoder_stages: {settings.encoder_stages} stages do not reach stride 16")
        widths = settings.widths
        if any(width % 16 for width in (*widths, settings.class_width)):
            raise ValueError(f"widths: {widths} and {settings.class_width} are not all multiples of 16")
        self.lateral = nn.ModuleList(
            nn.Conv2d(into, out, 1) for into, out in zip(channels[FINEST:], widths, strict=True)
        )
        self.reduce = nn.ModuleList(
            nn.Conv2d(widths[level + 1], widths[level], 1) for level in range(len(widths) - 1)
        )
        self.merge = nn.ModuleList(_convolution(width, width) for width in widths[:-1])
        self.gland = nn.Sequential(_convolution(widths[0], widths[0]), nn.Conv2d(widths[0], 1, 1))
        wide = settings.class_width
        self.grade = nn.Sequential(
            _convolution(channels[-1], wide),
            _convolution(wide, wide),
            nn.Dropout2d(settings.dropout),
            nn.Conv2d(wide, len(settings.classes), 1),
        )

    def forward(self, inputs: Tensor) -> TissueOutput:
        """Return logits of (B, 3, H, W) input (`to_input`), sides multiples of the stride."""
        encoded = self.encoder(inputs)
        state = self.lateral[-1](encoded[-1])
        for level in reversed(range(len(self.merge))):
            state = functional.interpolate(self.reduce[level](state), scale_factor=2.0, mode="nearest")
            state = self.merge[level](state + self.lateral[level](encoded[level + FINEST]))
        # Once the last layers are widened (`with_idle_outputs`) only their first channels mean anything.
        classes = self.grade(encoded[-1])[:, : len(self.settings.classes)]
        return TissueOutput(classes, self.gland(state)[:, :1])


def pool_classes(output: TissueOutput, *, floor: float) -> Tensor:
    """Return the class logits of whole images: (B, K).

    The mean of the dense logits, weighted by how much gland there is at each place plus ``floor``, so that
    images without glands have a class as well. Classes do not teach where glands are: the weights are taken
    as given.
    """
    share = functional.avg_pool2d(torch.sigmoid(output.glands.detach().float()), 4)
    weight = share + floor
    return (output.classes.float() * weight).sum((2, 3)) / weight.sum((2, 3))
