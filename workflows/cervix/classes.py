"""The colours in which classes are shown: the same in pictures, reports and QuPath."""

from __future__ import annotations

__all__ = ["class_color", "color_of"]

COLORS = {
    "NILM": "#5c6670",
    "ASC-US": "#b58900",
    "LSIL": "#d9730d",
    "ASC-H": "#c2410c",
    "HSIL": "#b91c1c",
    "SCC": "#7f1d1d",
    "OTH-M": "#7f1d1d",
}
GLANDULAR = "#6d28d9"
FINDING = "#0f766e"


def class_color(code: str) -> str:
    """Return the colour of a class or finding, ``#rrggbb``."""
    if code in COLORS:
        return COLORS[code]
    return GLANDULAR if code.startswith("AGC") or code in ("AIS", "ADC") else FINDING


def color_of(code: str) -> tuple[int, int, int]:
    """Return the same as R, G, B, 0-255."""
    text = class_color(code)
    return int(text[1:3], 16), int(text[3:5], 16), int(text[5:7], 16)
