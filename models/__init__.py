"""Detectors and classifiers, and the cell table they return."""

from .cells import CellTable
from .unmixed_nuclei import UnmixedNuclei, UnmixedNucleiSettings

__all__ = ["CellTable", "UnmixedNuclei", "UnmixedNucleiSettings"]
