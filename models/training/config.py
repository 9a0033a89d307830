"""Settings of one training run, from a TOML file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from ..card import NAME_PATTERN
from ..network import NetworkSettings
from .settings_file import AtLeastOne, Count, Positive, SettingsFile, Share, Weight

__all__ = ["CONFIGS", "TrainingConfig"]

CONFIGS = Path(__file__).parent / "configs"
"""Settings by which the shipped weights were trained."""

HEATS = (("nucleus",), ("nucleus", "tumour"))
"""Heat maps that labels can be turned into, in the order that detectors read them."""


class TrainingConfig(SettingsFile):
    """How a detector is trained; every field can stand in the TOML file."""

    name: str = Field(pattern=NAME_PATTERN)
    """Name of the model: ``<task>-<arch>.<dataset>``."""
    stain: Literal["H-DAB", "H&E", "Papanicolaou", "Romanowsky"]
    """What the images are stained with."""
    task: Literal["cell-detection", "signet-ring-detection", "blood-cell-detection"] = "cell-detection"
    """What the card says that it is for (`DETECTION_TASKS`)."""
    sources: dict[str, Positive] = Field(default_factory=dict)
    """Collections, or sets of a manifest, and how often each is drawn from, relative to the others; empty =
    every set of the manifest, equally often."""
    empty_share: Share = 0.0
    """Share of the crops of a source that come from its images that hold nothing; 0 draws those as seldom as
    any other image with little on it."""
    phantoms: Share = 0.1
    """Share of crops that are painted."""
    phantom_slides: AtLeastOne = 4
    """Phantom slides to paint: one of each kind in turn, then again with the other scanner's look."""
    mpp: Positive = 0.5
    """Working resolution, um per px."""
    scales: tuple[Positive, ...] = Field(default=(0.8, 0.9, 1.0, 1.12, 1.25), min_length=1)
    """Resolutions that crops are drawn at, as factors of ``mpp``: sizes differ between tissues."""
    network: dict[str, Any] = Field(default_factory=dict)
    """Fields of `NetworkSettings` that differ from the default."""
    pretrained: bool = False
    """Begin with an encoder that was trained on ImageNet (`imagenet_weights`)."""
    start_from: str = ""
    """Name of a model whose weights are the first ones; sought in the model folder, then in the registry."""
    centre_marks_um: Weight = 0.0
    """Marks of point-only sets are moved, at most so far, to the nuclei that another model finds; um."""
    centre_with: str = ""
    """Name of that model; by default the one to start from."""
    crop_px: AtLeastOne = 256
    """Side of a crop, px: a multiple of the network's stride."""
    batch: AtLeastOne = 8
    """Crops per step."""
    phantom_steps: Count = 400
    """Steps on phantoms alone, before any real image is seen."""
    steps: AtLeastOne = 6000
    """Steps in all."""
    rate: Positive = 2e-3
    """Greatest learning rate."""
    weight_decay: Weight = 0.01
    """AdamW's."""
    average: Share = 0.998
    """Decay of the running mean of the weights; the mean is what is kept."""
    outline_weight: Weight = 1.0
    """Weight of the outline loss beside the centre loss."""
    class_weight: Weight = 0.5
    """Weight of the class loss."""
    check_every: AtLeastOne = 500
    """Steps between measurements on the tuning cases, and between checkpoints."""
    patience: AtLeastOne = 8
    """Measurements without gain after which training stops."""
    keep: Literal["best", "last"] = "best"
    """Which weights are kept: those of the best measurement, or the last where tuning cases are too few to
    choose by."""
    tumour_share: Share = 0.0
    """`StarSettings.tumour_share`: 0 keeps one tumour threshold for all slides."""
    views: Annotated[int, Field(ge=1, le=8)] = 1
    """Turns of an image whose mean the finished detector takes (`StarSettings.views`)."""
    thresholds_from: Literal["tuning", "all", "folds"] = "tuning"
    """Images that choose the thresholds: the tuning cases, or those and the ones learnt from; the latter
    where tuning cases are few and the network is no better on what it has learnt. With ``folds`` further
    networks look at both, each at cases that it was trained without."""
    folds: Annotated[int, Field(ge=2)] = 3
    """Groups of cases for ``thresholds_from = "folds"``."""
    fold_steps: Count = 0
    """Steps of the trainings for ``thresholds_from = "folds"``; 0 = as many as `steps`."""
    false_positives: Weight = 0.0
    """The threshold is the least at which so many are found per image that holds nothing; 0 takes the
    threshold of the highest F1 instead, which needs images with every nucleus marked."""
    largest_radius_um: Positive = 10.0
    """`StarSettings.largest_radius_um`."""
    smallest_area_um2: Positive = 8.0
    """`StarSettings.smallest_area_um2`."""
    cover: Share = 0.7
    """`StarSettings.cover`."""
    limits: tuple[str, ...] = ()
    """What its images leave unknown and do not say themselves, a sentence each; the card takes them over."""
    seed: Count = 2026
    """Of all random choices."""

    @property
    def paints(self) -> bool:
        """Whether phantoms are learnt from at all."""
        return self.phantoms > 0 or self.phantom_steps > 0

    def network_settings(self) -> NetworkSettings:
        """Return what the network is made of."""
        values = dict(self.network)
        for name in ("widths", "heats", "classes"):
            if name in values:
                values[name] = tuple(values[name])
        return NetworkSettings(**values)

    @model_validator(mode="after")
    def _network_fits(self) -> Self:
        """Refuse a network that cannot be built, and crops that it cannot take."""
        try:
            settings = self.network_settings()
        except TypeError as error:
            raise ValueError(f"network: {error}") from error
        if settings.heats not in HEATS:
            raise ValueError(f"network: heats are {settings.heats}, not nucleus, or nucleus and tumour")
        if self.centre_marks_um and not (self.centre_with or self.start_from):
            raise ValueError("centre_marks_um: needs centre_with or start_from: marks move to its nuclei")
        if self.crop_px % settings.stride:
            raise ValueError(f"crop_px: {self.crop_px} is no multiple of the stride, {settings.stride} px")
        return self
