"""Settings of one training of a stain generator, from a TOML file."""

from __future__ import annotations

from typing import Any, Self

from pydantic import Field, model_validator

from ...card import NAME_PATTERN
from ...stain_generator import GeneratorSettings
from ..settings_file import AtLeastOne, Count, Positive, SettingsFile, Share, Weight

__all__ = ["StainConfig"]


class StainConfig(SettingsFile):
    """How a stain generator is trained; every field can stand in the TOML file."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name of the model: ``<task>-<arch>.<dataset>``."""
    sites: tuple[str, ...] = Field(min_length=2)
    """Sets of H&E images, each a site."""
    plain_target: str = ""
    """The site whose look a plain generator learns to give; a guided one is told the look instead."""
    most_fields: AtLeastOne = 60
    """Most images of a site, taken evenly from its training part."""
    finest_mpp: Positive = 0.25
    """Finest resolution of crops, um per px; none is finer than its image."""
    coarsest_mpp: Positive = 1.0
    """Coarsest, where the image is not coarser."""
    network: dict[str, Any] = Field(default_factory=dict)
    """Fields of `GeneratorSettings` that differ from the default."""
    critic_width: AtLeastOne = 32
    """Channels of the first layer of the critic."""
    crop_px: int = Field(default=72, ge=32)
    """Side of a crop, px."""
    batch: AtLeastOne = 4
    """Pairs of crops per step, each of two sites."""
    jitter: Share = 0.5
    """Share of the crops to translate that are first brought to another field's look, and beyond."""
    steps: AtLeastOne = 1500
    """Steps in all."""
    rate: Positive = 5e-4
    """Greatest learning rate (Adam, beta 0.5 and 0.999), of generator and critic."""
    average: Share = 0.995
    """Decay of the running mean of the generator's weights, which is what is kept."""
    cycle_weight: Weight = 10.0
    """Price of not finding the way back."""
    identity_weight: Weight = 5.0
    """Price of changing what is already in the target's look."""
    structure_weight: Weight = 2.0
    """Price of lightness that no longer follows that of the source, place by place."""
    check_every: AtLeastOne = 100
    """Steps between log rows and checkpoints."""
    seed: Count = 2026
    """Of all random choices."""

    def network_settings(self) -> GeneratorSettings:
        """Return what the generator is made of."""
        values = dict(self.network)
        if "dilations" in values:
            values["dilations"] = tuple(values["dilations"])
        return GeneratorSettings(**values)

    @property
    def guided(self) -> bool:
        """Whether the generator is told the looks."""
        return self.network_settings().guided

    def as_plain(self) -> StainConfig:
        """Return the same training of a plain CycleGAN: no look is told, one site is the target."""
        name = self.name.replace("-guided", "-plain", 1)
        if name == self.name:
            name = self.name.replace(".", "-plain.", 1)
        values = self.model_dump() | {"name": name, "network": self.network | {"guided": False}}
        return StainConfig.check(values, where="--plain")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse a generator that cannot be built, and a plain one without a target."""
        try:
            settings = self.network_settings()
        except TypeError as error:
            raise ValueError(f"network: {error}") from error
        if len(set(self.sites)) < len(self.sites):
            raise ValueError("sites: one is named twice")
        if self.finest_mpp > self.coarsest_mpp:
            raise ValueError(f"finest_mpp: {self.finest_mpp} is coarser than {self.coarsest_mpp}")
        if not settings.guided and self.plain_target not in self.sites:
            raise ValueError("plain_target: name the site whose look a plain generator is to give")
        if self.crop_px <= 4 * settings.reach:
            raise ValueError(
                f"crop_px: {self.crop_px} px hold little but border, the reach is {settings.reach}"
            )
        return self
