"""An open slide: its size, resolution and health, and pixels at any resolution."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
from numpy.typing import NDArray

from ..errors import RegionError, UnreadableSlideError
from .fingerprint import fingerprint_files
from .formats import open_reader
from .health import look_at_pixels, probe
from .plane import Plane
from .reader import Level, Reader
from .region import Region
from .resolution import Resolution, judge, override
from .salvage import SalvagingReader

__all__ = ["Slide", "open_slide"]


class Slide:
    """A whole-slide image or a plain field of view, open for reading.

    Made by :func:`open_slide`. May be read from any number of threads. Pickles as its path and ``mpp`` and
    reopens the file where it is unpickled, so it can be sent to a worker process.

    Parameters
    ----------
    path : Path
        The slide's file, or a folder of one DICOM series.
    mpp : float or None
        The user's um per level-0 pixel, in place of what the file says.
    salvage : bool
        Read damaged tiles as white, and note them in ``damage``.

    Attributes
    ----------
    path : Path
        As given.
    vendor : str
        Format: OpenSlide's name, or ``"ome-tiff"``, ``"plain"``.
    width, height : int
        Size of level 0, px.
    levels : tuple of Level
        Pyramid, finest first.
    bounds : Region
        Part of the plane that the scanner filled, level-0 px.
    resolution : Resolution
        um per pixel with its source and standing.
    objective_power : float or None
        Nominal magnification.
    properties : Mapping
        All metadata as text. May identify a patient: never print it whole.
    associated_names : tuple of str
        Label, macro, thumbnail, ...
    icc_profile : bytes or None
        Embedded colour profile. It is recorded and never applied.
    """

    def __init__(self, path: Path, *, mpp: float | None = None, salvage: bool = False) -> None:
        self._reader: Reader | None = None
        self._mpp_override = mpp
        self._salvage = salvage
        self._lock = threading.Lock()
        self.path = path
        reader = self._open(path)
        facts = self.facts = reader.facts
        self.vendor: str = facts.vendor
        self.levels: tuple[Level, ...] = facts.levels
        self.width: int = facts.levels[0].width
        self.height: int = facts.levels[0].height
        self.bounds: Region = facts.bounds
        self.objective_power: float | None = facts.objective_power
        self.properties: Mapping[str, str] = facts.properties
        self.associated_names: tuple[str, ...] = facts.associated_names
        self.icc_profile: bytes | None = facts.icc_profile
        try:
            self.resolution: Resolution = judge(facts.candidates, objective_power=facts.objective_power)
            if mpp is not None:
                self.resolution = override(self.resolution, mpp=mpp)
            self._unreadable = probe(reader)
        except BaseException:
            reader.close()
            raise
        self._reader = SalvagingReader(reader) if salvage else reader

    def _open(self, path: Path) -> Reader:
        """Return the reader of the file; slides of several files have their own."""
        return open_reader(path)

    @property
    def damage(self) -> tuple[Region, ...]:
        """Windows read as white because they are damaged, level-0 px; always empty without ``salvage``."""
        return self._reader.damage if isinstance(self._reader, SalvagingReader) else ()

    @property
    def mpp(self) -> float:
        """Return um per level-0 pixel; raises ResolutionError where it cannot be trusted."""
        return self.resolution.require()

    @cached_property
    def problems(self) -> tuple[str, ...]:
        """Health notes, one line each: single channel, looks like fluorescence, damaged tiles, ..."""
        seen = () if self.facts.channels == 1 else look_at_pixels(self)
        return (*self.facts.problems, *self._unreadable, *seen)

    @cached_property
    def fingerprint(self) -> str:
        """64 hex digits that identify the file's content, whatever its name, place or date."""
        return fingerprint_files(self.facts.files)

    def plane(self, mpp: float) -> Plane:
        """Return the whole slide as one virtual image of ``mpp`` um per pixel.

        Parameters
        ----------
        mpp : float
            Wanted um per pixel. The plane's own ``mpp`` is the true value: where the ratio to a stored level
            is within 2 % of a whole number, the plane has exactly that ratio (0.5 asked of a 0.499 slide
            reads stored pixels).

        Raises
        ------
        ResolutionError
            If the slide's resolution cannot be trusted or ``mpp`` is no positive number.
        """
        return Plane(self, mpp)

    def read(self, region: Region, *, mpp: float) -> NDArray[np.uint8]:
        """Return the pixels of a level-0 region at ``mpp``.

        Parameters
        ----------
        region : Region
            Level-0 px; may reach outside the slide, which is white.
        mpp : float
            Wanted um per pixel, as in :meth:`plane`.

        Returns
        -------
        (H, W, 3) uint8 array
            The region's corner and size are rounded to whole pixels of ``plane(mpp)``, at least 1 x 1.
        """
        plane = self.plane(mpp)
        scale = plane.downsample
        return plane.read(
            round(region.x / scale),
            round(region.y / scale),
            max(1, round(region.width / scale)),
            max(1, round(region.height / scale)),
        )

    def read_level(self, level: int, window: Region) -> NDArray[np.uint8]:
        """Return stored pixels of a level; white outside it.

        Parameters
        ----------
        level : int
            Index into ``levels``.
        window : Region
            In pixels of that level (not of level 0).

        Returns
        -------
        (H, W, 3) uint8 array
        """
        stored = self.levels[level]
        inside = window.intersection(Region(0, 0, stored.width, stored.height))
        if inside == window:
            return self.reader.read_level(level, window)
        out = np.full((window.height, window.width, 3), 255, np.uint8)
        if inside is not None:
            top, left = inside.y - window.y, inside.x - window.x
            pixels = self.reader.read_level(level, inside)
            out[top : top + inside.height, left : left + inside.width] = pixels
        return out

    def read_associated(self, name: str) -> NDArray[np.uint8]:
        """Return an associated image, (H, W, 3) uint8.

        Raises
        ------
        RegionError
            If the slide has no image of that name.
        """
        if name not in self.associated_names:
            names = ", ".join(self.associated_names) or "none"
            raise RegionError(f"{self.path.name} has no associated image {name!r}", f"it has: {names}")
        return self.reader.read_associated(name)

    def close(self) -> None:
        """Let go of the file; reading afterwards is an error, closing twice is not."""
        with self._lock:
            reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()

    @property
    def reader(self) -> Reader:
        """The open reader behind the slide; an error once the slide is closed."""
        if self._reader is None:
            raise UnreadableSlideError(f"{self.path.name} is closed", "open it again with open_slide")
        return self._reader

    def __enter__(self) -> Slide:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __reduce__(self) -> tuple[Callable[..., Slide], tuple[Path, float | None, bool]]:
        return (_reopen, (self.path, self._mpp_override, self._salvage))

    def __repr__(self) -> str:
        return f"<Slide {self.path.name}: {self.width} x {self.height} px, {self.vendor}>"


def open_slide(path: str | Path, *, mpp: float | None = None, salvage: bool = False) -> Slide:
    """Open a slide or a plain image.

    Parameters
    ----------
    path : str or Path
        Slide file; for DICOM any file of the series, or the folder that holds it.
    mpp : float or None
        um per level-0 pixel, 0.05-5, in place of what the file says.
    salvage : bool
        Read damaged tiles as white instead of raising, and note them in ``Slide.damage``: to look at a
        slide as a whole, never to count on it.

    Returns
    -------
    Slide
        Open; close it, or use it in a ``with`` statement.

    Raises
    ------
    SlideNotFoundError
        If there is no such file.
    UnreadableSlideError
        If the file is damaged, cut short or no image.
    UnsupportedSlideError
        If it is a sound file of a kind that cannot be used: fluorescence channels, 16 bit, ...
    ResolutionError
        If ``mpp`` is outside 0.05-5. A file without resolution opens; its ``.mpp`` raises.
    """
    return Slide(Path(path), mpp=mpp, salvage=salvage)


def _reopen(path: Path, mpp: float | None, salvage: bool) -> Slide:
    """Unpickle."""
    return Slide(path, mpp=mpp, salvage=salvage)
