"""How fast colours are fitted and applied, beside torchstain and TIAToolbox where they are installed."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ..stain import (
    BY_NETWORK,
    H_E,
    METHODS,
    DistilledTransfer,
    fit_normalizer,
    separate_stains,
)
from ..wsi import PhantomSettings, Region, open_slide, write_phantom
from .slides.stain_generator_fit import fit_generated

__all__ = ["benchmark_stain"]

Pixels = NDArray[np.uint8]

WINDOW = 160
"""Side of a sample's windows, px."""
CORES = 2
"""Cores that everything is measured on."""
NOT_INSTALLED = "not installed"


def benchmark_stain(image: Path | None = None, *, side: int = 2000, rounds: int = 5) -> dict[str, Any]:
    """Compare megapixels per second on two cores.

    Parameters
    ----------
    image : Path, optional
        A slide or image of H&E; its centre is taken. By default a phantom is painted.
    side : int
        Side of the field, px.
    rounds : int
        Counted rounds, after one that warms up; all sides in turn.

    Returns
    -------
    dict
        MP/s (medians) of applying each method, by the clock and per second of processor time, which other
        work on the machine changes less; ``slidelab_fit_*_s`` (once per slide) and
        ``slidelab_first_*_s`` (the field for the first time, when its colours are new); the
        ``greatest_difference`` of applied pixels to the unrounded formula in grey levels; the student's mean
        distance to its network (CIEDE2000); the others' MP/s or ``not installed``, and our ratio to the
        better of them.

    Notes
    -----
    Each peer does what it does per image: it fits and applies. slidelab fits once per slide, so its fit is
    told apart. On Linux the process is held to two cores; elsewhere thread counts are set.
    """
    if side < 64 or rounds < 1:
        raise SettingsError(f"{rounds} rounds of {side} px", "Take at least one round of 64 px.")
    field = _field(image, side)
    figures: dict[str, Any] = {"side_px": side, "cores": CORES}
    with _two_cores():
        ours, facts = _ours(field)
        peers = _peers(field)
        speeds, thrift = _rates(
            {**ours, **peers}, rounds=rounds, megapixels=field.shape[0] * field.shape[1] / 1e6
        )
    figures |= facts
    for method in (*METHODS[1:], "unmix"):
        figures[f"slidelab_{method}_mp_s"] = speeds[f"slidelab_{method}"]
        figures[f"slidelab_{method}_mp_per_processor_s"] = thrift[f"slidelab_{method}"]
        others = {name: _speed(speeds, f"{name}_{method}") for name in ("torchstain", "tiatoolbox")}
        figures |= {f"{name}_{method}_mp_s": speed for name, speed in others.items() if speed is not None}
        known = [speed for speed in others.values() if isinstance(speed, float)]
        if known:
            figures[f"ratio_{method}"] = round(speeds[f"slidelab_{method}"] / max(known), 1)
    return figures


def _speed(speeds: Mapping[str, float], name: str) -> float | str | None:
    """Return a peer's speed, that it is not installed, or None where it has no such method."""
    if name in speeds:
        return speeds[name]
    return NOT_INSTALLED if name in PEERS and name.partition("_")[0] not in _installed() else None


def _field(path: Path | None, side: int) -> Pixels:
    """Return the field that is measured on."""
    if path is None:
        with tempfile.TemporaryDirectory() as folder:
            phantom = Path(folder) / "phantom.tiff"
            write_phantom(
                phantom, PhantomSettings(kind="he", width=side, height=side, mpp=0.5), workers=CORES
            )
            return _field(phantom, side)
    with open_slide(path) as slide:
        x, y = (slide.width - side) // 2, (slide.height - side) // 2
        size = (min(side, slide.width), min(side, slide.height))
        field = slide.read_level(0, Region(max(0, x), max(0, y), *size))
    repeats = (-(-side // field.shape[0]), -(-side // field.shape[1]), 1)
    return np.ascontiguousarray(np.tile(field, repeats)[:side, :side])


@contextmanager
def _two_cores() -> Iterator[None]:
    """Hold this process to two cores where the system can."""
    import torch

    threads = torch.get_num_threads()
    cores = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    try:
        if cores is not None:
            os.sched_setaffinity(0, sorted(cores)[:CORES])
        torch.set_num_threads(CORES)
        yield
    finally:
        torch.set_num_threads(threads)
        if cores is not None:
            os.sched_setaffinity(0, cores)


def _ours(field: Pixels) -> tuple[dict[str, Callable[[], Any]], dict[str, Any]]:
    """Return what is timed of slidelab, and what was measured once."""
    bands = np.array_split(field, 4 * CORES)
    sample = field[::2, ::2]  # a million pixels over the whole field, as the sample of a slide has
    timed: dict[str, Callable[[], Any]] = {}
    facts: dict[str, Any] = {}
    windows = _windows(field)
    for method in METHODS[1:]:
        started = time.perf_counter()
        if method in BY_NETWORK:
            normalizer = fit_generated(windows, method, background=_white(field))
        else:
            normalizer = fit_normalizer(sample, method, background=_white(field))
        fitted = time.perf_counter()
        normalizer.apply(field)
        facts[f"slidelab_fit_{method}_s"] = round(fitted - started, 3)
        facts[f"slidelab_first_{method}_s"] = round(time.perf_counter() - fitted, 3)
        recolour = getattr(normalizer, "recolour", None)
        if recolour is not None:
            made = normalizer.apply(sample.reshape(1, -1, 3))[0]
            facts[f"slidelab_{method}_greatest_difference"] = _difference(recolour, sample, made)
        if isinstance(normalizer, DistilledTransfer):
            facts["slidelab_distilled_mean_delta_e"] = normalizer.distance[0]
        timed[f"slidelab_{method}"] = partial(_in_threads, normalizer.apply, bands)
    timed["slidelab_unmix"] = partial(_in_threads, partial(separate_stains, stains=H_E), bands)
    return timed, facts


def _windows(field: Pixels) -> Pixels:
    """Return up to 64 windows of 160 px at equal steps over the field, as the sample of a slide has."""
    side = min(WINDOW, *field.shape[:2])
    tops, lefts = (np.unique(np.linspace(0, size - side, 8).astype(int)) for size in field.shape[:2])
    return np.stack([field[top : top + side, left : left + side] for top in tops for left in lefts])


def _white(field: Pixels) -> tuple[float, float, float]:
    """Return the white point of a field."""
    red, green, blue = (float(max(value, 200)) for value in np.percentile(field.reshape(-1, 3), 99.5, axis=0))
    return red, green, blue


def _difference(recolour: Callable[[Any], Any], sample: Pixels, made: Pixels) -> float:
    """Return the greatest difference between applied pixels and the formula without rounding, grey levels."""
    exact = np.clip(recolour(sample.reshape(-1, 3).astype(np.float64)), 0.0, 255.0)
    return round(float(np.abs(exact - made).max()), 3)


def _in_threads(work: Callable[[Pixels], Any], bands: list[Pixels]) -> None:
    """Work on bands of an image in as many threads as cores."""
    with ThreadPoolExecutor(CORES) as pool:
        list(pool.map(work, bands))


def _rates(
    timed: Mapping[str, Callable[[], Any]], *, rounds: int, megapixels: float
) -> tuple[dict[str, float], dict[str, float]]:
    """Return the median speed of each, measured in turn: by the clock, and by processor time."""
    seconds: dict[str, list[tuple[float, float]]] = {name: [] for name in timed}
    for number in range(rounds + 1):
        for name, work in timed.items():
            started = time.perf_counter(), time.process_time()
            work()
            if number:
                seconds[name].append((time.perf_counter() - started[0], time.process_time() - started[1]))
    by_clock, by_processor = (
        {
            name: round(megapixels / max(statistics.median(pair[clock] for pair in values), 1e-9), 1)
            for name, values in seconds.items()
        }
        for clock in (0, 1)
    )
    return by_clock, by_processor


def _installed() -> frozenset[str]:
    """Return which peers can be imported."""
    return frozenset(name for name in ("torchstain", "tiatoolbox") if find_spec(name) is not None)


def _peers(field: Pixels) -> dict[str, Callable[[], Any]]:
    """Return what is timed of the peers that are installed."""
    installed = _installed()
    return {name: make(field) for name, make in PEERS.items() if name.partition("_")[0] in installed}


def _torchstain(field: Pixels, *, method: str) -> Callable[[], Any]:
    """Return torchstain's normalisation of the field, its torch backend."""
    import torch

    peer: Any = import_module("torchstain.torch.normalizers")
    made = peer.TorchMacenkoNormalizer() if method == "macenko" else peer.TorchReinhardNormalizer()
    tensor = torch.from_numpy(np.moveaxis(field, 2, 0).copy())
    made.fit(tensor.float())
    if method == "macenko":
        return partial(made.normalize, I=tensor.float(), stains=False)
    return partial(made.normalize, I=tensor.float())


def _tiatoolbox(field: Pixels, *, method: str) -> Callable[[], Any]:
    """Return TIAToolbox's normalisation of the field."""
    peer: Any = import_module("tiatoolbox.tools.stainnorm")
    made = peer.get_normalizer(method)
    made.fit(field)
    return partial(made.transform, field)


PEERS: Mapping[str, Callable[[Pixels], Callable[[], Any]]] = {
    "torchstain_macenko": partial(_torchstain, method="macenko"),
    "torchstain_reinhard": partial(_torchstain, method="reinhard"),
    "tiatoolbox_macenko": partial(_tiatoolbox, method="macenko"),
    "tiatoolbox_reinhard": partial(_tiatoolbox, method="reinhard"),
    "tiatoolbox_vahadane": partial(_tiatoolbox, method="vahadane"),
}
"""What each peer has."""
