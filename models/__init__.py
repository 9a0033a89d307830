"""Detectors and classifiers, the cell table they return, and the labelled images they are held against."""

from .cells import CellTable
from .labelled import COLLECTIONS, KI67_SETS, LabelledImage, read_collection, split_images
from .unmixed_nuclei import UnmixedNuclei, UnmixedNucleiSettings

__all__ = [
    "COLLECTIONS",
    "KI67_SETS",
    "CellTable",
    "LabelledImage",
    "UnmixedNuclei",
    "UnmixedNucleiSettings",
    "read_collection",
    "split_images",
]
