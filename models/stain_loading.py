"""From card and weights to a stain generator, and from its name to both."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ..errors import DamagedWeightsError, SettingsError
from .card import ModelCard
from .loading import fill_network
from .model_folder import ModelEntry
from .registry import LicencePolicy, Registry

if TYPE_CHECKING:
    from .stain_generator import GeneratorSettings, StainGenerator

__all__ = ["STAIN_TASK", "GeneratorFile"]

STAIN_TASK = "stain-normalisation"
"""Task of the cards of stain generators."""


@dataclass(frozen=True)
class GeneratorFile:
    """A stain generator on disk: small enough to be sent to other processes, which load it themselves."""

    name: str
    """Of the model."""
    weights: Path
    """The safetensors file."""
    sha256: str
    """Of that file, as its card says."""
    settings: GeneratorSettings
    """What it is made of."""

    @classmethod
    def find(cls, name: str = "auto", *, policy: LicencePolicy = "research") -> Self:
        """Return a generator of the `Registry`: the default one, or one by name or by ``NAME@SHA256``.

        Raises
        ------
        SettingsError
            If the model is for another task, or its card cannot be built.
        ModelNotFoundError, ModelRefusedError, DamagedWeightsError
            As `Registry.find`; also if the weights of that name are not those that were asked for.
        """
        registry = Registry(policy=policy)
        wanted, _, sha256 = name.partition("@")
        if wanted == "auto":
            return cls.of(registry.default(task=STAIN_TASK, stain="H&E"))
        entry = registry.find(wanted)
        if sha256 and not entry.card.sha256.startswith(sha256):
            raise DamagedWeightsError(
                f"{wanted} is not the one that the slide was normalised with",
                "Fit the slide again, without its profile.",
            )
        return cls.of(entry)

    @classmethod
    def of(cls, model: ModelEntry | tuple[Path, Path]) -> Self:
        """Return the generator of an entry of the registry, or of card and weights."""
        from .stain_generator import GeneratorSettings

        card, weights = (
            (model.card, model.weights)
            if isinstance(model, ModelEntry)
            else (ModelCard.read(model[0]), model[1])
        )
        if card.task != STAIN_TASK:
            raise SettingsError(f"{card.name} is a model for {card.task}", f"Choose one for {STAIN_TASK}.")
        values: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value
            for key, value in card.architecture.items()
        }
        try:
            settings = GeneratorSettings(**values)
        except (TypeError, ValueError) as error:
            raise SettingsError(
                f"{card.name}: architecture: {error}", "The card may be of a newer slidelab: update it."
            ) from error
        return cls(card.name, weights, card.sha256, settings)

    @property
    def reference(self) -> str:
        """What `find` takes to find these very weights: ``NAME@SHA256``, of which 16 digits."""
        return f"{self.name}@{self.sha256[:16]}"

    def load(self) -> StainGenerator:
        """Build the network and fill in its weights.

        Raises
        ------
        ModelNotFoundError, DamagedWeightsError
            If the weights are absent, or not those of the card or of its architecture.
        """
        from .stain_generator import StainGenerator

        return fill_network(StainGenerator(self.settings), self.weights, sha256=self.sha256)
