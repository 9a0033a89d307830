"""Random textures that depend on position alone, so that any window of a slide can be painted by itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float32]
Array = NDArray[np.float64]

PITCH_UM = 0.25  # texel of the stored textures: as fine as a 40x scan
PERIOD = 1024  # texels; 256 um, larger than what the eye compares


def stream(*keys: int) -> np.random.Generator:
    """Return the random generator that belongs to these whole numbers, the same in every process."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(keys)))


@dataclass(frozen=True, eq=False)
class Waves:
    """A smooth random field without period: a sum of plane waves, mean 0 and standard deviation 1."""

    kx: Array
    ky: Array
    phase: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, *, wavelengths_um: tuple[float, float], count: int) -> Waves:
        """Draw waves of random direction with wavelengths between two limits, in um."""
        low, high = np.log(wavelengths_um)
        wavenumber = 2.0 * math.pi / np.exp(rng.uniform(low, high, count))
        angle = rng.uniform(0.0, 2.0 * math.pi, count)
        return cls(
            wavenumber * np.cos(angle), wavenumber * np.sin(angle), rng.uniform(0.0, 2.0 * math.pi, count)
        )

    def at(self, x: Array, y: Array) -> Array:
        """Return the field at points (n,), um."""
        total = np.zeros(x.shape)
        for kx, ky, phase in zip(self.kx, self.ky, self.phase, strict=True):
            total += np.cos(kx * x + ky * y + phase)
        return total * math.sqrt(2.0 / len(self.phase))

    def slope(self, x: Array, y: Array) -> tuple[Array, Array]:
        """Return the field's derivatives along x and y at points (n,), per um."""
        along_x, along_y = np.zeros(x.shape), np.zeros(x.shape)
        for kx, ky, phase in zip(self.kx, self.ky, self.phase, strict=True):
            sine = -np.sin(kx * x + ky * y + phase)
            along_x += kx * sine
            along_y += ky * sine
        scale = math.sqrt(2.0 / len(self.phase))
        return along_x * scale, along_y * scale

    def on(self, grid: Grid) -> Floats:
        """Return the field at the pixels of a window, (h, w)."""
        x, y = grid.node_x, grid.node_y
        total = np.zeros((len(y), len(x)))
        for kx, ky, phase in zip(self.kx, self.ky, self.phase, strict=True):
            # cos(a + b) by rows and columns: no cosine per node
            column, row = kx * x, ky * y + phase
            total += np.outer(np.cos(row), np.cos(column)) - np.outer(np.sin(row), np.sin(column))
        return grid.refine((total * math.sqrt(2.0 / len(self.phase))).astype(np.float32))


class Grid:
    """Pixel centres of one window in um, with a coarse grid of nodes under them for smooth quantities.

    Parameters
    ----------
    x, y : int
        Level-0 px of the window's first pixel; may be negative.
    width, height : int
        Window size, px.
    mpp : float
        um per px.
    node_um : float
        Spacing of the nodes, um. Nodes sit on multiples of it in the slide's frame.
    """

    def __init__(self, x: int, y: int, *, width: int, height: int, mpp: float, node_um: float = 2.0) -> None:
        self.x, self.y, self.width, self.height, self.mpp, self.node_um = x, y, width, height, mpp, node_um
        self.pixel_x = _centres(x, width, mpp)
        self.pixel_y = _centres(y, height, mpp)
        self._column, self._column_share, self.node_x = _nodes(self.pixel_x, node_um)
        self._row, self._row_share, self.node_y = _nodes(self.pixel_y, node_um)

    def refine(self, nodes: Floats) -> Floats:
        """Return values at the pixels, (h, w), from values at the nodes, bilinearly."""
        # np.take keeps rows contiguous, which indexing columns would not
        tall = np.take(nodes, self._row, axis=0)
        tall += self._row_share[:, None] * (np.take(nodes, self._row + 1, axis=0) - tall)
        fine = np.take(tall, self._column, axis=1)
        step = np.take(tall, self._column + 1, axis=1)
        step -= fine
        step *= self._column_share
        fine += step
        return fine

    def part(self, rows: slice, columns: slice, *, shift: tuple[int, int] = (0, 0)) -> Grid:
        """Return the grid of some rows and columns, moved by whole pixels (x, y)."""
        return Grid(
            self.x + columns.start + shift[0],
            self.y + rows.start + shift[1],
            width=columns.stop - columns.start,
            height=rows.stop - rows.start,
            mpp=self.mpp,
        )

    def mesh(self) -> tuple[Array, Array]:
        """Return x and y of all nodes, each (nodes_y, nodes_x), um."""
        x, y = np.meshgrid(self.node_x, self.node_y)
        return x, y


def _centres(first: int, count: int, mpp: float) -> Array:
    """Return the centres of pixels along one axis, um."""
    return np.asarray((first + np.arange(count) + 0.5) * mpp, dtype=np.float64)


def _nodes(position: Array, pitch: float) -> tuple[NDArray[np.intp], Floats, Array]:
    place = position / pitch
    first = math.floor(place[0])
    index = np.floor(place).astype(np.intp) - first
    share = (place - np.floor(place)).astype(np.float32)
    return index, share, (first + np.arange(int(index[-1]) + 2)) * pitch


@dataclass(frozen=True, eq=False)
class Textures:
    """Three periodic noise textures, mean 0 and standard deviation 1, on the 0.25 um grid."""

    grain: Floats
    "Features of about 1 um: granules, chromatin."
    mottle: Floats
    "Features of about 4 um."
    cloud: Floats
    "Features of about 15 um."

    @classmethod
    def draw(cls, seed: int) -> Textures:
        """Draw the textures of a seed."""
        rng = stream(seed, 7001)
        return cls(*(_noise(rng, sigma_um / PITCH_UM) for sigma_um in (0.4, 1.6, 6.0)))


def _noise(rng: np.random.Generator, sigma: float) -> Floats:
    white = rng.standard_normal((PERIOD, PERIOD), dtype=np.float32)
    smooth = ndimage.gaussian_filter(white, sigma, mode="wrap", truncate=3.0)
    return np.asarray((smooth - smooth.mean()) / smooth.std(), dtype=np.float32)


def sample(texture: Floats, grid: Grid, *, stretch: float = 1.0) -> Floats:
    """Return a texture, enlarged by ``stretch``, at the pixels of a window, (h, w)."""
    pitch = PITCH_UM * stretch
    column, column_share = _texels(grid.pixel_x / pitch)
    row, row_share = _texels(grid.pixel_y / pitch)
    if not column_share.any() and not row_share.any():
        return np.take(np.take(texture, row, axis=0), column, axis=1)
    tall = np.take(texture, row, axis=0)
    tall += row_share[:, None] * (np.take(texture, row + 1, axis=0, mode="wrap") - tall)
    fine = np.take(tall, column, axis=1)
    step = np.take(tall, column + 1, axis=1, mode="wrap")
    step -= fine
    step *= column_share
    fine += step
    return fine


def _texels(place: Array) -> tuple[NDArray[np.intp], Floats]:
    """Return index of the texel at or before a place, in the period, and the share of the next one."""
    place = place - 0.5
    below = np.floor(place + 1e-6)  # the whole case stays whole in spite of rounding
    share = np.clip(place - below, 0.0, 1.0)
    return (below.astype(np.intp)) % PERIOD, np.where(share < 1e-5, 0.0, share).astype(np.float32)


def at_resolution(texture: Floats, mpp: float) -> Floats:
    """Return one period of a texture resampled to pixels of ``mpp``, for cutting patches out of it."""
    side = int(PERIOD * PITCH_UM / mpp)
    return sample(texture, Grid(0, 0, width=side, height=side, mpp=mpp))
