"""A network ready to work: on its device, folded, in the layout and precision that the device likes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DeviceFullError, SettingsError
from .network import CellNetwork, DenseOutput, to_input

__all__ = ["InferenceSession", "SessionSettings", "choose_device"]


VECTOR = 16
"""Channels of a whole vector, on any processor at hand."""
HALF_TOLERANCE = 0.02
"""Greatest change of a heat map's probability that bfloat16 may bring."""
ROWS = 256
"""Nuclei read in one matrix product."""


@dataclass(frozen=True)
class SessionSettings:
    """How a network is run."""

    device: str = "auto"
    """``cpu``, ``cuda``, ``cuda:1``, ``mps``, or ``auto``: the first accelerator, else the processor."""
    half: bool = True
    """Compute in bfloat16 where the card can and `InferenceSession` finds the heat maps unharmed."""
    compile: bool = False
    """Let torch compile the network: minutes of start for long runs."""


def choose_device(name: str) -> torch.device:
    """Return the device of a name.

    Raises
    ------
    SettingsError
        If this machine has no such device.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise SettingsError(f"no device {name!r} on this machine", "Choose auto, cpu or cuda.") from error
    return device


class InferenceSession:
    """Runs a `CellNetwork` over blocks; one per process, shared by its threads.

    Threads take turns on the device, so while one block is computed the next are decoded and the last are
    written: the number of threads bounds how many blocks wait. Outputs do not depend on how images are
    batched: no layer looks across a batch.

    Parameters
    ----------
    network : CellNetwork
        With its weights; it is folded and moved, use it no further.
    settings : SessionSettings
        How to run it.
    """

    def __init__(self, network: CellNetwork, settings: SessionSettings | None = None) -> None:
        self.settings = settings or SessionSettings()
        self.device = choose_device(self.settings.device)
        network = network.eval().requires_grad_(False)
        fold_batch_norms(network)
        widen_encoder(network)
        widen_ends(network)
        self.network = network.to(self.device).to(memory_format=torch.channels_last)
        self.dtype = torch.float32
        self._forward: Any = self.network
        self.room_px: int | None = None
        """Pixels of the largest block that the device takes; None until one was too large for it."""
        self._turn = threading.Lock()
        self._copies: Any = None
        if self.device.type == "cuda":
            stream: Any = torch.cuda.Stream
            self._copies = stream(self.device)
        if self.settings.half and self.device.type == "cuda" and torch.cuda.is_bf16_supported():
            self._try_half()
        if self.settings.compile:
            self._forward = torch.compile(self.network, dynamic=True)

    def _try_half(self) -> None:
        """Go over to bfloat16 if the heat maps of a test image stay as they are."""
        noise = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
        image = np.kron(noise, np.ones((1, 8, 8, 1), np.uint8))  # patches of all colours, 8 px wide
        with self.turn():
            full = torch.sigmoid(self.run(self.upload(image)).heat.float())
        self.network.to(torch.bfloat16)
        self.dtype = torch.bfloat16
        with self.turn():
            half = torch.sigmoid(self.run(self.upload(image)).heat.float())
        if float((full - half).abs().max()) > HALF_TOLERANCE:
            self.network.to(torch.float32)
            self.dtype = torch.float32

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Hold the device: blocks of other threads wait.

        On a processor one thread computes, whatever torch is set to: convolutions split long sums by the
        number of threads, and results must not depend on it. Workers are processes, one per core.
        """
        with self._turn, torch.inference_mode():
            if self.device.type != "cpu":
                yield
                return
            threads = torch.get_num_threads()
            torch.set_num_threads(1)
            try:
                yield
            finally:
                torch.set_num_threads(threads)

    def upload(self, images: NDArray[np.uint8]) -> Tensor:
        """Bring (B, H, W, 3) pixels to the device; on a card beside the work on other blocks."""
        pixels = torch.from_numpy(np.ascontiguousarray(images))
        if self._copies is None:
            return pixels.to(self.device)
        with torch.cuda.stream(self._copies):
            moved = pixels.pin_memory().to(self.device, non_blocking=True)
        self._copies.synchronize()
        moved.record_stream(torch.cuda.default_stream(self.device))
        return moved

    def run(self, pixels: Tensor) -> DenseOutput:
        """Run the dense part over what was uploaded; sides are multiples of the stride.

        On a processor one image at a time: a batch gains nothing there, and convolutions of another batch
        size may round differently.

        Raises
        ------
        DeviceFullError
            If the block is too large for the device's memory; as large a one is not tried again.
        """
        size = pixels.shape[1] * pixels.shape[2]
        if self.room_px is not None and size > self.room_px:
            raise DeviceFullError(
                f"a block of {size / 1e6:.1f} MP, and {self.room_px / 1e6:.1f} MP fit the device",
                "Use smaller tiles.",
            )
        if self.device.type == "cpu" and len(pixels) > 1:
            outputs = [self.run(image[None]) for image in pixels]
            features = zip(*(output.features for output in outputs), strict=True)
            return DenseOutput(
                torch.cat([output.heat for output in outputs]), tuple(torch.cat(level) for level in features)
            )
        inputs = to_input(pixels).to(self.dtype).contiguous(memory_format=torch.channels_last)
        try:
            output: DenseOutput = self._forward(inputs)
        except torch.OutOfMemoryError as error:
            self.room_px = size // 2
            raise DeviceFullError(
                f"no memory for a block of {size / 1e6:.1f} MP", "Use smaller tiles."
            ) from error
        return output

    def finished(self) -> float:
        """Wait until the device has done what it was asked, and return the time."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def read(self, features: tuple[Tensor, ...], places: Tensor) -> tuple[Tensor, Tensor]:
        """Read outlines and class logits at places, float32 on the device.

        Matrix products of different heights may round differently in the last rows. All are made equally
        high, so that a nucleus comes out the same whichever others are read with it.
        """
        gathered = self.network.gather(features, places)
        count = len(gathered)
        gathered = torch.nn.functional.pad(gathered, (0, 0, 0, -count % ROWS))
        parts = [self.network.decode(part) for part in torch.split(gathered, ROWS)]
        if not parts:
            settings = self.network.settings
            return gathered.new_zeros((0, settings.rays)), gathered.new_zeros((0, len(settings.classes)))
        radii, classes = (torch.cat(column)[:count].float() for column in zip(*parts, strict=True))
        return radii, classes


def widen_encoder(network: CellNetwork) -> None:
    """Give a trimmed encoder's layers idle channels up to whole vectors, for the reason in `widen_ends`.

    Channels that only ever hold zeros change no other channel: batch norms are folded by now, and what
    follows a layer takes as many idle inputs as that layer has idle outputs.
    """
    if not network.settings.encoder_stages:
        return
    encoder: Any = network.encoder
    layers = [each for each in encoder.blocks.modules() if isinstance(each, torch.nn.Conv2d)]
    for layer in [*layers, *network.lateral]:
        assert isinstance(layer, torch.nn.Conv2d)
        if layer.groups == 1:
            _pad_channels(layer)
        elif layer.out_channels % VECTOR:
            raise SettingsError(
                f"an encoder with {layer.out_channels} channels apart", f"Choose multiples of {VECTOR}."
            )


def _pad_channels(layer: torch.nn.Conv2d) -> None:
    """Add idle inputs and outputs to a convolution, in place."""
    inputs, outputs = -layer.in_channels % VECTOR, -layer.out_channels % VECTOR
    layer.weight.data = torch.nn.functional.pad(layer.weight.data, (0, 0, 0, 0, 0, inputs, 0, outputs))
    if layer.bias is not None:
        layer.bias.data = torch.nn.functional.pad(layer.bias.data, (0, outputs))
    layer.in_channels += inputs
    layer.out_channels += outputs


def widen_ends(network: CellNetwork) -> None:
    """Give the last layers idle outputs up to whole vectors.

    Processors compute a broken vector of outputs by a kernel whose rounding depends on the number of
    threads; whole vectors do not.
    """
    head, reader = network.heat[1], network.reader[-1]
    assert isinstance(head, torch.nn.Conv2d)
    assert isinstance(reader, torch.nn.Linear)
    wide = torch.nn.Conv2d(head.in_channels, head.out_channels + -head.out_channels % VECTOR, 1)
    network.heat[1] = _with_idle_outputs(head, wide)
    broad = torch.nn.Linear(reader.in_features, reader.out_features + -reader.out_features % (4 * VECTOR))
    network.reader[-1] = _with_idle_outputs(reader, broad)


def _with_idle_outputs(layer: Any, wider: Any) -> Any:
    """Fill a wider layer with the weights of another, and zeros."""
    idle = len(wider.weight) - len(layer.weight)
    zeros = layer.weight.data.new_zeros((idle, *layer.weight.shape[1:]))
    wider.weight.data = torch.cat([layer.weight.data, zeros])
    wider.bias.data = torch.cat([layer.bias.data, layer.bias.data.new_zeros(idle)])
    return wider.requires_grad_(False)


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
