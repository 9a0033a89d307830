"""The classes of colorectal mucosa that the tissue network tells apart."""

from __future__ import annotations

__all__ = ["COLORECTAL_CLASSES", "COLORECTAL_GRADES"]

COLORECTAL_CLASSES = ("normal", "polyp", "serrated", "low_grade_in", "high_grade_in", "adenocarcinoma")
"""In the order of the network's outputs; IN = intraepithelial neoplasia."""

COLORECTAL_GRADES = (
    ("normal", "polyp"),
    ("low_grade_in", "serrated"),
    ("high_grade_in",),
    ("adenocarcinoma",),
)
"""Four ordered grades and the classes that belong to each: what a patient's care depends on."""
