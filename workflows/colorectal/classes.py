"""How the classes of colorectal mucosa are called and coloured wherever a person sees them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["BUD_COLOR", "LESION_CLASSES", "SIGNET_COLOR", "UNCERTAIN", "ShownClass", "class_named"]


@dataclass(frozen=True, slots=True)
class ShownClass:
    """One class of the tissue network, in words and colour."""

    key: str
    """As the network and the rules name it."""
    name: str
    """As reports name it."""
    color: str
    """Of its outlines, #rrggbb."""

    @property
    def rgb(self) -> tuple[int, int, int]:
        """Its colour as red, green, blue, 0-255."""
        red, green, blue = (int(self.color[start : start + 2], 16) for start in (1, 3, 5))
        return red, green, blue


LESION_CLASSES = (
    ShownClass("normal", "Normal", "#2e8b57"),
    ShownClass("polyp", "Polyp / hyperplastic", "#2b6cd6"),
    ShownClass("serrated", "Serrated", "#00b0c8"),
    ShownClass("low_grade_in", "LGIN", "#f5c400"),
    ShownClass("high_grade_in", "HGIN", "#ff7a00"),
    ShownClass("adenocarcinoma", "Adenocarcinoma", "#d4001a"),
)
"""In the order of the network's outputs, which is that of rising severity."""
UNCERTAIN = ShownClass("uncertain", "Uncertain", "#5c6670")
"""Glands of which the network is not sure enough to name a class."""
SIGNET_COLOR = "#c800c8"
"""Of signet-ring cells."""
BUD_COLOR = "#1a1a1a"
"""Of candidate tumour buds, and of the field that holds most."""


def class_named(key: str) -> ShownClass:
    """Return the class of a key."""
    return next(each for each in (*LESION_CLASSES, UNCERTAIN) if each.key == key)
