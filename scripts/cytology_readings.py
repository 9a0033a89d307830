"""Cells of a collection and what a network says of them, for scripts/accuracy_cytology.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from slidelab.models.cell_classifier import CellClassifier, calibrated
from slidelab.models.labelled.cytology_cells import LabelledCell
from slidelab.models.labelled.cytology_sets import read_cells
from slidelab.workflows.learning.cell_accuracy import (
    crops_of_cells,
)


@dataclass
class Reading:
    """Cells and what a network says of them."""

    cells: list[LabelledCell]
    crops: NDArray[np.uint8]
    logits: NDArray[np.float32]
    classifier: CellClassifier

    @property
    def probabilities(self) -> NDArray[np.float32]:
        """Under the card's temperature: (N, K)."""
        return calibrated(self.logits, self.classifier.thresholds.temperature)

    @property
    def labels(self) -> NDArray[np.str_]:
        """What experts said: (N,)."""
        return np.array([one.label for one in self.cells])

    @property
    def cases(self) -> list[str]:
        """Photograph, field or picture of each cell."""
        return [one.case for one in self.cells]

    def only(self, kept: NDArray[np.bool_]) -> Reading:
        """Return some of the cells."""
        cells = [one for one, is_kept in zip(self.cells, kept, strict=True) if is_kept]
        return replace(self, cells=cells, crops=self.crops[kept], logits=self.logits[kept])

    def of_set(self, name: str) -> Reading:
        """Return the cells of a collection."""
        return self.only(np.array([one.set_name == name for one in self.cells], bool))

    def again(self, crops: NDArray[np.uint8]) -> Reading:
        """Return what the network says of changed crops."""
        return replace(self, crops=crops, logits=self.classifier.logits(crops))


def read(classifier: CellClassifier, data: Path, sets: Sequence[str], part: str = "validation") -> Reading:
    """Let a network look at the cells of a part."""
    cells = [one for one in read_cells(data, sets) if one.part == part]
    crops = crops_of_cells(classifier, cells)
    return Reading(cells, crops, classifier.logits(crops), classifier)


def indices(labels: NDArray[np.str_], classes: Sequence[str]) -> NDArray[np.intp]:
    """Return the class of each label."""
    return np.array([list(classes).index(str(label)) for label in labels], np.intp)
