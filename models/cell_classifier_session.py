"""A cell-class network ready to work: on its device, folded, and in groups of crops that are all alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .cell_classifier_network import CellClassNetwork
from .folding import fold_batch_norms, steady_convolutions, widen_encoder, with_idle_outputs
from .session import DeviceSession, SessionSettings
from .turned_views import turn_pixels

__all__ = ["CellClassSession"]

GROUP = 8
"""Most crops that a processor takes at once: for one side always as many, the last group filled up, so that
every crop is computed by the same kernels; small ones are twice as fast as one by one."""
GROUP_PX = 4 * 224 * 224
"""Pixels of a group: with more, each layer's output is too large for memory that is used again and again."""
CARD_GROUP = 128
"""The same on an accelerator."""


class CellClassSession(DeviceSession):
    """Runs a `CellClassNetwork` over crops; one per process, shared by its threads.

    Parameters
    ----------
    network : CellClassNetwork
        With its weights; it is folded and moved, use it no further.
    settings : SessionSettings
        How to run it.
    threads : int
        Groups that a processor computes side by side; each is computed by one thread, so the number changes
        nothing but the time.
    """

    def __init__(
        self, network: CellClassNetwork, settings: SessionSettings | None = None, *, threads: int = 1
    ) -> None:
        network = network.eval().requires_grad_(False)
        fold_batch_norms(network)
        widen_encoder(network.encoder, [])
        network.classify = _widened(network)
        steady_convolutions(network)
        self.network = network
        self.threads = threads
        super().__init__(network, settings)

    def probabilities(self, pixels: Tensor) -> Tensor:
        """Return the classes of crops as probabilities."""
        return torch.softmax(self.compute(pixels).float(), 1)

    def logits(self, crops: NDArray[np.uint8], *, views: int = 1) -> NDArray[np.float32]:
        """Return the logits of crops, the mean over turned views: (N, K).

        Parameters
        ----------
        crops : (N, S, S, 3) uint8 array
            Pixels.
        views : int
            How many of the eight mirrored and turned views are averaged.
        """
        own = max(1, min(GROUP, GROUP_PX // self.network.settings.side**2))
        size = own if self.device.type == "cpu" else CARD_GROUP
        groups = [crops[start : start + size] for start in range(0, len(crops), size)]
        classes = len(self.network.settings.classes)
        if not groups:
            return np.zeros((0, classes), np.float32)

        def compute(group: NDArray[np.uint8]) -> NDArray[np.float32]:
            whole = np.pad(group, ((0, size - len(group)), (0, 0), (0, 0), (0, 0)))
            return self._mean_of_views(whole, views)[: len(group)]

        with self.turn():
            if self.threads == 1 or self.device.type != "cpu":
                return np.concatenate([compute(group) for group in groups])
            # torch keeps its number of threads for each thread, so each worker is told anew.
            with ThreadPoolExecutor(self.threads, initializer=torch.set_num_threads, initargs=(1,)) as pool:
                return np.concatenate(list(pool.map(compute, groups)))

    def _mean_of_views(self, group: NDArray[np.uint8], views: int) -> NDArray[np.float32]:
        """Return the mean logits of one whole group."""
        with torch.inference_mode():
            pixels = self.upload(group)
            seen = [self.compute(turn_pixels(pixels, number)).float() for number in range(views)]
            return np.asarray(torch.stack(seen).mean(0).cpu().numpy(), np.float32)


def _widened(network: CellClassNetwork) -> Any:
    """Return the last layer with as many inputs as the widened encoder gives, and whole vectors out."""
    layer: Any = network.classify
    last = [each for each in network.encoder.modules() if isinstance(each, torch.nn.Conv2d)][-1]
    idle = last.out_channels - layer.in_features
    wider: Any = torch.nn.Linear(last.out_channels, layer.out_features)
    wider.weight.data = torch.nn.functional.pad(layer.weight.data, (0, idle))
    wider.bias.data = layer.bias.data
    return with_idle_outputs(wider.requires_grad_(False))
