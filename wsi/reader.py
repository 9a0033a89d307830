"""What a file format must offer, and which reader opens what.

A reader opens one slide and hands out whole pixels of its pyramid levels; everything physical (um per pixel,
resampling, white outside) is the :class:`~slidelab.wsi.Slide`'s business. To add a format: write a class with
the four members of :class:`Reader`, and add one line to :func:`open_reader`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from .region import Region
from .resolution import Candidate

__all__ = ["GREY_PROBLEM", "Level", "Reader", "SlideFacts"]

GREY_PROBLEM = "one channel: not a stained slide"
"""What a slide of grey values or class codes is told."""


@dataclass(frozen=True, slots=True)
class Level:
    """One level of a slide's pyramid.

    Parameters
    ----------
    width, height : int
        Size, px of this level.
    downsample : float
        Level-0 pixels per pixel of this level; a whole number wherever the sizes allow one.
    """

    width: int
    height: int
    downsample: float


@dataclass(frozen=True)
class SlideFacts:
    """What a file says about itself."""

    reader: str
    """Name of the reader, as in :func:`list_readers`."""
    vendor: str
    """OpenSlide's name of the format, or the reader's own."""
    levels: tuple[Level, ...]
    """Pyramid, finest first."""
    bounds: Region
    """Where the scanner put pixels, level-0 px; the whole plane if the file does not say."""
    properties: Mapping[str, str]
    """Everything the file states, as text; may identify a patient, so never print it whole."""
    candidates: tuple[Candidate, ...]
    """Statements of the resolution in order of preference, without the objective-power estimate."""
    objective_power: float | None = None
    """Nominal magnification, for example 20."""
    associated_names: tuple[str, ...] = ()
    """Names of label, macro and thumbnail images."""
    icc_profile: bytes | None = None
    """Embedded colour profile; noted, never applied."""
    channels: int = 3
    """Samples per stored pixel; 1 is no stained slide."""
    compression: str = "unknown"
    """How level 0 is stored."""
    files: tuple[Path, ...] = ()
    """All files that hold the slide; what the fingerprint is made of."""
    problems: tuple[str, ...] = ()
    """Health notes that need no look at the pixels, one line each."""


class Reader(Protocol):
    """An open slide of one format. Thread-safe; a damaged tile never spoils the others."""

    @property
    def facts(self) -> SlideFacts:
        """What the file says about itself."""
        ...

    def read_level(self, level: int, window: Region) -> NDArray[np.uint8]:
        """Return (H, W, 3) uint8 sRGB pixels of ``window``, px of ``level``, wholly inside it.

        Raises
        ------
        UnreadableSlideError
            If a tile in the window is damaged.
        """
        ...

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Return the (H, W, 3) uint8 image called ``name``, one of ``facts.associated_names``."""
        ...

    def close(self) -> None:
        """Let go of the file."""
        ...
