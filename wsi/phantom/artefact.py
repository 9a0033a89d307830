"""Artefacts of a phantom slide: where they lie, their outlines, and what falls inside them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from .field import Field
from .settings import PhantomSettings
from .texture import Floats, Grid, stream
from .tissue import Piece, frame_um

Array = NDArray[np.float64]

# Reasons in order of precedence: what hides a cell most comes first.
REASONS = ("debris", "pen", "fold", "bubble", "out_of_focus")
INKS = (
    (0.95, 0.50, 0.10),
    (0.80, 0.25, 0.62),
    (0.75, 0.75, 0.72),
    (0.10, 0.75, 0.60),
)  # blue, green, black, red
MAX_SPECKS = 160
SPECKS_PER_MM2 = 0.7


@dataclass(frozen=True, eq=False)
class Artefact:
    """One artefact; it changes no pixel whose centre lies outside its outline."""

    reason: str
    "One of ``REASONS``."
    outline: Array
    "Vertices of the closed outline, (n, 2), um."
    size: float
    "Typical half width, um."
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)
    "Optical density of ink or dirt where it is thickest (R, G, B)."
    shift: tuple[float, float] = (0.0, 0.0)
    "Where the upper layer of a fold comes from (x, y), um."

    @cached_property
    def polygon(self) -> Any:
        """Outline as a prepared shapely polygon, um."""
        polygon = shapely.Polygon(self.outline)
        shapely.prepare(polygon)
        return polygon

    def contains(self, x: Array, y: Array) -> NDArray[np.bool_]:
        """Tell which points (um) lie inside."""
        return np.asarray(shapely.contains_xy(self.polygon, x, y), dtype=bool)

    def window(self, grid: Grid) -> tuple[slice, slice, Floats] | None:
        """Return rows and columns of a window that the artefact reaches, and the depth inside there, um."""
        left, top, right, bottom = (v / grid.mpp for v in self.polygon.bounds)
        x0, x1 = max(grid.x, math.floor(left)), min(grid.x + grid.width, math.ceil(right))
        y0, y1 = max(grid.y, math.floor(top)), min(grid.y + grid.height, math.ceil(bottom))
        if x0 >= x1 or y0 >= y1:
            return None
        pitch = float(np.clip(self.size / 8.0, max(0.5, grid.mpp), 4.0))
        part = Grid(x0, y0, width=x1 - x0, height=y1 - y0, mpp=grid.mpp, node_um=pitch)
        depth = part.refine(self._depth(*part.mesh()))
        rows, columns = slice(y0 - grid.y, y1 - grid.y), slice(x0 - grid.x, x1 - grid.x)
        return rows, columns, depth

    def _depth(self, x: Array, y: Array) -> Floats:
        """Return the distance to the outline, um, negative outside."""
        distance = shapely.distance(self.polygon.exterior, shapely.points(x, y))
        return np.asarray(np.where(self.contains(x, y), distance, -distance), dtype=np.float32)


def reasons_at(artefacts: tuple[Artefact, ...], x: Array, y: Array) -> NDArray[np.str_]:
    """Return the reason to leave out each point (um), or an empty string."""
    reason = np.full(len(x), "", dtype="<U12")
    for name in reversed(REASONS):
        for artefact in artefacts:
            if artefact.reason == name:
                reason[artefact.contains(x, y)] = name
    return reason


def place_artefacts(settings: PhantomSettings, field: Field) -> tuple[Artefact, ...]:
    """Return the artefacts of a slide, off its hot spots; none where the settings want none."""
    if not settings.artefacts:
        return ()
    rng = stream(settings.seed, 4)
    piece = max(field.pieces, key=lambda p: p.area)
    size = math.sqrt(piece.area / math.pi)
    place = _Placer(rng, field, size)
    found = [_pen(rng, field, piece, frame=frame_um(settings))]
    for _ in range(2):
        fold = _fold(rng, *place.on_tissue(0.5 * size), size=size, centre=(piece.x, piece.y))
        found.extend(_inside(fold, shapely.unary_union([shapely.Polygon(p.outline) for p in field.pieces])))
        radius = float(np.clip(0.16 * size, 22.0, 350.0)) * rng.uniform(0.8, 1.2)
        found.append(Artefact("out_of_focus", _blob(rng, *place.on_tissue(radius), radius=radius), radius))
    for near_tissue in (True, False):
        radius = float(np.clip(0.11 * size, 20.0, 260.0)) * rng.uniform(0.7, 1.2)
        where = place.on_tissue(radius) if near_tissue else place.anywhere(radius, frame_um(settings))
        found.append(Artefact("bubble", _blob(rng, *where, radius=radius, waviness=0.01), radius))
    found.extend(_specks(rng, frame_um(settings)))
    frame = shapely.box(0.0, 0.0, settings.width * settings.mpp, settings.height * settings.mpp)
    return tuple(kept for a in found for kept in _inside(a, frame))


def _inside(artefact: Artefact, frame: Any) -> list[Artefact]:
    """Return the parts of an artefact that lie in a frame."""
    shape = shapely.intersection(shapely.make_valid(shapely.Polygon(artefact.outline)), frame)
    parts = [p for p in shapely.get_parts(shape) if p.geom_type == "Polygon" and p.area > 10.0]
    return [
        Artefact(
            artefact.reason,
            shapely.get_coordinates(part.exterior)[:-1],
            artefact.size,
            tint=artefact.tint,
            shift=artefact.shift,
        )
        for part in parts
    ]


class _Placer:
    """Draws places for round artefacts away from hot spots and from one another."""

    def __init__(self, rng: np.random.Generator, field: Field, size: float) -> None:
        self._rng, self._field, self._size = rng, field, size
        self._taken = [(spot.x, spot.y, 1.2 * spot.radius) for spot in field.hot_spots]

    def on_tissue(self, radius: float) -> tuple[float, float]:
        """Return a place inside tissue."""

        def draw() -> tuple[float, float]:
            piece = self._field.pieces[int(self._rng.integers(len(self._field.pieces)))]
            turn, share = self._rng.uniform(0.0, 2.0 * math.pi), math.sqrt(self._rng.uniform(0.1, 0.85))
            outline = float(piece.radius[int(turn / (2.0 * math.pi) * len(piece.radius)) % len(piece.radius)])
            return piece.x + share * outline * math.cos(turn), piece.y + share * outline * math.sin(turn)

        return self._freest(draw, radius)

    def anywhere(self, radius: float, frame: tuple[float, float]) -> tuple[float, float]:
        """Return a place on the slide."""

        def draw() -> tuple[float, float]:
            x, y = self._rng.uniform(0.05, 0.95, 2)
            return float(x) * frame[0], float(y) * frame[1]

        return self._freest(draw, radius)

    def _freest(self, draw: Callable[[], tuple[float, float]], radius: float) -> tuple[float, float]:
        """Return the one of many drawn places that is farthest from all that is taken."""
        places = [draw() for _ in range(60)]
        x, y = max(
            places,
            key=lambda p: min(math.hypot(p[0] - q[0], p[1] - q[1]) - q[2] for q in self._taken) - radius,
        )
        self._taken.append((x, y, radius))
        return x, y


def _blob(rng: np.random.Generator, x: float, y: float, *, radius: float, waviness: float = 0.12) -> Array:
    """Return a roundish outline, (n, 2), um."""
    turn = np.linspace(0.0, 2.0 * math.pi, 120, endpoint=False)
    shape = np.ones(len(turn))
    for order in range(2, 7):
        shape += (
            waviness * rng.normal() / order * 1.5 * np.cos(order * turn + rng.uniform(0.0, 2.0 * math.pi))
        )
    reach = radius * np.maximum(shape, 0.3)
    return np.column_stack((x + reach * np.cos(turn), y + reach * np.sin(turn)))


def _pen(rng: np.random.Generator, field: Field, piece: Piece, *, frame: tuple[float, float]) -> Artefact:
    """Return a felt-tip stroke across the side of a piece that lies away from its hot spot."""
    size = math.sqrt(piece.area / math.pi)
    spot = field.hot_spots[0]
    away = math.atan2(piece.y - spot.y, piece.x - spot.x) + rng.normal(0.0, 0.4)
    radius = float(
        np.interp(away % (2.0 * math.pi), np.linspace(0, 2 * math.pi, len(piece.radius)), piece.radius)
    )
    half = float(np.clip(0.13 * size, 18.0, 230.0))
    along = np.linspace(-1.0, 1.0, 40) * 0.95 * size
    bend = 0.25 * size * np.square(along / size) * rng.uniform(-1.0, 1.0) + 0.04 * size * np.sin(
        along / size * 5.0
    )
    out = 0.88 * radius + bend
    x = piece.x + out * math.cos(away) - along * math.sin(away)
    y = piece.y + out * math.sin(away) + along * math.cos(away)
    line = shapely.LineString(np.column_stack((np.clip(x, 0, frame[0]), np.clip(y, 0, frame[1]))))
    outline = shapely.get_coordinates(line.buffer(half).exterior)[:-1]
    ink = INKS[int(rng.integers(len(INKS)))]
    strength = rng.uniform(0.75, 1.1)
    return Artefact("pen", outline, half, tint=(ink[0] * strength, ink[1] * strength, ink[2] * strength))


def _fold(
    rng: np.random.Generator, x: float, y: float, *, size: float, centre: tuple[float, float]
) -> Artefact:
    """Return a curved band that tapers to both ends; its upper layer comes from towards the centre."""
    half = float(np.clip(0.03 * size, 11.0, 32.0)) * rng.uniform(0.8, 1.2)
    length = size * rng.uniform(0.8, 1.3)
    along = np.linspace(-0.5, 0.5, 60)
    bend = rng.uniform(-0.8, 0.8) * along + rng.uniform(-0.5, 0.5) * np.cos(5.0 * along)
    heading = rng.uniform(0.0, math.pi) + bend
    step = length / (len(along) - 1)
    line_x = x + np.cumsum(np.cos(heading)) * step - length / 2.0 * math.cos(heading[30])
    line_y = y + np.cumsum(np.sin(heading)) * step - length / 2.0 * math.sin(heading[30])
    width = half * np.sqrt(np.cos(along * math.pi * 0.98)) * (1.0 + 0.2 * np.sin(along * 21.0 + x))
    side_x, side_y = -np.sin(heading) * width, np.cos(heading) * width
    outline = np.concatenate(
        (
            np.column_stack((line_x + side_x, line_y + side_y)),
            np.column_stack((line_x - side_x, line_y - side_y))[::-1],
        )
    )
    inwards = math.atan2(centre[1] - y, centre[0] - x)
    far = 3.0 * half
    return Artefact("fold", outline, half, shift=(far * math.cos(inwards), far * math.sin(inwards)))


def _specks(rng: np.random.Generator, frame: tuple[float, float]) -> list[Artefact]:
    """Return dust and dirt all over the slide."""
    width, height = frame
    count = int(np.clip(SPECKS_PER_MM2 * width * height * 1e-6, 4, MAX_SPECKS))
    specks = []
    for _ in range(count):
        radius = float(np.clip(rng.lognormal(math.log(9.0), 0.55), 4.0, 40.0))
        x, y = rng.uniform(0.02 * width, 0.98 * width), rng.uniform(0.02 * height, 0.98 * height)
        outline = _blob(rng, float(x), float(y), radius=radius, waviness=0.45)
        dark = rng.uniform(0.7, 1.7)
        specks.append(Artefact("debris", outline, radius, tint=(dark, 1.05 * dark, 1.18 * dark)))
    return specks
