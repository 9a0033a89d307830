"""A tissue network ready to work: on its device, folded, in the layout and precision it likes."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from .folding import fold_batch_norms, steady_convolutions, widen_encoder, with_idle_outputs
from .session import DeviceSession, SessionSettings
from .tissue_network import TissueNetwork, TissueOutput

__all__ = ["TissueSession"]


class TissueSession(DeviceSession):
    """Runs a `TissueNetwork` over blocks; one per process, shared by its threads.

    Parameters
    ----------
    network : TissueNetwork
        With its weights; it is folded and moved, use it no further.
    settings : SessionSettings
        How to run it.
    """

    def __init__(self, network: TissueNetwork, settings: SessionSettings | None = None) -> None:
        network = network.eval().requires_grad_(False)
        fold_batch_norms(network)
        grade: Any = network.grade
        widen_encoder(network.encoder, [*network.lateral, grade[0][0]])
        network.gland[-1] = with_idle_outputs(network.gland[-1])
        grade[-1] = with_idle_outputs(grade[-1])
        steady_convolutions(network)
        self.network = network
        super().__init__(network, settings)

    def probabilities(self, pixels: Tensor) -> Tensor:
        """Return classes and glands as probabilities, in one row."""
        output = self.run(pixels)
        classes = torch.softmax(output.classes.float(), 1)
        return torch.cat([classes.flatten(), torch.sigmoid(output.glands.float()).flatten()])

    def run(self, pixels: Tensor) -> TissueOutput:
        """Run the network over what was uploaded; sides are multiples of the stride.

        On a processor one image at a time: a batch gains nothing there, and convolutions of another batch
        size may round differently.

        Raises
        ------
        DeviceFullError
            If the block is too large for the device's memory.
        """
        if self.device.type == "cpu" and len(pixels) > 1:
            outputs = [self.run(image[None]) for image in pixels]
            return TissueOutput(
                torch.cat([output.classes for output in outputs]),
                torch.cat([output.glands for output in outputs]),
            )
        output: TissueOutput = self.compute(pixels)
        return output
