"""Batches of crops: what is drawn depends on the seed and the number of the batch alone."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from .config import TrainingConfig
from .crops import JITTERS, Crop, StainJitter, draw_crop, jitter_stain
from .samples import Sample

__all__ = ["CropSource", "draw_ahead"]

Batch = dict[str, Tensor]


class CropSource(torch.utils.data.IterableDataset[Batch]):
    """Batches without end; a batch's number fixes its content, so a resumed run goes on as it would have.

    Parameters
    ----------
    samples : sequence of Sample
        Real images, all scales.
    phantoms : sequence of Sample
        Painted images.
    config : TrainingConfig
        Shares, sizes, seed.
    first : int
        Number of the first batch.
    """

    def __init__(
        self, samples: Sequence[Sample], phantoms: Sequence[Sample], config: TrainingConfig, *, first: int = 0
    ) -> None:
        super().__init__()
        self.samples, self.phantoms, self.config, self.first = samples, phantoms, config, first
        self.rays = config.network_settings().rays
        self.weights = _weigh(samples, config.sources, empty_share=config.empty_share)

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
        painted = 1.0 if index < config.phantom_steps or not self.samples else config.phantoms
        crops = []
        for _ in range(config.batch):
            if self.phantoms and random.random() < painted:
                sample = self.phantoms[int(random.integers(len(self.phantoms)))]
            else:
                sample = self.samples[int(random.choice(len(self.samples), p=self.weights))]
            crops.append(draw_crop(sample, random, side=config.crop_px, rays=self.rays))
        jitter = JITTERS.get(config.stain, StainJitter())
        images = jitter_stain(
            np.stack([crop.image for crop in crops]), random, stain=config.stain, jitter=jitter
        )
        return _collate(images, crops)


def draw_ahead(source: torch.utils.data.IterableDataset[Batch], *, device: torch.device) -> Iterator[Batch]:
    """Yield the batches of a source, drawn ahead in other processes where there are cores for them.

    With one thread for torch there is no core to spare: then batches are drawn in between. Their content is
    the same in either case.
    """
    threads = torch.get_num_threads()
    spare = 0 if threads == 1 else 1
    workers = spare if device.type == "cpu" else min(8, threads) * spare
    loader = torch.utils.data.DataLoader(
        source,
        batch_size=None,
        num_workers=workers,
        prefetch_factor=4 if workers else None,
        pin_memory=device.type == "cuda",
    )
    with warnings.catch_warnings():
        # From Python 3.12 on every fork beside threads warns; the workers use numpy and one thread only.
        warnings.filterwarnings("ignore", message=".*fork.*", category=DeprecationWarning)
        batches: Iterator[Batch] = iter(loader)
    return batches


def _weigh(
    samples: Sequence[Sample], sources: dict[str, float], *, empty_share: float = 0.0
) -> NDArray[np.float64]:
    """Return how often each sample is drawn."""
    names = np.array([sample.source for sample in samples], dtype=object)
    # Within a collection, images with more nuclei say more, but not in proportion.
    weights = np.sqrt([len(sample.x) + 1.0 for sample in samples])
    empty = np.array([not len(sample.x) and all(sample.complete) for sample in samples], bool)
    for name in set(names):
        members = names == name
        for kind, share in ((members & empty, empty_share), (members & ~empty, 1.0 - empty_share)):
            if empty_share and kind.any():
                weights[kind] *= share / weights[kind].sum()
        weights[members] *= (sources[name] if sources else 1.0) / weights[members].sum()
    return np.asarray(weights / weights.sum() if len(weights) else weights, np.float64)


def _collate(images: NDArray[np.uint8], crops: list[Crop]) -> Batch:
    """Stack crops; the number of places differs, so they carry the number of their crop."""
    places = [
        np.column_stack([np.full(len(crop.places), number), crop.places]) for number, crop in enumerate(crops)
    ]
    return {
        "images": torch.from_numpy(images),
        "heat": torch.from_numpy(np.stack([crop.heat for crop in crops])),
        "weight": torch.from_numpy(np.stack([crop.weight for crop in crops])),
        "places": torch.from_numpy(np.concatenate(places).astype(np.int64)),
        "radii": torch.from_numpy(np.concatenate([crop.radii for crop in crops])),
        "ray_weight": torch.from_numpy(np.concatenate([crop.ray_weight for crop in crops])),
        "classes": torch.from_numpy(np.concatenate([crop.classes for crop in crops])),
    }
