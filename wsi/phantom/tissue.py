"""Where tissue lies on a phantom slide: irregular pieces on glass, with known outlines and area."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .settings import PhantomSettings
from .texture import stream

Array = NDArray[np.float64]

SNAP_UM = 20.0  # layouts are made for a frame in whole steps, so that two resolutions give the same tissue
ANGLES = 2048
MANY_PIECES_UM = 1500.0  # smaller slides hold one piece
EDGE_ROUGHNESS_UM = 3.0


@dataclass(frozen=True, eq=False)
class Piece:
    """One piece of tissue, star-shaped about its centre."""

    x: float
    "Centre, um."
    y: float
    "Centre, um."
    radius: Array
    "Distance of the outline from the centre at ``ANGLES`` even angles, um."

    def depth(self, x: Array, y: Array) -> Array:
        """Return how far points lie inside the outline along their ray, um; negative outside."""
        across, down = x - self.x, y - self.y
        turn = np.arctan2(down, across) % (2.0 * math.pi) / (2.0 * math.pi) * ANGLES
        outline = np.interp(turn, np.arange(ANGLES + 1), np.append(self.radius, self.radius[0]))
        return np.asarray(outline - np.hypot(across, down))

    @property
    def outline(self) -> Array:
        """Vertices of the outline, (ANGLES, 2), um."""
        angle = _angles()
        return np.column_stack((self.x + self.radius * np.cos(angle), self.y + self.radius * np.sin(angle)))

    @property
    def area(self) -> float:
        """Area inside the outline, um2."""
        return _area(self.outline)


def frame_um(settings: PhantomSettings) -> tuple[float, float]:
    """Return width and height of the frame that holds the tissue, um: the slide's, in whole steps."""
    width, height = settings.width * settings.mpp, settings.height * settings.mpp
    return (
        math.floor((width + 1.0) / SNAP_UM) * SNAP_UM,
        math.floor((height + 1.0) / SNAP_UM) * SNAP_UM,
    )


def place_pieces(settings: PhantomSettings) -> tuple[Piece, ...]:
    """Return the pieces of tissue: together at most ``tissue_fraction`` of the slide, none near its edge."""
    rng = stream(settings.seed, 1)
    width, height = frame_um(settings)
    small = min(width, height)
    count = 1 if small < MANY_PIECES_UM else int(rng.integers(1, 4))
    share = rng.uniform(0.75, 1.25, count)
    wanted = settings.tissue_fraction * width * height * share / share.sum()
    edge = float(np.clip(0.04 * small, 10.0, 400.0))
    pieces = []
    for k in range(count):
        room = _room(k, count, frame=(width, height), edge=edge)
        pieces.append(_piece(rng, room, area=float(wanted[k])))
    return tuple(pieces)


def _room(
    k: int, count: int, *, frame: tuple[float, float], edge: float
) -> tuple[float, float, float, float]:
    """Return left, top, right, bottom of the k-th of equal rooms along the longer side, um."""
    width, height = frame
    if width >= height:
        step = width / count
        return (k * step + edge, edge, (k + 1) * step - edge, height - edge)
    step = height / count
    return (edge, k * step + edge, width - edge, (k + 1) * step - edge)


def _piece(rng: np.random.Generator, room: tuple[float, float, float, float], *, area: float) -> Piece:
    """Draw a piece of a given area, or as large as its room allows."""
    left, top, right, bottom = room
    shape = _shape(rng, size_um=math.sqrt(area / math.pi))
    low, high = shape.min(axis=0), shape.max(axis=0)
    room_x, room_y = (right - left) / (high[0] - low[0]), (bottom - top) / (high[1] - low[1])
    unit = area / _area(shape)
    scale_x = min(math.sqrt(unit), room_x)
    scale_y = min(unit / scale_x, room_y)
    scale_x = min(unit / scale_y, room_x)
    shape = shape * (scale_x, scale_y)
    low, high = low * (scale_x, scale_y), high * (scale_x, scale_y)
    x = rng.uniform(left - low[0], max(right - high[0], left - low[0] + 1e-9))
    y = rng.uniform(top - low[1], max(bottom - high[1], top - low[1] + 1e-9))
    return Piece(x=float(x), y=float(y), radius=_polar(shape))


def _shape(rng: np.random.Generator, *, size_um: float) -> Array:
    """Return a lobed outline of mean radius about 1, roughened as a cut edge is, (ANGLES, 2)."""
    angle = _angles()
    lobes = np.arange(2, 25)
    logarithm = _harmonics(rng, angle, lobes, 0.33 * lobes.astype(np.float64) ** -1.25)
    rough = np.unique(
        np.linspace(2 * math.pi * size_um / 160.0, 2 * math.pi * size_um / 35.0, 60).astype(int)
    )
    rough = rough[(rough > lobes[-1]) & (rough < ANGLES // 4)]
    if len(rough):
        height = EDGE_ROUGHNESS_UM / size_um * math.sqrt(2.0 / len(rough))
        logarithm += _harmonics(rng, angle, rough, np.full(len(rough), height))
    aspect = math.sqrt(rng.uniform(1.0, 1.7))
    radius = np.exp(logarithm)
    x, y = radius * np.cos(angle) * aspect, radius * np.sin(angle) / aspect
    tilt = rng.uniform(0.0, math.pi)
    return np.column_stack((x * math.cos(tilt) - y * math.sin(tilt), x * math.sin(tilt) + y * math.cos(tilt)))


def _harmonics(rng: np.random.Generator, angle: Array, order: NDArray[np.int_], height: Array) -> Array:
    phase = rng.uniform(0.0, 2.0 * math.pi, len(order))
    height = height * rng.uniform(0.4, 1.0, len(order))
    total = np.zeros(len(angle))
    for k, a, p in zip(order, height, phase, strict=True):
        total += a * np.cos(k * angle + p)
    return total


def _polar(shape: Array) -> Array:
    """Return the radius at even angles of a star-shaped outline given by its vertices."""
    angle = np.arctan2(shape[:, 1], shape[:, 0]) % (2.0 * math.pi)
    order = np.argsort(angle)
    distance = np.hypot(shape[:, 0], shape[:, 1])[order]
    return np.asarray(np.interp(_angles(), angle[order], distance, period=2.0 * math.pi))


def _angles() -> Array:
    return np.asarray(np.arange(ANGLES) * (2.0 * math.pi / ANGLES), dtype=np.float64)


def _area(outline: Array) -> float:
    x, y = outline.T
    return float(abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2.0)
