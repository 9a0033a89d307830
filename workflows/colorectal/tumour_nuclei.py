"""Nuclei of epithelium near a carcinoma: who finds them, and what a tile keeps of them."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import ModelNotFoundError, SettingsError
from ...models import CellTable
from ..slides.learned_model import LearnedModel, ModelReader, loaded_network, object_reach_px

if TYPE_CHECKING:
    from ...models.card import ModelCard
    from ...models.registry import LicencePolicy

__all__ = [
    "FALSE_BUDS",
    "LearnedNuclei",
    "NucleusReader",
    "TumourNuclei",
    "choose_nuclei",
    "tumour_nuclei",
]

EPITHELIAL = "Epithelial"
MEASUREMENT = "epithelial_probability"
LIKELY = 0.5
"""Least probability of epithelium: more likely than all other kinds together. Such nuclei make groups."""
SURE = 0.9
"""Least probability of epithelium of the nucleus that makes a group a candidate."""
SURE_UM2 = 45.0
"""Its least area, um2: twice that of a lymphocyte, whose nuclei measured about 21 um2 on tuning images."""
USUAL_RADIUS_UM = 10.0
"""Largest radius of a nucleus where the model's card names none, um."""
FALSE_BUDS = "false candidate buds per mm2 beside glands"
"""How the metric of a card begins that says how many candidates are none; a tissue network's name follows."""
FOUND_NUCLEI = "epithelial nuclei on which a candidate bud can rest, share"
"""Name of the metric of a card that says how many tumour nuclei are surely found."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class TumourNuclei:
    """Nuclei that look epithelial, by their centres."""

    x: Floats
    """(N,) level-0 px."""
    y: Floats
    """(N,) level-0 px."""
    sure: NDArray[np.bool_]
    """(N,) whether one is so surely epithelial, and so large, that a group with it is a candidate."""

    def __len__(self) -> int:
        return len(self.x)

    def select(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> TumourNuclei:
        """Return the chosen nuclei."""
        return TumourNuclei(self.x[rows], self.y[rows], self.sure[rows])

    @classmethod
    def joined(cls, parts: Sequence[TumourNuclei]) -> TumourNuclei:
        """Return the nuclei of several parts, none of them too."""
        x, y = (np.concatenate([np.empty(0), *(getattr(part, name) for part in parts)]) for name in "xy")
        return cls(x, y, np.concatenate([np.empty(0, bool), *(part.sure for part in parts)]))


def tumour_nuclei(cells: CellTable, *, sure: float = SURE, least_um2: float = SURE_UM2) -> TumourNuclei:
    """Return the epithelial ones of some nuclei; near a carcinoma they are taken for tumour.

    Parameters
    ----------
    cells : CellTable
        With the measurement ``epithelial_probability``; coordinates in level-0 px.
    sure : float
        Least probability of a nucleus that makes a group a candidate, 0-1.
    least_um2 : float
        Least area of such a nucleus, um2.
    """
    told = cells.measurements[MEASUREMENT]
    kept = told >= np.float32(LIKELY)
    chosen = (told >= np.float32(sure)) & (cells.area_um2 >= np.float32(least_um2))
    return TumourNuclei(cells.x[kept], cells.y[kept], np.asarray(chosen[kept], bool))


class NucleusReader(ModelReader, Protocol):
    """What the workflow needs of a detector of nuclei that tells epithelium."""

    @property
    def stride(self) -> int:
        """Windows begin on multiples of this many px."""

    @property
    def reach_px(self) -> int:
        """How far from its centre anything can influence a nucleus, px."""

    @property
    def false_buds(self) -> Mapping[str, tuple[float, float]]:
        """False candidate buds per mm2 beside glands, and their upper 95 % limit, by tissue network."""

    @property
    def found_share(self) -> float | None:
        """Share of epithelial nuclei on which a candidate can rest, 0-1; None: not known."""

    def find(self, image: NDArray[np.uint8], *, seconds: dict[str, float]) -> CellTable:
        """Find the nuclei of an image (H, W, 3), sides multiples of the stride."""


@dataclass(frozen=True, kw_only=True)
class LearnedNuclei(LearnedModel):
    """A trained detector of nuclei, by its card and weights; each worker loads it once."""

    stride: int
    reach_px: int
    false_buds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """As its card has it."""
    found_share: float | None = None
    """As its card has it."""

    def find(self, image: NDArray[np.uint8], *, seconds: dict[str, float]) -> CellTable:
        """Find nuclei; the first call in a process loads the network."""
        detector = loaded_network(*self.place)
        started = time.perf_counter()
        cells = detector.detect(image)
        seconds["nuclei"] = seconds.get("nuclei", 0.0) + time.perf_counter() - started
        return cells

    def facts(self) -> dict[str, Any]:
        """Name, version and weights, and how often it is known to be wrong."""
        told = {**super().facts(), "mpp": self.mpp}
        false = {name: list(rates) for name, rates in self.false_buds.items()}
        return {**told, "false_buds": false, "found_share": self.found_share}


def choose_nuclei(
    model: str = "auto", *, policy: LicencePolicy = "research", device: str = "auto"
) -> LearnedNuclei:
    """Find the detector of nuclei that a user asks for.

    Parameters
    ----------
    model : str
        ``auto`` for the best on H&E that the policy allows and that tells epithelium, else a model's name.
    policy : {"research", "permissive"}
        Whether weights trained on data for research only may be used.
    device : str
        ``auto``, ``cpu``, ``cuda``.

    Raises
    ------
    ModelNotFoundError, ModelRefusedError, DamagedWeightsError
        From the registry.
    SettingsError
        If the model does not tell epithelium from other nuclei.
    """
    from ...models.registry import Registry

    registry = Registry(policy=policy)
    if model == "auto":
        ranked = registry.ranked(task="cell-detection", stain="H&E")
        model = next((card.name for card in ranked if EPITHELIAL in card.classes), "")
    if not model:
        raise ModelNotFoundError(
            f"no model that tells nuclei of epithelium on H&E is at hand under the licence policy {policy}",
            "Grade without --budding; slidelab models list shows all.",
        )
    entry = registry.find(model)
    card = entry.card
    if card.task != "cell-detection" or EPITHELIAL not in card.classes:
        raise SettingsError(
            f"model {card.name} does not tell nuclei of epithelium",
            f"Choose one with the class {EPITHELIAL}.",
        )
    return LearnedNuclei.of(
        card,
        entry.weights,
        device=device,
        stride=card.input.stride_px,
        reach_px=object_reach_px(card, usual_radius_um=USUAL_RADIUS_UM),
        false_buds=_false_buds(card),
        found_share=next((each.value for each in card.metrics if each.name == FOUND_NUCLEI), None),
    )


def _false_buds(card: ModelCard) -> dict[str, tuple[float, float]]:
    """Return how many candidates per mm2 are no buds, and their limit, by tissue network, from the card."""
    found = {}
    for metric in card.metrics:
        told = re.fullmatch(rf"{re.escape(FALSE_BUDS)}, with (\S+)", metric.name)
        if told:
            found[told[1]] = (metric.value, metric.value if metric.high is None else metric.high)
    return found
