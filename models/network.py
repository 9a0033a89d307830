"""The network that finds nuclei: a timm encoder, a light decoder, heads that only look where a nucleus is.

The dense part gives centre heat maps at stride 2 and features. Outlines and classes are read from these
by a small perceptron at the peaks alone: a few thousand positions in place of a million.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from .encoder import build_encoder

__all__ = ["CellNetwork", "DenseOutput", "NetworkSettings", "to_input"]

RADIUS_SCALE_PX = 8.0
"""Radii are learnt in units of this many px, about a nucleus' radius at 0.5 um per px."""


@dataclass(frozen=True)
class NetworkSettings:
    """What a network is made of; all that is needed to build it again."""

    encoder: str = "resnet10t"
    """timm architecture whose features begin at stride 2."""
    encoder_options: dict[str, Any] = field(
        default_factory=lambda: {"channels": [32, 64, 128, 192], "stem_width": 16}
    )
    """Passed on to timm."""
    encoder_stages: int = 0
    """Stages of an EfficientNet to keep; 0 takes any timm architecture as it is."""
    depth: int = 4
    """Scales of the encoder in use: strides 2, 4, 8, 16."""
    finest: int = 1
    """Scale at which the decoder ends: 0 is stride 2; 1 is stride 4, whose last layer gives 2 x 2 values."""
    widths: tuple[int, ...] = (48, 64, 96)
    """Channels of the decoder from its finest scale to the encoder's deepest."""
    heats: tuple[str, ...] = ("nucleus", "tumour")
    """Centre heat maps: any nucleus, and nuclei of tumour where labels tell them apart."""
    classes: tuple[str, ...] = ("Negative", "Positive")
    """Classes of a nucleus; empty where labels give none."""
    rays: int = 32
    """Directions of the star-convex outline."""
    hidden: int = 128
    """Width of the perceptron that reads outlines and classes."""

    @property
    def stride(self) -> int:
        """Tiles must begin on multiples of this many px: 2 to the ``depth``."""
        return int(2**self.depth)


class DenseOutput(NamedTuple):
    """What the dense part returns."""

    heat: Tensor
    """Logits of the centre heat maps: (B, heats, H/2, W/2)."""
    features: tuple[Tensor, ...]
    """Features to read from: the encoder's at stride 2, then the decoder's from fine to coarse."""


def to_input(images: Tensor) -> Tensor:
    """Turn (B, H, W, 3) uint8 pixels into network input: (B, 3, H, W) float32, 0 = white, 1 = black.

    White is zero, so the padding of the first convolution is glass. Training and inference both come here.
    """
    # In place, and without a copy of the layout: pixels lie channels last as they come from the decoder.
    return images.permute(0, 3, 1, 2).to(torch.float32).mul_(-1.0 / 255.0).add_(1.0)


def _convolution(into: int, out: int, *, size: int = 3) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(into, out, size, padding=size // 2, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
    )


class CellNetwork(nn.Module):
    """Centre heat maps everywhere; outlines and classes at chosen positions.

    Parameters
    ----------
    settings : NetworkSettings
        What it is made of.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        self.encoder, channels = build_encoder(
            settings.encoder, settings.encoder_options, depth=settings.depth, stages=settings.encoder_stages
        )
        widths = settings.widths
        self.lateral = nn.ModuleList(
            nn.Conv2d(into, out, 1) for into, out in zip(channels[settings.finest :], widths, strict=True)
        )
        self.reduce = nn.ModuleList(
            nn.Conv2d(widths[level + 1], widths[level], 1) for level in range(len(widths) - 1)
        )
        self.merge = nn.ModuleList(_convolution(width, width) for width in widths[:-1])
        values = len(settings.heats) * 4**settings.finest
        self.heat = nn.Sequential(_convolution(widths[0], widths[0]), nn.Conv2d(widths[0], values, 1))
        final = self.heat[1]
        assert isinstance(final, nn.Conv2d)
        assert final.bias is not None
        nn.init.constant_(final.bias, -3.0)  # nuclei's centres are rare: begin with few
        self.reader = nn.Sequential(
            nn.Linear(channels[0] + sum(widths) + 2, settings.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(settings.hidden, settings.hidden),
            nn.ReLU(inplace=True),
            nn.Linear(settings.hidden, settings.rays + len(settings.classes)),
        )

    def forward(self, inputs: Tensor) -> DenseOutput:
        """Return heat maps and features of (B, 3, H, W) input, sides multiples of the stride."""
        encoded = self.encoder(inputs)
        finest = self.settings.finest
        state = self.lateral[-1](encoded[-1])
        features = [state]
        for level in reversed(range(len(self.merge))):
            state = functional.interpolate(self.reduce[level](state), scale_factor=2.0, mode="nearest")
            state = self.merge[level](state + self.lateral[level](encoded[level + finest]))
            features.append(state)
        values = len(self.settings.heats) * 4**finest
        heat = functional.pixel_shuffle(self.heat(state)[:, :values], 2**finest)  # see `with_idle_outputs`
        return DenseOutput(heat, (encoded[0], *reversed(features)))

    def read(self, features: tuple[Tensor, ...], places: Tensor) -> tuple[Tensor, Tensor]:
        """Read outlines and classes at positions of the heat map.

        Parameters
        ----------
        features : tuple of (B, C, h, w) tensors
            From `forward`.
        places : (N, 3) long tensor
            Image of the batch, row and column of the stride-2 grid.

        Returns
        -------
        radii : (N, rays) tensor
            px, from the centre of the grid's cell.
        classes : (N, classes) tensor
            Logits.
        """
        return self.decode(self.gather(features, places))

    def gather(self, features: tuple[Tensor, ...], places: Tensor) -> Tensor:
        """Collect what is known at each place from all scales: (N, C)."""
        image, row, column = places.unbind(1)
        gathered = [features[0][image, :, row, column]]
        for number, level in enumerate(features[1:], self.settings.finest):
            gathered.append(level[image, :, row // 2**number, column // 2**number])
        # Where in the coarse cell the place lies: the offset of the outline's origin depends on it.
        gathered.append(torch.stack([row % 2, column % 2], 1).to(gathered[0].dtype))
        return torch.cat(gathered, 1)

    def decode(self, gathered: Tensor) -> tuple[Tensor, Tensor]:
        """Turn what was gathered into radii (px) and class logits."""
        values = self.reader(gathered)
        rays, end = self.settings.rays, self.settings.rays + len(self.settings.classes)
        return functional.softplus(values[:, :rays]) * RADIUS_SCALE_PX, values[:, rays:end]
