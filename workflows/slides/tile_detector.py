"""What finds the cells of a tile: the learned network, or the classical baseline behind the same face."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from ...models import CellTable, UnmixedNuclei, UnmixedNucleiSettings
from .cell_file import CLASS_PROBABILITIES
from .learned_model import LearnedModel, Reader, loaded_network

if TYPE_CHECKING:
    from ...models.registry import LicencePolicy

__all__ = [
    "BASELINE",
    "BaselineDetector",
    "LearnedDetector",
    "TileDetector",
    "choose_detector",
    "restore_detector",
]

Floats = NDArray[np.float32]

BASELINE = "unmixed-nuclei"
"""Name by which the baseline is asked for."""
OBJECT_REACH_UM = 20.0
"""A centroid lies within a radius of its peak, which a neighbour of one more radius may cover: 2 x 10 um."""


class TileDetector(Reader, Protocol):
    """What a workflow needs of a detector."""

    @property
    def stride(self) -> int:
        """Tiles must begin on multiples of this many px."""

    @property
    def tumour_threshold(self) -> float | None:
        """Least ``tumour_probability`` of a cell of tumour; None when it cannot tell tumour."""

    @property
    def tells_positive(self) -> bool:
        """Whether it measures ``positive_probability``."""

    @property
    def probabilities(self) -> tuple[str, ...]:
        """Which of `cell_file.FURTHER_COLUMNS` it fills."""

    @property
    def sees_colours(self) -> bool:
        """Whether it looks at pixels, and not at stain densities alone."""

    @property
    def runs_on_card(self) -> bool:
        """Whether it computes on an accelerator, which one process then holds."""

    def reach_px(self, mpp: float) -> float:
        """How far from its centroid anything can influence a cell, px."""

    def fitted(
        self, images: Sequence[NDArray[np.uint8]], densities: Sequence[Floats], *, mpp: float
    ) -> TileDetector:
        """Return the detector fitted to one slide, from windows of its tissue: pixels and densities."""

    def detect(
        self, image: NDArray[np.uint8], densities: Floats, *, mpp: float, seconds: dict[str, float]
    ) -> CellTable:
        """Find the cells of an image (H, W, 3) with densities (2, H, W); adds to the seconds by phase."""

    def to_json(self) -> dict[str, Any]:
        """All that `restore_detector` needs."""


@dataclass(frozen=True)
class BaselineDetector:
    """The classical detector: blobs in unmixed stains, no training."""

    nuclei: UnmixedNuclei = field(default_factory=UnmixedNuclei)
    """What finds nuclei."""

    name = BASELINE
    tumour_threshold = None
    tells_positive = False
    probabilities = ()
    sees_colours = False
    runs_on_card = False

    @property
    def version(self) -> str:
        """Version of the method."""
        return self.nuclei.version

    @property
    def mpp(self) -> float:
        """Working resolution, um per px."""
        return self.nuclei.mpp

    @property
    def stride(self) -> int:
        """Tiles begin on even pixels."""
        return self.nuclei.stride

    def reach_px(self, mpp: float) -> float:
        """Reach of its filters and rays."""
        return self.nuclei.reach_um / mpp

    def fitted(
        self, images: Sequence[NDArray[np.uint8]], densities: Sequence[Floats], *, mpp: float
    ) -> BaselineDetector:
        """Fit the least density to the slide's counterstain."""
        return BaselineDetector(self.nuclei.fitted(densities, mpp=mpp))

    def detect(
        self, image: NDArray[np.uint8], densities: Floats, *, mpp: float, seconds: dict[str, float]
    ) -> CellTable:
        """Find nuclei in the densities; the pixels themselves are not looked at."""
        started = time.perf_counter()
        cells = self.nuclei.detect(densities, mpp=mpp)
        seconds["detect"] = time.perf_counter() - started
        return cells

    def facts(self) -> dict[str, Any]:
        """Name, version and settings."""
        return {"name": self.name, "version": self.version, **asdict(self.nuclei.settings)}

    def to_json(self) -> dict[str, Any]:
        """Settings."""
        return {"kind": "baseline", "settings": asdict(self.nuclei.settings)}


@dataclass(frozen=True, kw_only=True)
class LearnedDetector(LearnedModel):
    """A trained network, by its card and weights; each worker loads it once."""

    stride: int
    receptive_field_px: int
    """How far a pixel can be that changes an output, px."""
    tumour_threshold: float | None
    tells_positive: bool
    kinds: tuple[str, ...] = ()
    """Columns of `cell_file.CLASS_PROBABILITIES` that it fills."""

    sees_colours = True

    @property
    def probabilities(self) -> tuple[str, ...]:
        """What its heads tell."""
        told = {"tumour_probability": self.tumour_threshold is not None}
        told["positive_probability"] = self.tells_positive
        return (*(name for name, is_told in told.items() if is_told), *self.kinds)

    def reach_px(self, mpp: float) -> float:
        """Receptive field, and the outlines of the nucleus and of one that may cover it."""
        return self.receptive_field_px + OBJECT_REACH_UM / mpp

    def fitted(
        self, images: Sequence[NDArray[np.uint8]], densities: Sequence[Floats], *, mpp: float
    ) -> LearnedDetector:
        """Fit the tumour threshold to how sure the network is on this slide."""
        if self.tumour_threshold is None:
            return self
        detector = loaded_network(*self.place)
        faint = detector.faint()
        fitted = detector.fitted([faint.detect(image) for image in images])
        return replace(self, tumour_threshold=fitted.settings.tumour_threshold)

    def detect(
        self, image: NDArray[np.uint8], densities: Floats, *, mpp: float, seconds: dict[str, float]
    ) -> CellTable:
        """Find nuclei; the first call in a process loads the network."""
        detector = loaded_network(*self.place)
        if self.tumour_threshold is not None:
            detector = detector.at(self.tumour_threshold)
        return detector.detect(image, densities, seconds=seconds)

    def facts(self) -> dict[str, Any]:
        """Name, version and weights."""
        told = {"tumour_threshold": self.tumour_threshold}
        return {**super().facts(), **told}

    def to_json(self) -> dict[str, Any]:
        """All fields."""
        values = asdict(self) | {"card": str(self.card), "weights": str(self.weights)}
        return {"kind": "learned", "settings": values}


def choose_detector(
    model: str, *, stain: str, policy: LicencePolicy = "research", device: str = "auto"
) -> TileDetector:
    """Find the detector that a user asks for.

    Parameters
    ----------
    model : str
        ``auto`` for the best that the policy allows, ``unmixed-nuclei`` for the baseline, else a model's
        name, or the path of a card.
    stain : str
        ``H-DAB`` or ``H&E``.
    policy : {"research", "permissive"}
        Whether weights trained on data for research only may be used.
    device : str
        ``auto``, ``cpu``, ``cuda``.

    Raises
    ------
    ModelNotFoundError, ModelRefusedError, DamagedWeightsError
        From the registry.
    SettingsError
        If the model does something else, or was trained on another stain.
    """
    if model == BASELINE:
        return BaselineDetector()
    from ...models.registry import Registry

    registry = Registry(policy=policy)
    named = model != "auto"
    entry = registry.find(model) if named else registry.default(task="cell-detection", stain=stain)
    card = entry.card
    if card.task != "cell-detection" or card.stain not in (stain, "any"):
        raise SettingsError(
            f"model {card.name} is for {card.task} in {card.stain}, not for cells in {stain}",
            "See `slidelab models list` for the models of this stain.",
        )
    heats = card.architecture.get("heats")
    tells_tumour = isinstance(heats, list) and "tumour" in heats
    named_so = {name.lower() for name in card.classes}
    return LearnedDetector.of(
        card,
        entry.weights,
        device=device,
        stride=card.input.stride_px,
        receptive_field_px=card.receptive_field_px,
        tumour_threshold=card.thresholds.get("tumour_threshold") if tells_tumour else None,
        tells_positive=tuple(card.classes) == ("Negative", "Positive"),
        kinds=tuple(name for name in CLASS_PROBABILITIES if name.removesuffix("_probability") in named_so),
    )


def restore_detector(value: dict[str, Any]) -> TileDetector:
    """Make the detector of a plan again from `TileDetector.to_json`."""
    settings = dict(value["settings"])
    if value["kind"] == "cells":
        from .cell_detector import CellDetector  # which holds a detector of this file

        return CellDetector(restore_detector(settings.pop("inner")), **settings)
    if value["kind"] == "learned":
        return LearnedDetector(
            **settings
            | {"card": Path(settings["card"]), "weights": Path(settings["weights"])}
            | {name: tuple(settings.get(name, ())) for name in ("limits", "kinds")}
        )
    settings["scales_um"] = tuple(settings["scales_um"])
    return BaselineDetector(UnmixedNuclei(UnmixedNucleiSettings(**settings)))
