"""A network ready to work: on its device, folded, in the layout and precision that the device likes."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import DeviceFullError, SettingsError
from .folding import fold_batch_norms, steady_convolutions, widen_encoder, with_idle_outputs
from .network import CellNetwork, DenseOutput, to_input

__all__ = ["DeviceSession", "InferenceSession", "SessionSettings", "choose_device"]


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


class DeviceSession:
    """Runs a network over blocks; one per process, shared by its threads.

    Threads take turns on the device, so while one block is computed the next are decoded and the last are
    written: the number of threads bounds how many blocks wait. Outputs do not depend on how images are
    batched: no layer looks across a batch.

    Parameters
    ----------
    network : nn.Module
        With its weights, folded; it is moved, use it no further.
    settings : SessionSettings
        How to run it.
    """

    def __init__(self, network: torch.nn.Module, settings: SessionSettings | None = None) -> None:
        self.settings = settings or SessionSettings()
        self.device = choose_device(self.settings.device)
        network = network.eval().requires_grad_(False)
        self._module = network.to(self.device).to(memory_format=torch.channels_last)
        self.dtype = torch.float32
        self._forward: Any = self._module
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
            self._forward = torch.compile(self._module, dynamic=True)

    def _try_half(self) -> None:
        """Go over to bfloat16 if the probabilities of a test image stay as they are."""
        noise = np.random.default_rng(0).integers(0, 256, (1, 32, 32, 3), dtype=np.uint8)
        image = np.kron(noise, np.ones((1, 8, 8, 1), np.uint8))  # patches of all colours, 8 px wide
        with self.turn():
            full = self.probabilities(self.upload(image))
        self._module.to(torch.bfloat16)
        self.dtype = torch.bfloat16
        with self.turn():
            half = self.probabilities(self.upload(image))
        if float((full - half).abs().max()) > HALF_TOLERANCE:
            self._module.to(torch.float32)
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

    def finished(self) -> float:
        """Wait until the device has done what it was asked, and return the time."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def probabilities(self, pixels: Tensor) -> Tensor:
        """Return what half precision must not change, as probabilities in float32."""
        raise NotImplementedError

    def compute(self, pixels: Tensor) -> Any:
        """Run the network over what was uploaded; sides are multiples of the stride.

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
        inputs = to_input(pixels).to(self.dtype).contiguous(memory_format=torch.channels_last)
        try:
            return self._forward(inputs)
        except torch.OutOfMemoryError as error:
            self.room_px = size // 2
            raise DeviceFullError(
                f"no memory for a block of {size / 1e6:.1f} MP", "Use smaller tiles."
            ) from error


class InferenceSession(DeviceSession):
    """Runs a `CellNetwork` over blocks, and reads nuclei from what it gives.

    Parameters
    ----------
    network : CellNetwork
        With its weights; it is folded and moved, use it no further.
    settings : SessionSettings
        How to run it.
    """

    def __init__(self, network: CellNetwork, settings: SessionSettings | None = None) -> None:
        network = network.eval().requires_grad_(False)
        fold_batch_norms(network)
        if network.settings.encoder_stages:
            widen_encoder(network.encoder, network.lateral)
        steady_convolutions(network)
        network.heat[1] = with_idle_outputs(network.heat[1])
        network.reader[-1] = with_idle_outputs(network.reader[-1], vectors=4)
        self.network = network
        super().__init__(network, settings)

    def probabilities(self, pixels: Tensor) -> Tensor:
        """Return the heat maps as probabilities."""
        return torch.sigmoid(self.run(pixels).heat.float())

    def run(self, pixels: Tensor) -> DenseOutput:
        """Run the dense part over what was uploaded; sides are multiples of the stride.

        On a processor one image at a time: a batch gains nothing there, and convolutions of another batch
        size may round differently.

        Raises
        ------
        DeviceFullError
            If the block is too large for the device's memory.
        """
        if self.device.type == "cpu" and len(pixels) > 1:
            outputs = [self.run(image[None]) for image in pixels]
            features = zip(*(output.features for output in outputs), strict=True)
            return DenseOutput(
                torch.cat([output.heat for output in outputs]), tuple(torch.cat(level) for level in features)
            )
        output: DenseOutput = self.compute(pixels)
        return output

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
