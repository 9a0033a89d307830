"""Detectors and classifiers, the cell table they return, and the labelled images they are held against."""

from .cells import CellTable
from .labelled import KI67_SETS, LabelledImage, read_labelled
from .unmixed_nuclei import UnmixedNuclei, UnmixedNucleiSettings

__all__ = [
    "KI67_SETS",
    "CellTable",
    "LabelledImage",
    "UnmixedNuclei",
    "UnmixedNucleiSettings",
    "read_labelled",
]
