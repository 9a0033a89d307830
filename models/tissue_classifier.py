"""From pixels to maps of tissue classes and glands, and to the class of a whole image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import InvalidTableError, SettingsError
from .card import ModelCard
from .loading import check_classes, check_encoder, fill_network
from .model_folder import ModelEntry
from .session import SessionSettings
from .tissue_network import TissueNetwork, TissueOutput, TissueSettings, pool_classes
from .tissue_session import TissueSession

__all__ = [
    "TissueClassifier",
    "TissueMap",
    "TissueThresholds",
    "load_tissue_classifier",
    "load_tissue_network",
]

TASK = "tissue-classification"
TUPLES = ("widths", "classes")
SYMMETRIES = 8
"""Ways to mirror and turn a square by quarters."""

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class TissueThresholds:
    """Numbers that were chosen on the tuning cases; a card holds them as ``thresholds``."""

    temperature: float = 1.0
    """Class logits are divided by it, so that probabilities are as often right as they say."""
    gland_threshold: float = 0.5
    """Probability from which a place is gland."""


@dataclass(frozen=True)
class TissueMap:
    """What the network says of one image, place by place."""

    classes: Floats
    """Probability of each class at stride 16: (K, H/16, W/16). They sum to 1 at each place."""
    glands: Floats
    """Probability of the epithelium of glands with their lumen at stride 4: (H/4, W/4)."""


class TissueClassifier:
    """Maps classes and glands of tissue; one per process, shared by its threads.

    What is said of a place depends on the pixels within the network's reach alone: an image in tiles that
    begin on multiples of the stride and overlap by the reach gives the same maps, bit for bit on a processor.

    Parameters
    ----------
    session : TissueSession
        The network on its device.
    mpp : float
        Resolution that it was trained at, um per px.
    thresholds : TissueThresholds
        Temperature and gland threshold.
    """

    def __init__(
        self, session: TissueSession, *, mpp: float, thresholds: TissueThresholds | None = None
    ) -> None:
        self.session = session
        self.mpp = mpp
        self.thresholds = thresholds or TissueThresholds()

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the maps."""
        return self.session.network.settings.classes

    @property
    def stride(self) -> int:
        """Images begin on multiples of this many px, and their sides are such multiples."""
        return self.session.network.settings.stride

    def map_tissue(self, image: NDArray[np.uint8]) -> TissueMap:
        """Map the classes and glands of one image.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
            Pixels at the network's resolution, as scanned; sides are multiples of the stride.

        Raises
        ------
        InvalidTableError
            If the sides are not.
        """
        if image.ndim != 3 or image.shape[0] % self.stride or image.shape[1] % self.stride:
            raise InvalidTableError(
                f"an image of shape {image.shape} for a network of stride {self.stride}",
                "Enlarge it with white to multiples of the stride.",
            )
        with self.session.turn():
            return self._maps(self.session.run(self.session.upload(image[None])))

    def _maps(self, output: TissueOutput) -> TissueMap:
        """Turn what the network gave for one image into probabilities."""
        classes = _softmax(output.classes[0].float() / self.thresholds.temperature)
        glands = torch.sigmoid(output.glands[0, 0].float())
        return TissueMap(classes.cpu().numpy(), glands.cpu().numpy())

    def read_image(self, image: NDArray[np.uint8]) -> tuple[TissueMap, Floats]:
        """Return the maps of an image of any size and its pooled class logits, before the temperature: (K,).

        The maps reach over what was added to the image: see `classify_image`.
        """
        whole = _mirrored(image, self.stride)
        with self.session.turn():
            output = self.session.run(self.session.upload(whole[None]))
            return self._maps(output), self._pooled(output)

    def _pooled(self, output: TissueOutput) -> Floats:
        """Return the pooled class logits of one image."""
        pooled = pool_classes(output, floor=self.session.network.settings.gland_floor)
        return np.asarray(pooled[0].cpu().numpy(), np.float32)

    def classify_image(self, image: NDArray[np.uint8], *, symmetries: bool = False) -> Floats:
        """Return the probability of each class of an image that shows one finding: (K,).

        Dense class logits are averaged, weighted by how much gland there is, as in training. An image whose
        sides are no multiples of the stride goes on as its own mirror image.

        Parameters
        ----------
        image : (H, W, 3) uint8 array
            Pixels at the network's resolution.
        symmetries : bool
            Average the logits over the eight ways to mirror and turn the image; eight times as slow.
        """
        return self.calibrated(self.image_logits(image, symmetries=symmetries))

    def calibrated(self, logits: Floats) -> Floats:
        """Return logits (..., K) as probabilities under the temperature."""
        scaled = torch.from_numpy(np.asarray(logits, np.float32)) / self.thresholds.temperature
        return torch.softmax(scaled, -1).numpy()

    def image_logits(self, image: NDArray[np.uint8], *, symmetries: bool = False) -> Floats:
        """Return the pooled class logits of an image, before the temperature: (K,); see `classify_image`."""
        whole = _mirrored(image, self.stride)
        views = [_turned(whole, number) for number in range(SYMMETRIES if symmetries else 1)]
        pooled = []
        for view in views:
            pixels = self.session.upload(view[None])
            with self.session.turn():
                pooled.append(self._pooled(self.session.run(pixels)))
        return np.asarray(np.mean(pooled, axis=0), np.float32)


def _softmax(logits: Tensor) -> Tensor:
    """Return logits (K, h, w) as probabilities, each place computed alike.

    torch's own takes another exponential function at the end of a row than within it.
    """
    raised = torch.exp(logits - logits.amax(0))
    total = raised[0].clone()
    for chance in raised[1:]:
        total += chance
    return raised / total


def _mirrored(image: NDArray[np.uint8], stride: int) -> NDArray[np.uint8]:
    """Enlarge an image (H, W, 3) with its mirror image until its sides are multiples of ``stride``."""
    down, right = (-size % stride for size in image.shape[:2])
    if not down and not right:
        return image
    return np.pad(image, ((0, down), (0, right), (0, 0)), mode="symmetric")


def _turned(image: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    """Apply one of the eight symmetries of the square."""
    flipped = image[:, ::-1] if number >= 4 else image
    return np.ascontiguousarray(np.rot90(flipped, number % 4))


def load_tissue_classifier(
    card: Path | ModelEntry, weights: Path | None = None, *, device: str = "auto"
) -> TissueClassifier:
    """Return the classifier of a model.

    Parameters
    ----------
    card : Path or ModelEntry
        ``NAME.json``, or a model from the `Registry`.
    weights : Path, optional
        ``NAME.safetensors``; beside the card by default.
    device : str
        ``auto``, ``cpu``, ``cuda``.

    Raises
    ------
    SettingsError
        If the card is not that of such a model, or the device is not there.
    ModelNotFoundError, DamagedWeightsError
        If the weights are absent or not those of the card.
    """
    if isinstance(card, ModelEntry):
        about, file = card.card, card.weights
    else:
        about, file = ModelCard.read(card), weights or card.with_suffix(".safetensors")
    if about.task != TASK:
        raise SettingsError(f"{about.name} is a model for {about.task}", f"Choose one for {TASK}.")
    try:
        thresholds = TissueThresholds(**about.thresholds)
    except TypeError as error:
        raise SettingsError(
            f"{about.name}: thresholds: {error}", "Name the thresholds as TissueThresholds does."
        ) from error
    session = TissueSession(load_tissue_network(about, file), SessionSettings(device=device))
    return TissueClassifier(session, mpp=about.mpp, thresholds=thresholds)


def load_tissue_network(card: ModelCard, weights: Path) -> TissueNetwork:
    """Build the network of a card and fill in its weights.

    Raises
    ------
    SettingsError
        If the card's architecture cannot be built.
    DamagedWeightsError
        If the weights are not those of the card or of its architecture.
    """
    try:
        network = TissueNetwork(_settings_of(card))
    except (TypeError, ValueError, RuntimeError, LookupError) as error:
        raise SettingsError(
            f"{card.name}: architecture: {error}", "The card may be of a newer slidelab: update it."
        ) from error
    return fill_network(network, weights, sha256=card.sha256)


def _settings_of(card: ModelCard) -> TissueSettings:
    """Return a card's architecture; nothing that could load a file passes."""
    check_encoder(card)
    values: dict[str, Any] = dict(card.architecture)
    settings = TissueSettings(**values | {name: tuple(values[name]) for name in TUPLES if name in values})
    check_classes(card, settings.classes)
    return settings
