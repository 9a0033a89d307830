"""A trained model as a workflow carries it: small enough to send to a worker, which loads it once."""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import lru_cache
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

if TYPE_CHECKING:
    from ...models.card import ModelCard
    from ...models.cell_classifier import CellClassifier
    from ...models.star_detector import StarDetector
    from ...models.tissue_classifier import TissueClassifier

__all__ = [
    "LearnedModel",
    "ModelReader",
    "Reader",
    "loaded_classifier",
    "loaded_network",
    "loaded_tissue",
    "object_reach_px",
]


class Reader(Protocol):
    """What every workflow needs of whatever looks at pixels; small, and cheap to send to a worker."""

    @property
    def name(self) -> str:
        """Name, as reports give it."""

    @property
    def version(self) -> str:
        """Version; another one may find other things."""

    @property
    def mpp(self) -> float:
        """Resolution that it works at, um per px."""

    def facts(self) -> dict[str, Any]:
        """Everything that shapes what it finds, as plain JSON values."""


class ModelReader(Reader, Protocol):
    """A reader with what a report says of a model."""

    @property
    def licence(self) -> str:
        """Licence of its weights."""

    @property
    def sha256(self) -> str:
        """Digest of its weights; empty without any."""

    @property
    def limits(self) -> tuple[str, ...]:
        """What it cannot do, a sentence each."""


@dataclass(frozen=True, kw_only=True)
class LearnedModel:
    """A trained model, by its card and weights."""

    card: Path
    """The model's card."""
    weights: Path
    """Its weights."""
    name: str
    version: str
    sha256: str
    """Digest of the weights: what tells two models apart wherever they lie."""
    mpp: float
    """Resolution that it works at, um per px."""
    licence: str = ""
    """Licence of the weights."""
    limits: tuple[str, ...] = ()
    """What its card says it cannot do, a sentence each."""
    device: str = "auto"
    """Where it runs."""

    @classmethod
    def of(cls, card: ModelCard, weights: Path, *, device: str = "auto", **own: Any) -> Self:
        """Return it from a card that lies beside its weights; ``own`` are the fields of a subclass."""
        return cls(
            card=weights.with_suffix(".json"),
            weights=weights,
            name=card.name,
            version=card.version,
            sha256=card.sha256,
            mpp=card.mpp,
            licence=card.licence.weights,
            limits=tuple(card.limits),
            device=device,
            **own,
        )

    @property
    def runs_on_card(self) -> bool:
        """Whether its device is an accelerator."""
        from ...models.session import choose_device

        return self.device != "cpu" and choose_device(self.device).type != "cpu"

    @property
    def place(self) -> tuple[Path, Path, str, str]:
        """What the loaders of this module take: card, weights, digest and device."""
        return self.card, self.weights, self.sha256, self.device

    def facts(self) -> dict[str, Any]:
        """Name, version and weights."""
        return {"name": self.name, "version": self.version, "sha256": self.sha256}


def object_reach_px(card: ModelCard, *, usual_radius_um: float) -> int:
    """Return how far from its centre anything can influence an object that a detector finds, px.

    A centre lies within a radius of its peak, which a neighbour of one more radius may cover. The largest
    radius is the card's, or ``usual_radius_um`` where it names none.
    """
    radius = card.thresholds.get("largest_radius_um", usual_radius_um)
    return card.receptive_field_px + ceil(2 * radius / card.mpp)


@lru_cache(maxsize=2)
def loaded_network(card: Path, weights: Path, sha256: str, device: str) -> StarDetector:
    """Load a detector once per process."""
    _ask_for_large_pages()
    from ...models.loading import load_detector

    return load_detector((card, weights), device=device)


@lru_cache(maxsize=2)
def loaded_tissue(card: Path, weights: Path, sha256: str, device: str) -> TissueClassifier:
    """Load a tissue network once per process."""
    _ask_for_large_pages()
    from ...models.tissue_classifier import load_tissue_classifier

    return load_tissue_classifier(card, weights, device=device)


@lru_cache(maxsize=4)
def loaded_classifier(card: Path, weights: Path, sha256: str, device: str) -> CellClassifier:
    """Load a classifier of cells once per process."""
    _ask_for_large_pages()
    from ...models.cell_classifier import load_cell_classifier

    return load_cell_classifier(card, weights, device=device)


def _ask_for_large_pages() -> None:
    """Ask for large pages for large tensors, a quarter less time; read when torch first allocates."""
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
