"""Labelled cells in memory at the working resolution, and batches of crops of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ....wsi import open_slide
from ...cell_crops import crops_around, framed_box
from ...labelled.cytology_cells import LabelledCell
from .colours import Style, mean_style, restain, style_of, vary_camera, vary_colours
from .config import CellsConfig
from .crops import Edges, draw_cell_crop

__all__ = ["CellSample", "CellSource", "classes_of_cells", "load_cells", "plain_crop"]

Batch = dict[str, Tensor]

ROOM = 1.6
"""Side of the window that is kept of a field, in sides of a crop."""

ON_FIELD = 0.65
"""Share of crops with exchanged surroundings that are laid on another field."""


@dataclass(frozen=True)
class CellSample:
    """One cell at the working resolution."""

    image: NDArray[np.uint8]
    """The picture of the cell, or a window of its field: (H, W, 3)."""
    centre: tuple[float, float]
    """Of the cell, x, y in px of ``image``."""
    is_picture: bool
    """Whether the image ends where the cell's picture was cut; windows of fields go on."""
    style: Style
    """Its colours."""
    set_name: str
    """Collection."""


def load_cells(cells: Sequence[LabelledCell], *, mpp: float, side: int) -> list[CellSample]:
    """Read cells by the same road as slides: `open_slide`, then a `Plane` at ``mpp``.

    Parameters
    ----------
    cells : sequence of LabelledCell
        What to read.
    mpp : float
        Resolution, um per px.
    side : int
        Side of the crops that will be cut, px.
    """
    order = sorted(range(len(cells)), key=lambda number: (str(cells[number].path), number))
    samples: dict[int, CellSample] = {}
    for _, members in groupby(order, key=lambda number: (cells[number].path, cells[number].mpp)):
        numbers = list(members)
        first = cells[numbers[0]]
        with open_slide(first.path, mpp=first.mpp) as slide:
            plane = slide.plane(mpp)
            whole = plane.read(0, 0, plane.width, plane.height)
            downsample = plane.downsample
        for number in numbers:
            samples[number] = _sample(cells[number], whole, downsample=downsample, side=side)
    return [samples[number] for number in range(len(cells))]


def _sample(cell: LabelledCell, whole: NDArray[np.uint8], *, downsample: float, side: int) -> CellSample:
    """Cut what is kept of one cell out of its image at the working resolution."""
    if cell.centre is None:
        height, width = whole.shape[:2]
        left, top, right, bottom = (
            np.rint(np.array(cell.box) / downsample).astype(int) if cell.box else (0, 0, width, height)
        )
        image = np.ascontiguousarray(whole[top:bottom, left:right])
        centre = (image.shape[1] / 2, image.shape[0] / 2)
    else:
        room = int(side * ROOM)
        x, y = (value / downsample for value in cell.centre)
        image = crops_around(whole, np.array([[x, y]]), room)[0]
        centre = (x - np.floor(x - room / 2 + 0.5), y - np.floor(y - room / 2 + 0.5))
    return CellSample(image, centre, cell.centre is None, style_of(image), cell.set_name)


def plain_crop(sample: CellSample, side: int) -> NDArray[np.uint8]:
    """Return the crop that a trained network is shown of a cell: (side, side, 3)."""
    if sample.is_picture:
        return framed_box(sample.image, side)
    return np.asarray(crops_around(sample.image, np.array([sample.centre]), side)[0])


def classes_of_cells(cells: Sequence[LabelledCell], config: CellsConfig) -> NDArray[np.bool_]:
    """Return which classes each cell may be: (N, K); none for a label that the network does not know."""
    allowed = np.zeros((len(cells), len(config.classes)), bool)
    for row, cell in zip(allowed, cells, strict=True):
        for name in config.classes_of(getattr(cell, config.labels)):
            row[config.classes.index(name)] = True
    return allowed


def _weigh(cells: Sequence[LabelledCell], config: CellsConfig) -> NDArray[np.float64]:
    """Return how often each cell is drawn: labels nearly evenly, and within a label small sets oftener."""
    labels = np.array([getattr(cell, config.labels) for cell in cells])
    sets = np.array([cell.set_name for cell in cells])
    weights = np.zeros(len(cells))
    for label in np.unique(labels):
        own = labels == label
        for name in np.unique(sets[own]):
            both = own & (sets == name)
            weights[both] = both.sum() ** -config.set_balance * config.shares.get(f"{name}/{label}", 1.0)
        share = own.sum() ** (1 - config.balance) * config.shares.get(str(label), 1.0)
        weights[own] *= share / weights[own].sum()
    return np.asarray(weights / weights.sum(), np.float64)


class CellSource(torch.utils.data.IterableDataset[Batch]):
    """Batches without end; a batch's number fixes its content, so a resumed run goes on as it would have.

    Parameters
    ----------
    cells : sequence of LabelledCell
        Whose label the network knows.
    samples : sequence of CellSample
        Their pixels.
    config : CellsConfig
        Shares, sizes, seed.
    first : int
        Number of the first batch.
    """

    def __init__(
        self,
        cells: Sequence[LabelledCell],
        samples: Sequence[CellSample],
        config: CellsConfig,
        *,
        first: int = 0,
    ) -> None:
        super().__init__()
        self.samples, self.config, self.first = samples, config, first
        self.side = config.network_settings().side
        self.allowed = classes_of_cells(cells, config)
        self.trust = np.array([config.assumed_weight if cell.assumed else 1.0 for cell in cells], np.float32)
        self.weights = _weigh(cells, config)
        self.styles = {
            name: mean_style([one.style for one in samples if one.set_name == name])
            for name in sorted({one.set_name for one in samples})
        }
        self.grounds = [sample for sample in samples if not sample.is_picture]
        """Windows of fields: surroundings to put cells into."""

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
        random = np.random.default_rng([self.config.seed, index])
        chosen = random.choice(len(self.samples), self.config.batch, p=self.weights)
        images = np.stack([self._crop(self.samples[int(number)], random) for number in chosen])
        return {
            "images": torch.from_numpy(images),
            "allowed": torch.from_numpy(self.allowed[chosen]),
            "trust": torch.from_numpy(self.trust[chosen]),
        }

    def _crop(self, sample: CellSample, random: np.random.Generator) -> NDArray[np.uint8]:
        """Draw one crop of a cell, its surroundings and colours varied."""
        config = self.config
        exchanged, ground = random.random() < config.frame_share, None
        if exchanged and self.grounds and random.random() < ON_FIELD:
            ground = self.grounds[int(random.integers(len(self.grounds)))].image
        crop = draw_cell_crop(
            sample.image,
            sample.centre,
            random,
            side=self.side,
            scales=config.scales,
            shift=config.shift_um / config.mpp,
            edges=Edges(sample.is_picture, exchanged, ground),
        )
        if random.random() < config.style_share:
            other = list(self.styles)[int(random.integers(len(self.styles)))]
            own, wanted = self.styles[sample.set_name], self.styles[other]
            crop = restain(crop, own, wanted, amount=float(random.uniform(0.5, 1.0)))
        return vary_camera(vary_colours(crop, random, strength=config.colour_strength), random)
