"""The encoders that a detector can stand on: timm architectures, whole or cut off where they get coarse."""

from __future__ import annotations

from typing import Any, cast

import timm
from torch import Tensor, nn

__all__ = ["TrimmedEfficientNet", "build_encoder"]


def build_encoder(
    name: str, options: dict[str, Any], *, depth: int, stages: int
) -> tuple[nn.Module, list[int]]:
    """Build an encoder with random weights.

    Parameters
    ----------
    name : str
        timm architecture.
    options : dict
        Passed on to timm.
    depth : int
        Scales wanted, the first at stride 2.
    stages : int
        Stages of an EfficientNet to keep; 0 takes any timm architecture as it is.

    Returns
    -------
    encoder : nn.Module
        Turns (B, 3, H, W) into a list of features, fine to coarse.
    channels : list of int
        Their channels.
    """
    if stages:
        trimmed = TrimmedEfficientNet(timm.create_model(name, pretrained=False, **options), stages=stages)
        return trimmed, trimmed.channels[:depth]
    encoder = timm.create_model(
        name, features_only=True, pretrained=False, out_indices=tuple(range(depth)), **options
    )
    return encoder, cast(Any, encoder).feature_info.channels()


class TrimmedEfficientNet(nn.Module):
    """The first stages of a timm EfficientNet; gives the last features of each scale.

    timm's own ``features_only`` ends a scale only where the next begins, and so would keep the stages with
    the widest view, which make a tile's margin long and cells no clearer.

    Parameters
    ----------
    whole : nn.Module
        A timm EfficientNet.
    stages : int
        How many of its stages to keep.
    """

    def __init__(self, whole: Any, *, stages: int) -> None:
        super().__init__()
        self.conv_stem, self.bn1 = whole.conv_stem, whole.bn1
        self.blocks = nn.Sequential(*list(whole.blocks)[:stages])
        # A scale ends with the stage before the next that halves, the last with the last.
        ends = [*(_halves(stage) for stage in list(self.blocks)[1:]), True]
        self._last = [number for number, end in enumerate(ends) if end]
        self.channels = [_width(self.blocks[number]) for number in self._last]

    def forward(self, inputs: Tensor) -> list[Tensor]:
        """Return features at strides 2, 4, 8, ... of (B, 3, H, W) input."""
        state = self.bn1(self.conv_stem(inputs))
        features = []
        for number, stage in enumerate(self.blocks):
            state = stage(state)
            if number in self._last:
                features.append(state)
        return features


def _halves(stage: Any) -> bool:
    """Whether a stage begins with a stride of two."""
    return any(max(module.stride) > 1 for module in stage.modules() if isinstance(module, nn.Conv2d))


def _width(stage: Any) -> int:
    """Return the channels that a stage gives."""
    last = [module for module in stage.modules() if isinstance(module, nn.Conv2d)][-1]
    return int(last.out_channels)
