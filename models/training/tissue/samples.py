"""Graded images in memory, and batches of crops from them at random scales, colours and turns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from ....wsi import open_slide
from ...labelled.colorectal import GradedImage
from ...tissue_classes import COLORECTAL_GRADES
from ...tissue_network import GLAND_STRIDE
from ..crops import StainJitter, jitter_stain
from .config import TissueConfig

__all__ = ["GradedCrop", "GradedSample", "GradedSource", "draw_graded_crop", "load_graded", "scaled_jitter"]

Batch = dict[str, Tensor]
T = TypeVar("T", bound=np.generic)

UNKNOWN = -1
"""Class of a crop that nobody graded."""


@dataclass(frozen=True)
class GradedSample:
    """One image at the working resolution with what is known about it."""

    image: NDArray[np.uint8]
    """Pixels: (H, W, 3)."""
    glands: NDArray[np.bool_] | None
    """Where the glands are: (H, W); None where nobody said."""
    label: int
    """Index of its class, -1 where unknown."""


@dataclass(frozen=True)
class GradedCrop:
    """One training example."""

    image: NDArray[np.uint8]
    """(S, S, 3), in its own colours."""
    glands: NDArray[np.float32]
    """Share of gland in each cell of the gland map: (S/4, S/4); zeros where unknown."""
    known: bool
    """Whether glands were drawn."""
    label: int
    """Index of the class, -1 where unknown."""


def load_graded(images: Sequence[GradedImage], *, mpp: float, classes: Sequence[str]) -> list[GradedSample]:
    """Read images by the same road as slides: `open_slide`, then a `Plane` at ``mpp``.

    Parameters
    ----------
    images : sequence of GradedImage
        What to read.
    mpp : float
        Resolution, um per px.
    classes : sequence of str
        Of the network; an image of none of them has an unknown class.
    """
    samples = []
    for image in images:
        with open_slide(image.path, mpp=image.mpp) as slide:
            plane = slide.plane(mpp)
            pixels = plane.read(0, 0, plane.width, plane.height)
            downsample = plane.downsample
        glands = image.read_glands()
        if glands is not None:
            height, width = pixels.shape[:2]
            rows = ((np.arange(height) + 0.5) * downsample).astype(int).clip(0, glands.shape[0] - 1)
            columns = ((np.arange(width) + 0.5) * downsample).astype(int).clip(0, glands.shape[1] - 1)
            glands = glands[np.ix_(rows, columns)]
        label = classes.index(image.label) if image.label in classes else UNKNOWN
        samples.append(GradedSample(pixels, glands, label))
    return samples


def scaled_jitter(strength: float) -> StainJitter:
    """Return colour variation of a strength: 0 is none, 1 that of training on nuclei."""
    usual = StainJitter()
    low, high = np.array([usual.hematoxylin, usual.second]).T
    # Factors widen on a log scale, so that a doubled strength squares them.
    (hematoxylin, second) = zip(low**strength, high**strength, strict=True)
    return StainJitter(
        hematoxylin=hematoxylin,
        second=second,
        hue=usual.hue * strength,
        tint=usual.tint * strength,
        noise=usual.noise * strength,
        blur=min(1.0, usual.blur * strength),
    )


def draw_graded_crop(
    sample: GradedSample, random: np.random.Generator, *, side: int, scales: tuple[float, float]
) -> GradedCrop:
    """Cut a random square at a random scale, mirrored and turned by quarters.

    An image that is smaller than the square goes on as its own mirror image, which has the same class.

    Parameters
    ----------
    sample : GradedSample
        Where from.
    random : Generator
        Source of all choices.
    side : int
        Side of the crop, px.
    scales : (float, float)
        Coarsest and finest are chosen evenly on a log scale between these factors of the resolution.
    """
    factor = float(np.exp(random.uniform(*np.log(scales))))
    extent = side * factor
    need = int(np.ceil(extent))
    image, glands = _mirrored(sample.image, need), sample.glands
    height, width = image.shape[:2]
    left, top = random.uniform(0, width - extent + 1e-9), random.uniform(0, height - extent + 1e-9)
    box = (left, top, min(left + extent, width), min(top + extent, height))
    cut = np.asarray(Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR, box=box))
    grid = side // GLAND_STRIDE
    share = np.zeros((grid, grid), np.float32)
    if glands is not None:
        drawn = Image.fromarray(_mirrored(glands, need).astype(np.uint8) * 255)
        share = np.asarray(drawn.resize((grid, grid), Image.Resampling.BOX, box=box), np.float32) / 255.0
    turn = int(random.integers(8))
    return GradedCrop(_turn(cut, turn), _turn(share, turn), glands is not None, sample.label)


def _weigh(labels: Sequence[int], config: TissueConfig) -> NDArray[np.float64]:
    """Return how often each image is drawn: grades nearly evenly, and within a grade rare classes oftener."""
    classes = config.network_settings().classes
    grade_of = {
        classes.index(name): number
        for number, group in enumerate(COLORECTAL_GRADES)
        for name in group
        if name in classes
    }
    grades = np.array([grade_of.get(label, -1 - label) for label in labels])
    _, member, counts = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    weights = counts[member] ** -config.balance
    for grade in np.unique(grades):
        own = grades == grade
        weights[own] *= own.sum() ** (1 - config.grade_balance) / weights[own].sum()
    return np.asarray(weights / weights.sum(), np.float64)


def _mirrored(image: NDArray[T], need: int) -> NDArray[T]:
    """Enlarge an image with its mirror image to at least ``need`` px each way."""
    down, right = (max(0, need - size) for size in image.shape[:2])
    if not down and not right:
        return image
    return np.pad(image, ((0, down), (0, right), *[(0, 0)] * (image.ndim - 2)), mode="symmetric")


def _turn(image: NDArray[T], number: int) -> NDArray[T]:
    """Apply one of the eight symmetries of the square."""
    if number >= 4:
        image = image[:, ::-1]
    return np.ascontiguousarray(np.rot90(image, number % 4))


class GradedSource(torch.utils.data.IterableDataset[Batch]):
    """Batches without end; a batch's number fixes its content, so a resumed run goes on as it would have.

    Parameters
    ----------
    samples : sequence of GradedSample
        Graded images.
    unlabelled : sequence of GradedSample
        Images without a grade.
    config : TissueConfig
        Shares, sizes, seed.
    first : int
        Number of the first batch.
    """

    def __init__(
        self,
        samples: Sequence[GradedSample],
        unlabelled: Sequence[GradedSample],
        config: TissueConfig,
        *,
        first: int = 0,
    ) -> None:
        super().__init__()
        self.samples, self.unlabelled, self.config, self.first = samples, unlabelled, config, first
        self.weights = _weigh([sample.label for sample in samples], config)
        self.jitter = scaled_jitter(config.stain_strength)

    def __iter__(self) -> Iterator[Batch]:
        """Yield batches; workers take turns."""
        worker = torch.utils.data.get_worker_info()
        number, step = (worker.id, worker.num_workers) if worker else (0, 1)
        index = self.first + number
        while True:
            yield self.batch(index)
            index += step

    def batch(self, index: int) -> Batch:
        """Make one batch: graded crops, then those without a grade."""
        config = self.config
        random = np.random.default_rng([config.seed, index])
        chosen = random.choice(len(self.samples), config.batch, p=self.weights)
        drawn = [self.samples[int(number)] for number in chosen]
        if self.unlabelled:
            others = random.integers(len(self.unlabelled), size=config.unlabelled_crops)
            drawn += [self.unlabelled[int(number)] for number in others]
        crops = [
            draw_graded_crop(sample, random, side=config.crop_px, scales=config.scales) for sample in drawn
        ]
        plain = np.stack([crop.image for crop in crops])
        varied = plain
        if config.stain_strength:
            varied = jitter_stain(plain, random, stain="H&E", jitter=self.jitter)
        return {
            "plain": torch.from_numpy(plain),
            "images": torch.from_numpy(varied),
            "glands": torch.from_numpy(np.stack([crop.glands for crop in crops])),
            "known": torch.from_numpy(np.array([crop.known for crop in crops])),
            "labels": torch.from_numpy(np.array([crop.label for crop in crops], np.int64)),
        }
