"""Settings of one training of a cell classifier, from a TOML file."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import Field, model_validator

from ...card import NAME_PATTERN
from ...cell_classifier_network import CellClassSettings
from ..settings_file import AtLeastOne, Count, Positive, SettingsFile, Share, Weight

__all__ = ["CellsConfig"]


class CellsConfig(SettingsFile):
    """How a cell classifier is trained; every field can stand in the TOML file."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name of the model: ``<task>-<arch>.<dataset>``."""
    stain: Literal["Papanicolaou", "Romanowsky"]
    """What the cells are stained with."""
    sources: tuple[str, ...]
    """Sets of labelled cells (`CELL_SETS`) to learn from."""
    classes: tuple[str, ...]
    """Names of the classes, in the order of the outputs."""
    labels: Literal["label", "detail"] = "label"
    """Which words of the sets are the classes: the common ones, or each set's finer ones."""
    unions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """Labels that stand for several classes: such a cell is one of these, nobody said which."""
    order: tuple[str, ...] = ()
    """Classes by severity: being far off costs more than being near."""
    mpp: Positive
    """Working resolution, um per px."""
    scales: tuple[Positive, Positive] = (0.85, 1.18)
    """Resolutions that crops are drawn at, from and to, as factors of ``mpp``."""
    shift_um: Weight = 3.0
    """How far from the middle of a crop the cell may lie."""
    frame_share: Share = 0.5
    """Share of crops whose surroundings are exchanged, so that no frame tells a collection."""
    style_share: Share = 0.5
    """Share of crops that take over the colours of a cell of another collection."""
    colour_strength: Weight = 1.0
    """How much colours are varied besides."""
    network: dict[str, Any] = Field(default_factory=dict)
    """Fields of `CellClassSettings` that differ from the default."""
    pretrained: bool = True
    """Begin with an encoder that was trained on ImageNet (`imagenet_weights`)."""
    start_from: str = ""
    """Name of a model whose weights are the first ones; sought in the model folder, then in the registry."""
    frozen_stages: Count = 2
    """Stages of an encoder that has learnt already, and its stem, that stay as they are."""
    batch: AtLeastOne = 32
    """Crops per step."""
    balance: Share = 0.8
    """How evenly classes are drawn: 0 as they are, 1 all equally often."""
    set_balance: Share = 0.5
    """The same of the sets within a class."""
    shares: dict[str, Positive] = Field(default_factory=dict)
    """Labels that are drawn so many times as often as the balance says; ``set/label`` = within the label."""
    assumed_weight: Share = 0.5
    """Weight of cells whose class is assumed."""
    steps: AtLeastOne = 800
    """Steps in all."""
    rate: Positive = 1e-3
    """Greatest learning rate."""
    weight_decay: Weight = 0.02
    """AdamW's."""
    average: Share = 0.995
    """Decay of the running mean of the weights, which is what is kept."""
    smoothing: Share = 0.1
    """Share of the class target that is given to other classes."""
    order_weight: Weight = 1.0
    """Weight of the ordinal loss."""
    views: int = Field(default=1, ge=1, le=8)
    """Turned views that the finished model averages."""
    check_every: AtLeastOne = 50
    """Steps between log rows and checkpoints."""
    seed: Count = 2026
    """Of all random choices."""

    def network_settings(self) -> CellClassSettings:
        """Return what the network is made of."""
        return CellClassSettings(**self.network, classes=self.classes)

    def classes_of(self, label: str) -> tuple[str, ...]:
        """Return the classes that a label stands for; none where the network knows none of them."""
        return tuple(name for name in self.unions.get(label, (label,)) if name in self.classes)

    @model_validator(mode="after")
    def _fits(self) -> Self:
        """Refuse a network that cannot be built, and words that mean nothing."""
        try:
            settings = self.network_settings()
        except TypeError as error:
            raise ValueError(f"network: {error}") from error
        if settings.side % settings.stride:
            raise ValueError(f"network: side {settings.side} is no multiple of {settings.stride} px")
        if self.scales[0] > self.scales[1]:
            raise ValueError(f"scales: {self.scales[0]} is above {self.scales[1]}")
        if self.frozen_stages and not (self.pretrained or self.start_from):
            raise ValueError("frozen_stages: only a pretrained encoder has something to keep")
        if not self.sources or len(self.classes) < 2:
            raise ValueError("name a set of cells, and two classes")
        unknown = [name for name in (*self.order, *sum(self.unions.values(), ())) if name not in self.classes]
        if unknown:
            raise ValueError(f"{unknown[0]} is none of the classes")
        return self
