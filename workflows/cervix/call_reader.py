"""What names the cells: a trained classifier of crops, or the plain rules of size behind the same face."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelNotFoundError, SettingsError
from ...quantify import CellLook, SizeType, is_hyperchromatic, size_type
from ..slides.learned_model import LearnedModel, ModelReader, loaded_classifier

if TYPE_CHECKING:
    from ...models.registry import LicencePolicy

__all__ = ["SIZE_RULES", "CallReader", "LearnedCalls", "SizeRules", "choose_calls"]

Floats = NDArray[np.float32]

SIZE_RULES = "size-rules"
"""Name by which the rules are asked for."""
TASK = "cell-classification"
STAIN = "Papanicolaou"
CODES = {"AGC": "AGC-NOS"}
"""Classes of networks whose code is another; findings are their names in capitals."""
SURE = 0.9
"""What the rules of size say of their verdict: they know no probability."""
LEAST_SIZE = 1.2
"""R from which the rules name a dark nucleus of high N:C high-grade: a neutrophil's is smaller."""
GREY = 0.35
"""The same of a cell in the grey zone, which no rule accepts and the gallery shows."""


class CallReader(ModelReader, Protocol):
    """What the workflow needs of whatever names cells; small, and cheap to send to a worker."""

    @property
    def side(self) -> int:
        """Side of the crops, px; 0 where no crops are looked at."""

    @property
    def codes(self) -> tuple[str, ...]:
        """Codes of its classes, in the order of the probabilities: Bethesda classes and findings."""

    @property
    def runs_on_card(self) -> bool:
        """Whether it computes on an accelerator."""

    def look(self, crops: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.bool_]]:
        """Return probabilities (N, K) of crops (N, side, side, 3), and which are other or unknown."""

    def judge(self, size: Floats, nc: Floats, hyperchromasia: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Return the same from R, N:C (NaN: unknown) and hyperchromasia, for readers without crops."""


@dataclass(frozen=True, kw_only=True)
class LearnedCalls(LearnedModel):
    """A trained classifier, by its card and weights; each worker loads it once."""

    side: int
    codes: tuple[str, ...]

    def look(self, crops: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.bool_]]:
        """Classify crops; the first call in a process loads the network."""
        classifier = loaded_classifier(*self.place)
        found = classifier.classify(crops)
        return found, classifier.unknown(found)

    def judge(self, size: Floats, nc: Floats, hyperchromasia: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Say that a network looks at crops."""
        raise SettingsError(f"{self.name} names cells from crops", "Look at crops instead of measures.")


@dataclass(frozen=True)
class SizeRules:
    """Names cells by nuclear size, N:C ratio and darkness alone: no network, no training, no organisms."""

    name: str = SIZE_RULES
    version: str = "1"
    sha256: str = ""
    mpp: float = 0.5
    side: int = 0
    licence: str = "Apache-2.0"
    limits: tuple[str, ...] = (
        "Names cells by size, N:C ratio and darkness only: no chromatin, no organisms, no glandular cells.",
    )
    codes: tuple[str, ...] = ("NILM", "ASC-US", "LSIL", "ASC-H", "HSIL")

    @property
    def runs_on_card(self) -> bool:
        """Never."""
        return False

    def look(self, crops: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.bool_]]:
        """Say nothing of crops: all are unknown until measured."""
        return np.zeros((len(crops), len(self.codes)), np.float32), np.ones(len(crops), bool)

    def judge(self, size: Floats, nc: Floats, hyperchromasia: Floats) -> tuple[Floats, NDArray[np.bool_]]:
        """Apply `size_type` to each cell; darkness stands for an irregular nucleus."""
        found = np.zeros((len(size), len(self.codes)), np.float32)
        kinds = {
            SizeType.ASC_US: "ASC-US",
            SizeType.LSIL: "LSIL",
            SizeType.ASC_H: "ASC-H",
            SizeType.HSIL: "HSIL",
            SizeType.SCC: "HSIL",
        }
        for row, (large, ratio, dark) in enumerate(
            zip(size.tolist(), nc.tolist(), hyperchromasia.tolist(), strict=True)
        ):
            is_dark = is_hyperchromatic(dark)
            look = CellLook(
                size=max(large, 1e-6),
                nc=None if np.isnan(ratio) else min(max(ratio, 1e-6), 1.0),
                irregular=is_dark,
                hyperchromatic=is_dark,
            )
            kind = size_type(look)
            if kind is SizeType.HSIL and large < LEAST_SIZE:
                kind = SizeType.GREY_ZONE
            if kind is SizeType.GREY_ZONE:
                found[row, 0], found[row, 1] = 1 - GREY, GREY
            else:
                code = self.codes.index(kinds.get(kind, "NILM")) if kind is not None else 0
                found[row, 0] = 1 - SURE
                found[row, code] += SURE
        return found, np.isnan(nc)

    def facts(self) -> dict[str, Any]:
        """Name and version."""
        return {"name": self.name, "version": self.version}


def choose_calls(
    model: str = "auto", *, policy: LicencePolicy = "research", device: str = "auto"
) -> LearnedCalls | SizeRules:
    """Find what names cells.

    Parameters
    ----------
    model : str
        ``auto`` for the best classifier that the policy allows, ``size-rules`` for the plain rules, else a
        model's name.
    policy : {"research", "permissive"}
        Whether weights trained on data for research only may be used.
    device : str
        ``auto``, ``cpu``, ``cuda``.

    Raises
    ------
    ModelNotFoundError, ModelRefusedError, DamagedWeightsError
        From the registry.
    SettingsError
        If the model does something else, or names classes that are none of the Bethesda System's.
    """
    if model == SIZE_RULES:
        return SizeRules()
    from ...models.registry import Registry

    registry = Registry(policy=policy)
    if model == "auto":
        ranked = registry.ranked(task=TASK, stain=STAIN)
        if not ranked:
            raise ModelNotFoundError(
                f"no classifier of cervical cells is at hand under the licence policy {policy}",
                f"Train one with slidelab train cells, or choose --model {SIZE_RULES}.",
            )
        model = ranked[0].name
    entry = registry.find(model)
    card = entry.card
    if card.task != TASK:
        raise SettingsError(f"model {card.name} is for {card.task}", f"Choose one for {TASK}.")
    return LearnedCalls.of(
        card,
        entry.weights,
        device=device,
        side=int(str(card.architecture["side"])),
        codes=codes_of(card.classes),
    )


def codes_of(classes: tuple[str, ...]) -> tuple[str, ...]:
    """Return the codes of a network's classes.

    Raises
    ------
    SettingsError
        If one is neither a Bethesda class nor a finding.
    """
    from ...quantify import cervical_cutoffs

    limits = cervical_cutoffs()
    codes = tuple(CODES.get(name, name if name in limits.classes else name.upper()) for name in classes)
    for code in codes:
        if code not in limits.findings:
            limits.tbs_class(code)
    return codes
