"""Networks made ready to compute with: batch norms folded, layers widened to whole vectors."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from ..errors import SettingsError

__all__ = ["fold_batch_norms", "steady_convolutions", "widen_encoder", "with_idle_outputs"]

VECTOR = 16
"""Channels of a whole vector, on any processor at hand."""


def widen_encoder(encoder: Any, takers: Iterable[nn.Module]) -> None:
    """Give a trimmed encoder's layers idle channels up to whole vectors, as `with_idle_outputs` does and why.

    Channels that only ever hold zeros change no other channel: batch norms are folded by now, and what
    follows a layer takes as many idle inputs as that layer has idle outputs.

    Parameters
    ----------
    encoder : TrimmedEfficientNet
        The layers.
    takers : iterable of nn.Conv2d
        The convolutions that take its features.
    """
    layers = [each for each in encoder.blocks.modules() if isinstance(each, nn.Conv2d)]
    for layer in [*layers, *takers]:
        assert isinstance(layer, nn.Conv2d)
        if layer.groups == 1:
            _pad_channels(layer)
        elif layer.out_channels % VECTOR:
            raise SettingsError(
                f"an encoder with {layer.out_channels} channels apart", f"Choose multiples of {VECTOR}."
            )


def _pad_channels(layer: nn.Conv2d) -> None:
    """Add idle inputs and outputs to a convolution, in place."""
    inputs, outputs = -layer.in_channels % VECTOR, -layer.out_channels % VECTOR
    layer.weight.data = nn.functional.pad(layer.weight.data, (0, 0, 0, 0, 0, inputs, 0, outputs))
    if layer.bias is not None:
        layer.bias.data = nn.functional.pad(layer.bias.data, (0, outputs))
    layer.in_channels += inputs
    layer.out_channels += outputs


def with_idle_outputs(layer: Any, *, vectors: int = 1) -> Any:
    """Return a 1 x 1 convolution or linear layer with idle outputs up to so many whole vectors.

    Processors compute a broken vector of outputs by a kernel whose rounding depends on the number of
    threads; whole vectors do not.
    """
    idle = -len(layer.weight) % (vectors * VECTOR)
    if isinstance(layer, nn.Conv2d):
        wider: Any = nn.Conv2d(layer.in_channels, layer.out_channels + idle, 1)
    else:
        wider = nn.Linear(layer.in_features, layer.out_features + idle)
    zeros = layer.weight.data.new_zeros((idle, *layer.weight.shape[1:]))
    wider.weight.data = torch.cat([layer.weight.data, zeros])
    wider.bias.data = torch.cat([layer.bias.data, layer.bias.data.new_zeros(idle)])
    return wider.requires_grad_(False)


class _SteadyConvolution(nn.Conv2d):
    """A convolution that is computed by one algorithm on a processor, however small its input is.

    Left to itself torch takes oneDNN for inputs of over 20480 numbers and another algorithm, which rounds
    otherwise, for smaller ones: a small tile would differ from the same place of a large one.
    """

    def forward(self, inputs: Tensor) -> Tensor:
        """Return what the convolution gives."""
        single = inputs.device.type == "cpu" and inputs.dtype == torch.float32
        if not single or not torch.backends.mkldnn.is_available():  # type: ignore[no-untyped-call]
            return super().forward(inputs)
        around: Any = self.padding
        computed: Tensor = torch.mkldnn_convolution(
            inputs, self.weight, self.bias, around, self.stride, self.dilation, self.groups
        )
        return computed


def steady_convolutions(network: nn.Module) -> None:
    """Make all convolutions wider than a pixel steady (`_SteadyConvolution`), in place."""
    for module in network.modules():
        if type(module) is nn.Conv2d and max(module.kernel_size) > 1:
            module.__class__ = _SteadyConvolution


def fold_batch_norms(network: torch.nn.Module) -> None:
    """Fold each batch norm into the convolution before it: the same function, fewer passes over memory."""
    from torch.nn.utils.fusion import fuse_conv_bn_weights

    for module in network.modules():
        children = list(module.named_children())
        for (_, first), (name, second) in pairwise(children):
            while isinstance(first, torch.nn.Sequential) and len(first):
                first = first[-1]
            if isinstance(first, torch.nn.Conv2d) and isinstance(second, torch.nn.BatchNorm2d):
                assert second.running_mean is not None
                assert second.running_var is not None
                first.weight, first.bias = fuse_conv_bn_weights(
                    first.weight,
                    first.bias,
                    second.running_mean,
                    second.running_var,
                    second.eps,
                    second.weight,
                    second.bias,
                )
                keep = getattr(second, "act", None)  # timm's norms may carry their activation
                setattr(module, name, torch.nn.Identity() if keep is None else keep)
