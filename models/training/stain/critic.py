"""The critic: tells crops of a site from crops that were made to look like them."""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["StainCritic"]


class StainCritic(nn.Module):
    """Judges patches of 18 px by their pixels alone, with one judgement per site.

    Small patches, so that it must look at colour: what tissue a site shows, nobody can translate.

    Parameters
    ----------
    sites : int
        How many.
    width : int
        Channels of the first layer.
    """

    def __init__(self, sites: int, *, width: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(width, 2 * width, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * width, 2 * width, 3, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * width, sites, 1),
        )

    def forward(self, images: Tensor, sites: Tensor) -> Tensor:
        """Return judgements (B, h, w) of darkness (B, 3, H, W): 1 for what the sites (B,) would show."""
        judged: Tensor = self.layers(2.0 * images - 1.0)
        return judged[torch.arange(len(sites), device=sites.device), sites]
