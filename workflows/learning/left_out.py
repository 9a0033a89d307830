"""Cells found by networks that never saw the patient: what thresholds rest on where tuning cases are few."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...models import LabelledImage
from ...models.labelled.folds import patient_folds
from .detector_accuracy import Comparison
from .detector_card import TrainingImages, compare_with, load_trained

if TYPE_CHECKING:
    from torch import Tensor

    from ...models.training.config import TrainingConfig

__all__ = ["LeftOut", "compare_left_out"]


@dataclass(frozen=True)
class LeftOut:
    """Trainings that leave out one group of patients each; validation is in none of them."""

    config: TrainingConfig
    """How; its ``folds`` and ``fold_steps``."""
    images: TrainingImages
    """All images by part."""
    phantoms: Sequence[LabelledImage]
    """Painted images."""
    folder: Path
    """Receives ``fold-0`` and so on; what is done there is not done again."""
    device: str = "auto"
    """Where to."""

    def train(self, fold: int, *, start: Mapping[str, Tensor] | None = None) -> Path:
        """Train without one group and return the weights."""
        from ...models.training.loop import train_detector

        pool, groups = self._groups()
        config = self.config
        steps = config.fold_steps or config.steps
        return train_detector(
            {"training": [image for image in pool if groups[image.case] != fold]},
            self.phantoms,
            config=config.model_copy(update={"steps": steps, "check_every": steps, "keep": "last"}),
            folder=self.folder / f"fold-{fold}",
            measure=lambda _network: 0.0,
            start=start,
            device=self.device,
        )

    def compare(self, fold: int, weights: Path) -> list[Comparison]:
        """Find the cells of the group that was left out."""
        network = load_trained(weights, self.config)
        return compare_with(network, self.left_out(fold), mpp=self.config.mpp, device=self.device)

    def left_out(self, fold: int) -> list[LabelledImage]:
        """Return the images of one group."""
        pool, groups = self._groups()
        return [image for image in pool if groups[image.case] == fold]

    def _groups(self) -> tuple[list[LabelledImage], dict[str, int]]:
        """Return the images of training and tuning, and the group of each patient."""
        pool = [*self.images.parts["training"], *self.images.parts["tuning"]]
        groups = patient_folds(
            [image.case for image in pool],
            [f"{image.set_name}:{image.marked}" for image in pool],
            folds=self.config.folds,
            seed=self.config.seed,
            complete=False,
        )
        return pool, groups


def compare_left_out(plan: LeftOut, *, start: Mapping[str, Tensor] | None = None) -> list[Comparison]:
    """Find the cells of every image of training and tuning by a network that did not see its patient.

    Thresholds are read off all these together. The networks differ, but are trained alike, so their scores
    mean much the same.

    Parameters
    ----------
    plan : LeftOut
        Which trainings.
    start : mapping, optional
        Weights that they begin with.
    """
    found: list[Comparison] = []
    for fold in range(plan.config.folds):
        found += plan.compare(fold, plan.train(fold, start=start))
    return found
