"""Fields of several sites in memory, and batches of pairs of crops from two sites each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ....errors import SettingsError
from .config import StainConfig

__all__ = ["SiteField", "SitePairs", "draw_stain_crop"]

Batch = dict[str, Tensor]


@dataclass(frozen=True)
class SiteField:
    """One image of a site with its look."""

    site: str
    """Name of the set."""
    name: str
    """Name of the image in it."""
    image: NDArray[np.uint8]
    """Pixels: (H, W, 3)."""
    mpp: float
    """um per px."""
    white: NDArray[np.float64]
    """White point: (3,)."""
    look: NDArray[np.float64]
    """The stains of this image (`transfer_stains`): (10,)."""


def draw_stain_crop(
    field: SiteField, random: np.random.Generator, *, side: int, scales: tuple[float, float]
) -> NDArray[np.uint8]:
    """Cut a random square at a random resolution, mirrored and turned by quarters: (side, side, 3).

    Parameters
    ----------
    field : SiteField
        Where from; it goes on as its own mirror image where it is too small.
    random : Generator
        Source of all choices.
    side : int
        px.
    scales : (float, float)
        Finest and coarsest resolution, um per px, chosen evenly on a log scale; never finer than the field.
    """
    finest = max(scales[0], field.mpp)
    mpp = float(np.exp(random.uniform(np.log(finest), np.log(max(finest, scales[1])))))
    extent = side * mpp / field.mpp
    image = field.image
    short = [max(0, int(np.ceil(extent)) - size) for size in image.shape[:2]]
    if any(short):
        image = np.pad(image, ((0, short[0]), (0, short[1]), (0, 0)), mode="symmetric")
    height, width = image.shape[:2]
    left, top = random.uniform(0, width - extent + 1e-9), random.uniform(0, height - extent + 1e-9)
    box = (left, top, min(left + extent, width), min(top + extent, height))
    cut = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR, box=box))
    turn = int(random.integers(8))
    if turn >= 4:
        cut = cut[:, ::-1]
    return np.ascontiguousarray(np.rot90(cut, turn % 4))


class SitePairs(torch.utils.data.IterableDataset[Batch]):
    """Batches without end; a batch's number fixes its content, so a resumed run goes on as it would have.

    Each pair is a crop to translate, ``x``, and one of another site, ``y``, whose look it is to take. Sites
    are drawn equally often; for a plain generator ``y`` is of the target site and ``x`` of any other.

    Parameters
    ----------
    fields : sequence of SiteField
        Of all sites.
    config : StainConfig
        Sizes, seed.
    first : int
        Number of the first batch.
    """

    def __init__(self, fields: Sequence[SiteField], config: StainConfig, *, first: int = 0) -> None:
        super().__init__()
        self.config, self.first = config, first
        self.fields = {site: [one for one in fields if one.site == site] for site in config.sites}
        empty = [site for site, members in self.fields.items() if not members]
        if empty:
            raise SettingsError(
                f"no field of {empty[0]} whose stains can be told",
                "Leave the site out, or add fields of H&E.",
            )

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches; workers take turns."""
        worker = torch.utils.data.get_worker_info()
        number, step = (worker.id, worker.num_workers) if worker else (0, 1)
        index = self.first + number
        while True:
            yield self.batch(index)
            index += step

    def batch(self, index: int) -> Batch:
        """Make one batch."""
        config = self.config
        random = np.random.default_rng([config.seed, index])
        sites = [self._sites(random) for _ in range(config.batch)]
        made: Batch = {}
        for side, number in (("x", 0), ("y", 1)):
            chosen = [self._field(pair[number], random) for pair in sites]
            scales = (config.finest_mpp, config.coarsest_mpp)
            crops = [draw_stain_crop(one, random, side=config.crop_px, scales=scales) for one in chosen]
            made[side] = torch.from_numpy(np.stack(crops))
            made[f"{side}_white"] = torch.from_numpy(
                np.stack([one.white for one in chosen]).astype(np.float32)
            )
            made[f"{side}_look"] = torch.from_numpy(np.stack([one.look for one in chosen]).astype(np.float32))
            made[f"{side}_site"] = torch.tensor([config.sites.index(pair[number]) for pair in sites])
        others = [self._field(str(random.choice(config.sites)), random) for _ in range(config.batch)]
        made["other_look"] = torch.from_numpy(np.stack([one.look for one in others]).astype(np.float32))
        # How far towards that look, or beyond it; 0 for crops that stay as they are.
        far = random.uniform(0.2, 1.4, config.batch) * (random.random(config.batch) < config.jitter)
        made["far"] = torch.from_numpy(far.astype(np.float32))
        return made

    def _sites(self, random: np.random.Generator) -> tuple[str, str]:
        """Draw the sites of a pair."""
        config = self.config
        first, second = (str(site) for site in random.choice(config.sites, 2, replace=False))
        if config.guided:
            return first, second
        return second if first == config.plain_target else first, config.plain_target

    def _field(self, site: str, random: np.random.Generator) -> SiteField:
        """Draw a field of a site."""
        members = self.fields[site]
        return members[int(random.integers(len(members)))]
