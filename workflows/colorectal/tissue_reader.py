"""What looks at a tile: the network that maps tissue, and the one that finds signet-ring cells."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelNotFoundError, SettingsError
from ...models import CellTable
from ...models.tissue_classes import COLORECTAL_CLASSES
from ..slides.learned_model import LearnedModel, ModelReader, loaded_network, loaded_tissue, object_reach_px

if TYPE_CHECKING:
    from ...models.card import ModelCard
    from ...models.registry import LicencePolicy

__all__ = [
    "GLAND_STEP",
    "LearnedSignet",
    "LearnedTissue",
    "Mistakes",
    "SignetReader",
    "TissueReader",
    "choose_signet",
    "choose_tissue",
    "learned_tissue",
]

Bytes = NDArray[np.uint8]
Mistakes = Sequence[tuple[int, int, float]]
"""Rank of a class as it is, the rank it is taken for by mistake, or beyond, and the share of its area."""

GLAND_STEP = 4
"""Cells of the gland map per cell of the class map, each way: strides 4 and 16."""
GLAND_THRESHOLD = 0.5
"""Probability from which a place is gland where the model's card names no threshold."""
USUAL_RADIUS_UM = 20.0
"""Largest radius of a signet-ring cell where the model's card names none, um."""
SIGNET_TASK = "signet-ring-detection"
FALSE_METRIC = r"false detections per crop of ([\d.]+) x ([\d.]+) um at the card's threshold"
"""Name of the metric of a card that says how many false cells its threshold lets through."""
MISTAKE_METRIC = "gland area of rank {low} on slides that is taken for rank {high} or worse"
"""Name of the metrics of a card that say how much of a class is taken for a worse one."""
WORST_RANK = 3


class TissueReader(ModelReader, Protocol):
    """What the workflow needs of a tissue network; small, and cheap to send to a worker."""

    @property
    def reach_px(self) -> int:
        """How far from a place anything can influence its map, px."""

    @property
    def gland_threshold(self) -> float:
        """Probability from which a place is gland."""

    @property
    def mistakes(self) -> Mistakes:
        """How much of a class it takes for a worse one, as far as its card says so."""

    @property
    def learnt_colours(self) -> str:
        """Method by which its training images were normalised: the colours that it must be shown."""

    @property
    def runs_on_card(self) -> bool:
        """Whether it computes on an accelerator, which one process then holds."""

    def read(self, image: Bytes, *, seconds: dict[str, float]) -> tuple[Bytes, Bytes]:
        """Map an image (H, W, 3), sides multiples of 16; adds to the seconds by phase.

        Returns
        -------
        classes : (K, H/16, W/16) uint8 array
            Probability of each of `COLORECTAL_CLASSES`, 255 for 1.
        glands : (H/4, W/4) uint8 array
            Probability of gland, 255 for 1.
        """


class SignetReader(ModelReader, Protocol):
    """What the workflow needs of a detector of signet-ring cells."""

    @property
    def stride(self) -> int:
        """Windows begin on multiples of this many px."""

    @property
    def reach_px(self) -> int:
        """How far from its centre anything can influence a cell, px."""

    @property
    def false_per_mm2(self) -> float | None:
        """Cells per mm2 that it finds where there are none; None: not known."""

    def find(self, image: Bytes, *, seconds: dict[str, float]) -> CellTable:
        """Find the cells of an image (H, W, 3), sides multiples of the stride."""


@dataclass(frozen=True, kw_only=True)
class LearnedTissue(LearnedModel):
    """A trained tissue network, by its card and weights; each worker loads it once."""

    reach_px: int
    gland_threshold: float = GLAND_THRESHOLD
    mistakes: tuple[tuple[int, int, float], ...] = ()
    learnt_colours: str = "none"
    """Method by which its training images were normalised."""

    def read(self, image: Bytes, *, seconds: dict[str, float]) -> tuple[Bytes, Bytes]:
        """Map an image; the first call in a process loads the network."""
        classifier = loaded_tissue(*self.place)
        started = time.perf_counter()
        found = classifier.map_tissue(image)
        _spend(seconds, "network", started)
        return to_bytes(found.classes), to_bytes(found.glands)

    def facts(self) -> dict[str, Any]:
        """Name, version and weights."""
        told: dict[str, Any] = {"gland_threshold": self.gland_threshold, "mpp": self.mpp}
        if self.mistakes:
            told["mistakes"] = [list(each) for each in self.mistakes]
        return {**super().facts(), **told}


@dataclass(frozen=True, kw_only=True)
class LearnedSignet(LearnedModel):
    """A trained detector of signet-ring cells, by its card and weights; each worker loads it once."""

    stride: int
    reach_px: int
    false_per_mm2: float | None = None
    """Cells per mm2 that it finds where there are none, as its card has it."""

    def find(self, image: Bytes, *, seconds: dict[str, float]) -> CellTable:
        """Find cells; the first call in a process loads the network."""
        detector = loaded_network(*self.place)
        started = time.perf_counter()
        cells = detector.detect(image)
        _spend(seconds, "signet", started)
        return cells

    def facts(self) -> dict[str, Any]:
        """Name, version and weights."""
        return {**super().facts(), "mpp": self.mpp}


def to_bytes(probability: NDArray[np.floating[Any]]) -> Bytes:
    """Return probabilities as whole numbers of 255ths: what lies on disk, and what is measured."""
    return np.asarray(np.rint(np.clip(probability, 0, 1) * np.float32(255)), np.uint8)


def choose_tissue(model: str, *, policy: LicencePolicy = "research", device: str = "auto") -> LearnedTissue:
    """Find the tissue network that a user asks for.

    Parameters
    ----------
    model : str
        ``auto`` for the best that the policy allows, else a model's name.
    policy : {"research", "permissive"}
        Whether weights trained on data for research only may be used.
    device : str
        ``auto``, ``cpu``, ``cuda``.

    Raises
    ------
    ModelNotFoundError, ModelRefusedError, DamagedWeightsError
        From the registry.
    SettingsError
        If the model does something else, or tells other classes apart.
    """
    from ...models.registry import Registry

    registry = Registry(policy=policy)
    if model == "auto":
        model = next(
            (
                card.name
                for card in registry.ranked(task="tissue-classification", stain="H&E")
                if card.classes == COLORECTAL_CLASSES
            ),
            "",
        )
    if not model:
        raise ModelNotFoundError(
            f"no model that grades colorectal tissue is at hand under the licence policy {policy}",
            "Train one with slidelab train tissue; slidelab models list shows all.",
        )
    entry = registry.find(model)
    card = entry.card
    if card.task != "tissue-classification" or card.classes != COLORECTAL_CLASSES:
        raise SettingsError(
            f"model {card.name} is for {card.task} of {', '.join(card.classes)}",
            f"Choose one that tells {', '.join(COLORECTAL_CLASSES)} apart.",
        )
    return learned_tissue(card, entry.weights, device=device)


def learned_tissue(card: ModelCard, weights: Path, *, device: str = "auto") -> LearnedTissue:
    """Return what a worker needs of a model whose card lies beside its weights."""
    return LearnedTissue.of(
        card,
        weights,
        device=device,
        reach_px=card.receptive_field_px,
        gland_threshold=card.thresholds.get("gland_threshold", GLAND_THRESHOLD),
        mistakes=_mistakes(card),
        learnt_colours=_learnt_colours(card),
    )


def _learnt_colours(card: ModelCard) -> str:
    """Return the method by which a network's training images were normalised."""
    told = None if card.training is None else card.training.config
    return str(told.get("normalise", "none")) if isinstance(told, dict) else "none"


def choose_signet(
    model: str = "auto", *, policy: LicencePolicy = "research", device: str = "auto"
) -> LearnedSignet | None:
    """Find the detector of signet-ring cells that a user asks for; None if ``auto`` finds none.

    A model that the licence policy refuses is no model under ``auto``: grading goes on without it, and the
    report says that nobody looked for signet-ring cells.
    """
    from ...models.registry import Registry

    registry = Registry(policy=policy)
    if model == "auto":
        ranked = registry.ranked(task=SIGNET_TASK, stain="H&E")
        if not ranked:
            return None
        model = ranked[0].name
    entry = registry.find(model)
    card = entry.card
    if card.task != SIGNET_TASK:
        raise SettingsError(f"model {card.name} is for {card.task}", f"Choose one for {SIGNET_TASK}.")
    return LearnedSignet.of(
        card,
        entry.weights,
        device=device,
        stride=card.input.stride_px,
        reach_px=object_reach_px(card, usual_radius_um=USUAL_RADIUS_UM),
        false_per_mm2=_false_per_mm2(card),
    )


def _false_per_mm2(card: ModelCard) -> float | None:
    """Return how many cells a detector finds per mm2 of tissue that holds none, if its card says so."""
    for metric in card.metrics:
        told = re.match(FALSE_METRIC, metric.name)
        if told:
            return metric.value / (float(told[1]) * float(told[2]) / 1e6)
    return None


def _mistakes(card: ModelCard) -> tuple[tuple[int, int, float], ...]:
    """Return how much of each rank a network takes for a worse one, as far as its card says so."""
    told = {metric.name: metric.value for metric in card.metrics}
    ranks = [(low, high) for high in range(1, WORST_RANK + 1) for low in range(high)]
    names = {pair: MISTAKE_METRIC.format(low=pair[0], high=pair[1]) for pair in ranks}
    return tuple((*pair, told[name]) for pair, name in names.items() if name in told)


def _spend(seconds: dict[str, float], phase: str, started: float) -> None:
    """Add the wall seconds since ``started`` to a phase."""
    seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - started
