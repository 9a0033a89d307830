"""Settings of one training of a tissue network, from a TOML file."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ...card import NAME_PATTERN
from ...tissue_network import TissueSettings
from ..settings_file import AtLeastOne, Count, Positive, SettingsFile, Share, Weight

__all__ = ["TissueConfig"]


class TissueConfig(SettingsFile):
    """How a tissue network is trained; every field can stand in the TOML file."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name of the model: ``<task>-<arch>.<dataset>``."""
    sources: tuple[str, ...] = ("ebhi-seg",)
    """Sets of graded images (`COLORECTAL_SETS`) to learn from."""
    unlabelled: tuple[str, ...] = ()
    """Sets without grades: they teach by consistency, and some that there is no gland where none is."""
    fold: Count | Literal["none"] = 0
    """Which fold of the patients is validation, from 0; ``none``: all patients teach or tune, as for weights
    that ship once four folds have told how good such weights are."""
    folds: int = Field(default=4, ge=2)
    """Folds that the patients are divided into."""
    split_seed: Count = 0
    """Of the division; another seed, other folds."""
    mpp: Positive = 1.3
    """Working resolution, um per px."""
    scales: tuple[Positive, Positive] = (0.75, 1.33)
    """Resolutions that crops are drawn at, from and to, as factors of ``mpp``."""
    normalise: str = "none"
    """Method by which each image is normalised before anything is learnt from it."""
    stain_strength: Weight = 1.5
    """How much colours are varied: 0 not at all, 1 as for nuclei (`StainJitter`)."""
    network: dict[str, Any] = Field(default_factory=dict)
    """Fields of `TissueSettings` that differ from the default."""
    pretrained: bool = True
    """Begin with an encoder that was trained on ImageNet (`imagenet_weights`)."""
    frozen_stages: Count = 0
    """Stages of a pretrained encoder, and its stem, that stay as they are: edges and colours are known
    already, and learning them anew takes half of the time."""
    crop_px: AtLeastOne = 192
    """Side of a crop, px: a multiple of the network's stride."""
    batch: AtLeastOne = 16
    """Graded crops per step."""
    unlabelled_batch: Count = 2
    """Crops per step from ``unlabelled``; none where consistency weighs nothing."""
    grade_balance: Share = 0.8
    """How evenly the four grades (`COLORECTAL_GRADES`) are drawn: 0 as they are, 1 all equally often."""
    balance: Share = 0.5
    """How evenly the classes of one grade are drawn."""
    steps: AtLeastOne = 800
    """Steps in all."""
    rate: Positive = 1e-3
    """Greatest learning rate."""
    weight_decay: Weight = 0.02
    """AdamW's."""
    average: Share = 0.995
    """Decay of the running mean of the weights, which teaches the network and is what is kept."""
    smoothing: Share = 0.1
    """Share of the class target that is given to other classes."""
    neighbours: Share = 0.7
    """Share of that which goes to classes of the next grade, the rest to all evenly."""
    gland_weight: Weight = 1.0
    """Weight of the gland loss; 0 learns from image labels alone."""
    consistency_weight: Weight = 1.0
    """Weight of the consistency loss; 0 learns from labels alone."""
    check_every: AtLeastOne = 100
    """Steps between log rows and checkpoints."""
    seed: Count = 2026
    """Of all random choices."""

    @property
    def validation_fold(self) -> int | None:
        """The fold of validation; None where there is none."""
        return None if self.fold == "none" else self.fold

    def network_settings(self) -> TissueSettings:
        """Return what the network is made of."""
        values = dict(self.network)
        for name in ("widths", "classes"):
            if name in values:
                values[name] = tuple(values[name])
        return TissueSettings(**values)

    @property
    def unlabelled_crops(self) -> int:
        """Crops per step that have no grade."""
        return self.unlabelled_batch if self.unlabelled and self.consistency_weight else 0

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse a network that cannot be built, and crops that it cannot take."""
        try:
            settings = self.network_settings()
        except TypeError as error:
            raise ValueError(f"network: {error}") from error
        if self.crop_px % settings.stride:
            raise ValueError(f"crop_px: {self.crop_px} is no multiple of the stride, {settings.stride} px")
        if self.scales[0] > self.scales[1]:
            raise ValueError(f"scales: {self.scales[0]} is above {self.scales[1]}")
        if self.fold != "none" and self.fold >= self.folds:
            raise ValueError(f"fold: {self.fold} of {self.folds}, counted from 0")
        if self.frozen_stages and not self.pretrained:
            raise ValueError("frozen_stages: only a pretrained encoder has something to keep")
        if not self.sources:
            raise ValueError("sources: name a set of graded images")
        return self
