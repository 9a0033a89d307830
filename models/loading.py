"""From card and weights to a network, and to a detector that works."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..errors import DamagedWeightsError, SettingsError
from .card import DETECTION_TASKS, ModelCard
from .model_folder import ModelEntry
from .tensor_file import read_tensors

if TYPE_CHECKING:
    from torch.nn import Module

    from .network import CellNetwork
    from .star_detector import StarDetector

__all__ = [
    "architecture_of",
    "check_classes",
    "check_encoder",
    "fill_network",
    "load_detector",
    "load_network",
]

ENCODER_PATTERN = r"[a-z0-9_]+(\.[a-z0-9_]+)?"
"""A plain timm architecture: no ``hf-hub:`` or ``local-dir:``, which would fetch something else."""
FORBIDDEN_OPTIONS = ("cache", "checkpoint", "features_only", "out_indices", "pretrained")
"""Options of timm that load files, or that the network sets itself; by how they begin."""
TUPLES = ("widths", "heats", "classes")

AnyNetwork = TypeVar("AnyNetwork", bound="Module")


def load_detector(model: ModelEntry | tuple[Path, Path], *, device: str = "auto") -> StarDetector:
    """Return the detector of a model.

    Parameters
    ----------
    model : ModelEntry or (Path, Path)
        From the `Registry`, or card (``NAME.json``) and weights (``NAME.safetensors``).
    device : str
        ``auto``, ``cpu``, ``cuda``.

    Raises
    ------
    SettingsError
        If the card is not that of such a detector, or the device is not there.
    ModelNotFoundError, DamagedWeightsError
        If the weights are absent or not those of the card.
    """
    from .session import InferenceSession, SessionSettings
    from .star_detector import StarDetector, StarSettings

    if isinstance(model, ModelEntry):
        card, weights = model.card, model.weights
    else:
        card, weights = ModelCard.read(model[0]), model[1]
    if card.task not in DETECTION_TASKS:
        raise SettingsError(
            f"{card.name} is a model for {card.task}", f"Choose one for {' or '.join(DETECTION_TASKS)}."
        )
    try:
        given: dict[str, Any] = dict(card.thresholds)
        of_classes = [given.pop(f"{name.lower()}_threshold", None) for name in card.classes]
        if any(value is not None for value in of_classes):
            usual = given.get("threshold", StarSettings.threshold)
            given["class_thresholds"] = tuple(usual if value is None else value for value in of_classes)
        settings = StarSettings(**given)
    except TypeError as error:
        raise SettingsError(
            f"{card.name}: thresholds: {error}", "Name the thresholds as StarSettings does."
        ) from error
    session = InferenceSession(load_network(card, weights), SessionSettings(device=device))
    return StarDetector(session, mpp=card.mpp, settings=settings, unclassed=card.classes[0])


def load_network(card: ModelCard, weights: Path) -> CellNetwork:
    """Build the network of a card and fill in its weights.

    Raises
    ------
    SettingsError
        If the card's architecture cannot be built.
    DamagedWeightsError
        If the weights are not those of the card or of its architecture.
    """
    from .network import CellNetwork, NetworkSettings

    try:
        network = CellNetwork(NetworkSettings(**architecture_of(card)))
    except (TypeError, ValueError, RuntimeError, LookupError, AssertionError) as error:
        raise SettingsError(
            f"{card.name}: architecture: {error}", "The card may be of a newer slidelab: update it."
        ) from error
    return fill_network(network, weights, sha256=card.sha256)


def fill_network(network: AnyNetwork, weights: Path, *, sha256: str) -> AnyNetwork:
    """Fill in the weights that a card promises, and make the network ready to be used.

    Raises
    ------
    ModelNotFoundError, DamagedWeightsError
        If the weights are absent, or not those of the card or of its architecture.
    """
    try:
        network.load_state_dict(read_tensors(weights, sha256=sha256))
    except RuntimeError as error:
        raise DamagedWeightsError(
            f"{weights} does not fit the architecture of its card", "Fetch card and weights again, together."
        ) from error
    return network.eval()


def architecture_of(card: ModelCard) -> dict[str, Any]:
    """Return a card's architecture as fields of `NetworkSettings`; nothing that could load a file passes."""
    values = {
        name: tuple(value) if name in TUPLES and isinstance(value, list) else value
        for name, value in card.architecture.items()
    }
    check_encoder(card)
    return values


def check_encoder(card: ModelCard) -> None:
    """Raise unless a card's encoder is a plain architecture of timm, which loads no file."""
    encoder, options = (card.architecture.get(name) for name in ("encoder", "encoder_options"))
    if not isinstance(encoder, str) or not re.fullmatch(ENCODER_PATTERN, encoder):
        raise SettingsError(f"{card.name}: no architecture of timm: {encoder!r}", "Correct the model card.")
    if not isinstance(options, dict) or any(name.startswith(FORBIDDEN_OPTIONS) for name in options):
        raise SettingsError(
            f"{card.name}: encoder_options: {options!r} is not allowed",
            "Give options of the architecture only.",
        )


def check_classes(card: ModelCard, classes: tuple[str, ...]) -> None:
    """Raise unless a card has the classes of its network."""
    if classes != card.classes:
        raise SettingsError(
            f"{card.name}: its network has the classes {', '.join(classes)}", "Correct the model card."
        )
