"""What looks at a smear: the detector of red cells, white cells and platelets, and classifiers of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelNotFoundError, ModelRefusedError, SettingsError
from ...models import CellTable
from ...quantify import FIVE_PARTS
from ..slides.learned_model import (
    LearnedModel,
    ModelReader,
    loaded_classifier,
    loaded_network,
    object_reach_px,
)

if TYPE_CHECKING:
    from ...models.card import ModelCard
    from ...models.registry import LicencePolicy

__all__ = [
    "KINDS",
    "RED_FEATURES",
    "CellReader",
    "LearnedCells",
    "LearnedSmear",
    "SmearReader",
    "choose_red",
    "choose_smear",
    "choose_white",
]

Pixels = NDArray[np.uint8]

KINDS = ("RBC", "WBC", "Platelet")
"""What a detector tells apart, in the order of its labels."""
STAIN = "Romanowsky"
DETECTION = "blood-cell-detection"
CLASSIFICATION = "cell-classification"
USUAL_RADIUS_UM = 10.0
RED_FEATURES: Mapping[str, str] = {
    "macrocyte": "macrocytes",
    "microcyte": "microcytes",
    "spherocyte": "spherocytes",
    "target cell": "target cells",
    "stomatocyte": "stomatocytes",
    "ovalocyte": "ovalocytes",
    "teardrop": "teardrop cells",
    "burr cell": "echinocytes",
    "schistocyte": "schistocytes",
    "hypochromia": "hypochromia",
    "elliptocyte": "elliptocytes",
}
"""Types of red cells that a classifier may know, and the changes that are graded."""


class SmearReader(ModelReader, Protocol):
    """What the workflow needs of a detector; small, and cheap to send to a worker."""

    @property
    def stride(self) -> int:
        """Windows must begin on multiples of this many px."""

    @property
    def reach_px(self) -> int:
        """How far from its centroid anything can influence a cell, px."""

    @property
    def runs_on_card(self) -> bool:
        """Whether it computes on an accelerator, which one process then holds."""

    def find(self, image: Pixels, *, seconds: dict[str, float]) -> CellTable:
        """Find the cells of an image (H, W, 3), sides multiples of the stride; labels index `KINDS`."""


class CellReader(ModelReader, Protocol):
    """What the workflow needs of a classifier of single cells."""

    @property
    def side(self) -> int:
        """Side of its crops, px."""

    @property
    def classes(self) -> tuple[str, ...]:
        """What it tells apart."""

    def read(self, crops: Pixels) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Return the probabilities (N, classes) of crops (N, side, side, 3), and which cells are unknown."""


@dataclass(frozen=True, kw_only=True)
class LearnedSmear(LearnedModel):
    """A trained detector, by its card and weights; each worker loads it once."""

    stride: int
    reach_px: int
    thresholds: tuple[tuple[str, float], ...] = ()
    """Of the card, by name: other ones find other cells with the same weights."""

    def find(self, image: Pixels, *, seconds: dict[str, float]) -> CellTable:
        """Find cells; the first call in a process loads the network."""
        return loaded_network(*self.place).detect(image, seconds=seconds)

    def facts(self) -> dict[str, Any]:
        """Name, version, weights and thresholds."""
        return super().facts() | {"thresholds": dict(self.thresholds)}


@dataclass(frozen=True, kw_only=True)
class LearnedCells(LearnedModel):
    """A trained classifier, by its card and weights; each worker loads it once."""

    side: int
    classes: tuple[str, ...]
    thresholds: tuple[tuple[str, float], ...] = ()
    """Of the card, by name: temperature and what is unknown."""

    def read(self, crops: Pixels) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
        """Classify crops; the first call in a process loads the network."""
        if not len(crops):
            return np.zeros((0, len(self.classes)), np.float32), np.zeros(0, np.bool_)
        classifier = loaded_classifier(*self.place)
        probabilities = classifier.classify(crops)
        return probabilities, classifier.unknown(probabilities)

    def facts(self) -> dict[str, Any]:
        """Name, version, weights and thresholds."""
        return super().facts() | {"thresholds": dict(self.thresholds)}


def choose_smear(
    model: str = "auto", *, policy: LicencePolicy = "research", device: str = "auto"
) -> LearnedSmear:
    """Find the detector that a user asks for.

    Parameters
    ----------
    model : str
        ``auto``, or a model's name.
    policy : {"research", "permissive"}
        Whether weights trained on data for research only may be used.
    device : str
        ``auto``, ``cpu``, ``cuda``.

    Raises
    ------
    ModelNotFoundError, ModelRefusedError, DamagedWeightsError
        From the registry.
    SettingsError
        If the model does something else.
    """
    from ...models.registry import Registry

    registry = Registry(policy=policy)
    entry = registry.default(task=DETECTION, stain=STAIN) if model == "auto" else registry.find(model)
    card = entry.card
    if card.task != DETECTION or tuple(card.classes) != KINDS:
        raise SettingsError(
            f"model {card.name} is for {card.task} of {', '.join(card.classes)}",
            f"Choose one that tells {', '.join(KINDS)} apart.",
        )
    return LearnedSmear.of(
        card,
        entry.weights,
        device=device,
        stride=card.input.stride_px,
        reach_px=object_reach_px(card, usual_radius_um=USUAL_RADIUS_UM),
        thresholds=tuple(sorted(card.thresholds.items())),
    )


def choose_white(
    model: str = "auto", *, policy: LicencePolicy = "research", device: str = "auto"
) -> LearnedCells | None:
    """Find the classifier of white cells; None for ``none``, or for ``auto`` where none is at hand.

    Raises
    ------
    ModelNotFoundError, ModelRefusedError, DamagedWeightsError
        From the registry, for a model asked for by name.
    SettingsError
        If the model tells other classes.
    """
    return _choose_cells(model, wanted=FIVE_PARTS, policy=policy, device=device)


def choose_red(
    model: str = "auto", *, policy: LicencePolicy = "research", device: str = "auto"
) -> LearnedCells | None:
    """Find the classifier of red cells' shapes; None for ``none``, or for ``auto`` where none is at hand."""
    return _choose_cells(model, wanted=("normal", "schistocyte"), policy=policy, device=device)


def _choose_cells(
    model: str, *, wanted: Sequence[str], policy: LicencePolicy, device: str
) -> LearnedCells | None:
    """Find a classifier that knows some classes."""
    if model == "none":
        return None
    from ...models.registry import Registry

    registry = Registry(policy=policy)
    named = model != "auto"
    fitting = [
        card.name
        for card in registry.ranked(task=CLASSIFICATION, stain=STAIN)
        if set(wanted) <= set(card.classes)
    ]
    if not named and not fitting:
        return None
    try:
        entry = registry.find(model if named else fitting[0])
    except (ModelNotFoundError, ModelRefusedError):
        if named:
            raise
        return None
    card: ModelCard = entry.card
    if card.task != CLASSIFICATION or not set(wanted) <= set(card.classes):
        raise SettingsError(
            f"model {card.name} is for {card.task} of {', '.join(card.classes)}",
            f"Choose one that knows {', '.join(wanted)}, or none.",
        )
    side = card.architecture.get("side")
    if not isinstance(side, int):
        raise SettingsError(f"the card of {card.name} does not say how large its crops are", "Update it.")
    return LearnedCells.of(
        card,
        entry.weights,
        device=device,
        side=side,
        classes=tuple(card.classes),
        thresholds=tuple(sorted(card.thresholds.items())),
    )
