"""From crops of cells to calibrated probabilities of their classes, and to "unknown" where none is likely."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InvalidTableError, SettingsError
from .card import ModelCard
from .cell_classifier_network import CellClassNetwork, CellClassSettings
from .cell_classifier_session import CellClassSession
from .loading import check_classes, check_encoder, fill_network
from .session import SessionSettings

__all__ = ["CELL_TASK", "CellClassifier", "CellThresholds", "load_cell_classifier", "load_cell_network"]

CELL_TASK = "cell-classification"


@dataclass(frozen=True)
class CellThresholds:
    """Numbers that were chosen on the tuning cases; a card holds them as ``thresholds``."""

    temperature: float = 1.0
    """Logits are divided by it, so that probabilities are as often right as they say."""
    reject_below: float = 0.0
    """A cell whose likeliest class is less probable than this is "other or unknown"."""
    views: float = 1.0
    """Mirrored and turned views that are averaged, 1 to 8 (`turned_views`)."""


class CellClassifier:
    """Names cells; one per process, shared by its threads.

    What is said of a crop depends on its pixels alone, bit for bit on a processor: not on the other crops,
    nor on the number of threads.

    Parameters
    ----------
    session : CellClassSession
        The network on its device.
    card : ModelCard
        What is known about it.
    """

    def __init__(self, session: CellClassSession, card: ModelCard) -> None:
        self.session = session
        self.card = card
        self.thresholds = thresholds_of(card)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""
        return self.session.network.settings.classes

    @property
    def mpp(self) -> float:
        """Resolution that crops must have, um per px."""
        return self.card.mpp

    @property
    def side(self) -> int:
        """Side of the crops, px."""
        return self.session.network.settings.side

    def classify(self, crops: NDArray[np.uint8], *, views: int | None = None) -> NDArray[np.float32]:
        """Return the probability of each class.

        Parameters
        ----------
        crops : (N, side, side, 3) uint8 array
            Pixels at ``mpp`` with the cell in the middle (`crops_around`).
        views : int, optional
            Mirrored and turned views that are averaged, 1 to 8; by default those of the card. More are a
            little better and as many times slower.

        Returns
        -------
        (N, K) float32 array
            Calibrated by the card's temperature; rows sum to 1.

        Raises
        ------
        InvalidTableError
            If the crops have another shape.
        """
        return calibrated(self.logits(crops, views=views), self.thresholds.temperature)

    def logits(self, crops: NDArray[np.uint8], *, views: int | None = None) -> NDArray[np.float32]:
        """Return the logits of `classify` before the temperature: (N, K)."""
        if crops.dtype != np.uint8 or crops.ndim != 4 or crops.shape[1:] != (self.side, self.side, 3):
            raise InvalidTableError(
                f"crops of shape {crops.shape} ({crops.dtype}) for a classifier of {self.side} px",
                "Cut them with crops_around.",
            )
        return self.session.logits(crops, views=views or int(self.thresholds.views))

    def unknown(self, probabilities: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return which cells are "other or unknown" by the card's rule: (N,).

        Parameters
        ----------
        probabilities : (N, K) array
            From `classify`.
        """
        if len(probabilities) == 0:
            return np.zeros(0, np.bool_)
        return np.asarray(probabilities.max(1) < self.thresholds.reject_below)


def calibrated(logits: NDArray[np.floating], temperature: float) -> NDArray[np.float32]:
    """Return logits (N, K) as probabilities under a temperature."""
    scaled = np.asarray(logits, np.float64) / temperature
    raised = np.exp(scaled - scaled.max(1, keepdims=True))
    return np.asarray(raised / raised.sum(1, keepdims=True), np.float32)


def thresholds_of(card: ModelCard) -> CellThresholds:
    """Return the thresholds of a card.

    Raises
    ------
    SettingsError
        If one is unknown, or makes no sense.
    """
    try:
        thresholds = CellThresholds(**card.thresholds)
    except TypeError as error:
        raise SettingsError(
            f"{card.name}: thresholds: {error}", "Name the thresholds as CellThresholds does."
        ) from error
    if thresholds.temperature <= 0 or thresholds.views not in range(1, 9):
        raise SettingsError(
            f"{card.name}: thresholds: temperature {thresholds.temperature}, views {thresholds.views}",
            "The temperature is above 0, and views are 1 to 8.",
        )
    return thresholds


def load_cell_classifier(
    card: ModelCard | Path, weights: Path | None = None, *, device: str = "cpu", threads: int = 1
) -> CellClassifier:
    """Return the classifier of a model.

    Parameters
    ----------
    card : ModelCard or Path
        From the `Registry`, or ``NAME.json``.
    weights : Path, optional
        ``NAME.safetensors``; beside the card's file by default.
    device : str
        ``auto``, ``cpu``, ``cuda``.
    threads : int
        Of a processor; changes nothing but the time.

    Raises
    ------
    SettingsError
        If the card is not that of such a model, or the device is not there.
    ModelNotFoundError, DamagedWeightsError
        If the weights are absent or not those of the card.
    """
    if isinstance(card, Path):
        weights = weights or card.with_suffix(".safetensors")
        card = ModelCard.read(card)
    if weights is None:
        raise SettingsError(f"{card.name}: no weights", "Give the file NAME.safetensors.")
    if card.task != CELL_TASK:
        raise SettingsError(f"{card.name} is a model for {card.task}", f"Choose one for {CELL_TASK}.")
    thresholds_of(card)
    network = load_cell_network(card, weights)
    return CellClassifier(CellClassSession(network, SessionSettings(device=device), threads=threads), card)


def load_cell_network(card: ModelCard, weights: Path) -> CellClassNetwork:
    """Build the network of a card and fill in its weights, which may be stored in half precision.

    Raises
    ------
    SettingsError
        If the card's architecture cannot be built.
    DamagedWeightsError
        If the weights are not those of the card or of its architecture.
    """
    try:
        network = CellClassNetwork(_settings_of(card))
    except SettingsError:
        raise
    except (TypeError, ValueError, RuntimeError, LookupError) as error:
        raise SettingsError(
            f"{card.name}: architecture: {error}", "The card may be of a newer slidelab: update it."
        ) from error
    return fill_network(network, weights, sha256=card.sha256)


def _settings_of(card: ModelCard) -> CellClassSettings:
    """Return a card's architecture; nothing that could load a file passes."""
    check_encoder(card)
    values: dict[str, Any] = dict(card.architecture)
    classes = values.pop("classes", ())
    settings = CellClassSettings(**values, classes=tuple(classes))
    check_classes(card, settings.classes)
    return settings
