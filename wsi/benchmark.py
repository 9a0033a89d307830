"""How fast slides are read, measured side by side with OpenSlide."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError, UnsupportedSlideError
from .region import Region
from .slide import Slide, open_slide

if TYPE_CHECKING:
    import openslide

__all__ = ["benchmark_reading"]

DEFAULT_CACHE_BYTES = 32 << 20
"""Size of the tile cache that OpenSlide gives every slide."""


@dataclass(frozen=True)
class _Side:
    """One competitor."""

    read: Callable[[Region], NDArray[np.uint8]]
    prepare: Callable[[], None]
    """Called before each round, outside the clock."""


def benchmark_reading(
    path: str | Path, *, window: int = 1024, rounds: int = 5, threads: int = 1
) -> dict[str, Any]:
    """Read all of level 0 natively and with OpenSlide, and compare speed and pixels.

    Both sides read the same windows, which cover the plane without overlap, into RGB arrays; handles stay
    open. After a warm-up round of each, the sides take turns round by round, and a ratio is the median of the
    ratios of neighbouring rounds, so a change in the machine's load touches both.

    Neither side may serve tiles that it decoded in an earlier round. OpenSlide's default cache (32 MB) holds
    a small slide whole, so ``openslide_mp_s`` is taken with a cache of no size; the native reader keeps no
    tile once all its pixels were handed out, and starts each round empty. It does keep a tile that straddles
    two windows until the other is read, which OpenSlide without a cache cannot. So there are two more
    figures: with a default cache that is new in each round (``openslide_new_cache_mp_s``: both sides decode
    every tile once a round), and with OpenSlide's default cache left alone
    (``openslide_default_cache_mp_s``: it decodes nothing after the warm-up if the slide fits in it).

    Parameters
    ----------
    path : str or Path
        A slide that OpenSlide opens.
    window : int
        Side of the windows, px, at least 1.
    rounds : int
        Rounds of each side after the warm-up, at least 1.
    threads : int
        Threads on either side, at least 1.

    Returns
    -------
    dict
        ``native_mp_s``, ``openslide_mp_s``: median, million level-0 px per second; ``ratio``;
        ``max_difference``: greatest difference of a sample inside the slide, grey levels; the two figures
        above and the ratios to them. Where the slide is not read natively, ``native_mp_s`` and the ratios are
        None and ``reason`` says why.

    Raises
    ------
    UnsupportedSlideError
        If OpenSlide does not open the slide.
    SettingsError
        If a number is below 1.
    """
    import openslide

    if min(window, rounds, threads) < 1:
        raise SettingsError("window, rounds and threads must be at least 1", "use the defaults: 1024, 5, 1")
    with open_slide(path) as slide:
        try:
            peer = openslide.OpenSlide(str(slide.facts.files[0]))
        except openslide.OpenSlideError as error:
            raise UnsupportedSlideError(
                f"{slide.path.name} cannot be compared: OpenSlide says {error}", "take a slide that it opens"
            ) from error
        with peer:
            return _compare(slide, peer, window=window, rounds=rounds, threads=threads)


def _compare(
    slide: Slide, peer: openslide.OpenSlide, *, window: int, rounds: int, threads: int
) -> dict[str, Any]:
    """Let the sides take turns and sum up."""
    windows = _cover(slide, window)
    sides = _sides(slide, peer)
    speeds: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(rounds + 1):
        for name, side in sides.items():
            side.prepare()
            seconds = _time(side.read, windows, threads=threads)
            if turn > 0:
                speeds[name].append(slide.width * slide.height / 1e6 / seconds)
    figures: dict[str, Any] = {f"{name}_mp_s": median(values) for name, values in speeds.items()}
    native = speeds.get("native")
    figures.setdefault("native_mp_s", None)
    for name in sides:
        if name != "native":
            key = name.replace("openslide", "ratio", 1)
            figures[key] = _ratio(native, speeds[name]) if native else None
    figures["max_difference"] = _greatest_difference(slide, peer, windows)
    figures["reason"] = None if native else f"{slide.vendor} slides are read by {slide.facts.reader}"
    return figures | {"window": window, "rounds": rounds, "threads": threads, "reader": slide.facts.reader}


def _sides(slide: Slide, peer: openslide.OpenSlide) -> dict[str, _Side]:
    """Return the competitors; the native one only where the slide is read natively."""
    import openslide

    from .formats.native_tiff import NativeTiffReader

    def read_peer(window: Region) -> NDArray[np.uint8]:
        pixels = peer.read_region((window.x, window.y), 0, (window.width, window.height))
        return np.asarray(pixels.convert("RGB"))

    def new_cache(size: int) -> Callable[[], None]:
        return lambda: peer.set_cache(openslide.OpenSlideCache(size))

    default = openslide.OpenSlideCache(DEFAULT_CACHE_BYTES)
    sides = {
        "openslide": _Side(read_peer, new_cache(0)),
        "openslide_new_cache": _Side(read_peer, new_cache(DEFAULT_CACHE_BYTES)),
        "openslide_default_cache": _Side(read_peer, lambda: peer.set_cache(default)),
    }
    reader = slide.reader
    if not isinstance(reader, NativeTiffReader):
        return sides
    return {"native": _Side(lambda window: slide.read_level(0, window), reader.forget), **sides}


def _cover(slide: Slide, side: int) -> list[Region]:
    """Return windows that cover level 0 without overlap, row by row."""
    whole = Region(0, 0, slide.width, slide.height)
    corners = ((x, y) for y in range(0, slide.height, side) for x in range(0, slide.width, side))
    cut = (Region(x, y, side, side).intersection(whole) for x, y in corners)
    return [window for window in cut if window is not None]


def _time(read: Callable[[Region], NDArray[np.uint8]], windows: Sequence[Region], *, threads: int) -> float:
    """Return the seconds that reading all windows takes."""
    if threads == 1:
        start = time.perf_counter()
        _drain(map(read, windows))
        return time.perf_counter() - start
    with ThreadPoolExecutor(threads) as pool:
        start = time.perf_counter()
        _drain(pool.map(lambda window: read(window).shape, windows))
        return time.perf_counter() - start


def _drain(results: Iterable[object]) -> None:
    """Run through results and let go of each at once, as a pipeline does."""
    for _ in results:
        pass


def _ratio(native: Sequence[float], other: Sequence[float]) -> float:
    """Return the median of the ratios of neighbouring rounds."""
    return median(a / b for a, b in zip(native, other, strict=True))


def _greatest_difference(slide: Slide, peer: openslide.OpenSlide, windows: Sequence[Region]) -> int:
    """Return the greatest difference of any sample that OpenSlide calls opaque."""
    greatest = 0
    for window in windows:
        pixels = np.asarray(peer.read_region((window.x, window.y), 0, (window.width, window.height)))
        difference = np.abs(slide.read_level(0, window).astype(np.int16) - pixels[..., :3])
        greatest = max(greatest, int((difference * (pixels[..., 3:] == 255)).max(initial=0)))
    return greatest
