"""Figures that others have published for the same sets, each with where it can be read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass

__all__ = ["PUBLISHED", "PublishedFigure", "published_of"]


@dataclass(frozen=True)
class PublishedFigure:
    """One figure from the literature."""

    set_name: str
    """Our name of the collection."""
    method: str
    what: str
    """Which figure."""
    value: float
    conditions: str
    """What differs from ours: parts, matching, training."""
    source: str
    """Where it is printed."""

    def to_json(self) -> dict[str, str | float]:
        """Return plain JSON values."""
        return asdict(self)


SHADONET = (
    "Ghasemi M et al., ShadoNet: a cell detection and classification framework for Ki-67 pathology images, "
    "Bioinformatics 2026 (accepted), tables on the authors' project page; code: "
    "https://github.com/GhasemiGOF/ShadoNet"
)
RCCNET = (
    "Basha SHS et al., RCCNet, 2018, abstract: https://deepai.org/publication/"
    "rccnet-an-efficient-convolutional-neural-network-for-histological-routine-colon-cancer-nuclei-classification"
)
BCDATA = "whole published test part (402 images), trained on its training part; matched within 16 px"
SHIDC = "whole published test part (701 patches), trained on its training part; matched within 16 px"

PUBLISHED = (
    PublishedFigure("ki67-bcdata-sample", "ShadoNet", "detection F1", 0.80, BCDATA, SHADONET),
    PublishedFigure("ki67-bcdata-sample", "HoVer-Net", "detection F1", 0.71, BCDATA, SHADONET),
    PublishedFigure("ki67-bcdata-sample", "NuLite", "detection F1", 0.66, BCDATA, SHADONET),
    PublishedFigure("ki67-bcdata-sample", "CellViT", "detection F1", 0.38, BCDATA, SHADONET),
    PublishedFigure("ki67-shidc-sample", "ShadoNet", "detection F1", 0.66, SHIDC, SHADONET),
    PublishedFigure("ki67-shidc-sample", "HoVer-Net", "detection F1", 0.66, SHIDC, SHADONET),
    PublishedFigure(
        "crchistophenotypes",
        "RCCNet",
        "class accuracy",
        0.8061,
        "places of the nuclei given, none to be found",
        RCCNET,
    ),
)
"""Only what was read at its source; nothing from memory."""


def published_of(sets: Iterable[str]) -> tuple[PublishedFigure, ...]:
    """Return the published figures of some sets."""
    names = set(sets)
    return tuple(figure for figure in PUBLISHED if figure.set_name in names)
