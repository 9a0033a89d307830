"""Paints any window of a smear phantom; what it paints depends on the place alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .optics import MARGIN, NOISE_PERIOD, Sensor, expose, focus, transmit
from .scanner import SCANNERS
from .scene import ramp
from .smear_cells import KIND_NAMES, KINDS_OF_CELL, BloodCell, SmearCells, SmearPhantom, draw_smear
from .texture import Array, Floats, Grid, Textures, sample

__all__ = ["STAINS", "SmearCanvas"]

WINDOW = NOISE_PERIOD
"""px painted at once: one period of the noise."""
STAINS = ("azure", "eosin", "blue")
BORDER_UM = 0.35
"""Half width of a cell's border, um."""
REACH_UM = 14.0
"""Farthest that a cell extends from its middle, um."""
PLASMA = 0.012
"""Optical density of the film between cells."""
GRANULES = 46


@dataclass(frozen=True, eq=False)
class SmearCanvas:
    """A smear phantom that can be painted window by window; safe to share between threads."""

    settings: SmearPhantom
    cells: SmearCells
    textures: Textures
    sensor: Sensor
    vectors: NDArray[np.float32]
    """(stains, 3) optical density per unit."""

    @classmethod
    def of(cls, settings: SmearPhantom) -> SmearCanvas:
        """Draw cells and textures of a smear."""
        scanner = SCANNERS[settings.scanner]
        vectors = scanner.vectors("smear")
        return cls(
            settings=settings,
            cells=draw_smear(settings),
            textures=Textures.draw(settings.seed),
            sensor=Sensor.of(scanner, settings.seed),
            vectors=np.array([vectors[name] for name in STAINS], np.float32),
        )

    def paint(self, row: int, column: int) -> NDArray[np.uint8]:
        """Return a window (WINDOW, WINDOW, 3) of the slide's grid of windows."""
        mpp, side = self.settings.mpp, WINDOW + 2 * MARGIN
        grid = Grid(column * WINDOW - MARGIN, row * WINDOW - MARGIN, width=side, height=side, mpp=mpp)
        maps = [np.zeros((side, side), np.float32) for _ in STAINS]
        mottle = sample(self.textures.mottle, grid)
        inside = _inside(grid, self.settings)
        maps[1] += PLASMA * (1 + 0.3 * mottle) * inside
        near = self._near(grid)
        for number in np.argsort(near.kind != 0, kind="stable"):  # white cells and platelets lie on top
            _draw(maps, near, int(number), grid=grid, mottle=mottle)
        light = transmit(maps, self.vectors, [], grid=grid, textures=self.textures)
        return expose(focus(light, [], grid=grid, sensor=self.sensor), self.sensor, mpp=mpp)

    def _near(self, grid: Grid) -> SmearCells:
        """Return the cells that may reach into a window."""
        left, top = grid.x * grid.mpp - REACH_UM, grid.y * grid.mpp - REACH_UM
        right, bottom = (
            left + grid.width * grid.mpp + 2 * REACH_UM,
            top + grid.height * grid.mpp + 2 * REACH_UM,
        )
        x, y = self.cells.x, self.cells.y
        return self.cells.take((x > left) & (x < right) & (y > top) & (y < bottom))


def _inside(grid: Grid, settings: SmearPhantom) -> Floats:
    """Return 1 on the slide and 0 beyond."""
    across = (grid.pixel_x >= 0) & (grid.pixel_x < settings.width * settings.mpp)
    down = (grid.pixel_y >= 0) & (grid.pixel_y < settings.height * settings.mpp)
    return np.asarray(down[:, None] & across[None], np.float32)


def _draw(maps: list[Floats], cells: SmearCells, number: int, *, grid: Grid, mottle: Floats) -> None:
    """Add one cell to the stain maps."""
    name = KIND_NAMES[int(cells.kind[number])]
    look = KINDS_OF_CELL[name]
    x, y = float(cells.x[number]), float(cells.y[number])
    radius, tone = float(cells.radius[number]), float(cells.tone[number])
    window = _window(grid, x, y, 1.25 * radius + 2 * BORDER_UM)
    if window is None:
        return
    rows, columns = window
    dx, dy = (grid.pixel_x[columns] - x)[None, :], (grid.pixel_y[rows] - y)[:, None]
    far = _distance(dx, dy, stretch=float(cells.stretch[number]), angle=float(cells.angle[number]))
    body = ramp(radius - far + BORDER_UM, 2 * BORDER_UM)
    grain = mottle[rows, columns]
    if name == "red cell":
        pallor = 1.0 - 0.62 * np.exp(-np.square(far / (0.45 * radius)))
        maps[1][rows, columns] += (look.eosin * tone) * body * pallor.astype(np.float32)
        maps[2][rows, columns] += look.blue * tone * body
        return
    if name != "platelet":  # a white cell displaces what lies below
        for stain in maps:
            stain[rows, columns] *= 1.0 - body
    maps[1][rows, columns] += (look.eosin * tone) * body * (1 + 0.15 * grain)
    maps[2][rows, columns] += (look.blue * tone) * body * (1 + 0.15 * grain)
    turn = float(cells.turn[number])
    nucleus = ramp(_nucleus(dx, dy, look, radius=radius, turn=turn) + BORDER_UM, 2 * BORDER_UM) * body
    maps[0][rows, columns] += (look.azure * tone) * nucleus * (1 + 0.20 * grain)
    if look.granules:
        dots = _granules(dx, dy, radius=radius, turn=turn) * body
        which = 1 if name == "eosinophil" else 0
        share = 1.0 - 0.7 * nucleus if name == "eosinophil" else 1.0
        maps[which][rows, columns] += look.granules * tone * dots * share


def _distance(dx: Array, dy: Array, *, stretch: float, angle: float) -> Array:
    """Return the distance from the middle of an ellipse, in units in which it is a circle of its area."""
    along = dx * math.cos(angle) + dy * math.sin(angle)
    across = dy * math.cos(angle) - dx * math.sin(angle)
    long = math.sqrt(stretch)
    return np.asarray(np.hypot(along / long, across * long))


def _nucleus(dx: Array, dy: Array, look: BloodCell, *, radius: float, turn: float) -> Array:
    """Return how far inside the nucleus each pixel lies, um."""
    size = look.nucleus * radius
    if look.lobes == 1:
        return np.asarray(size - np.hypot(dx - 0.08 * radius * math.cos(9 * turn), dy))
    depth = np.full(np.broadcast_shapes(dx.shape, dy.shape), -1e3)
    spread = {2: 0.9, 4: 0.85}[look.lobes]
    away, small = radius * (0.34 if look.lobes == 2 else 0.44), size * (0.82 if look.lobes == 2 else 0.78)
    for lobe in range(look.lobes):
        angle = 2 * math.pi * (turn + spread * lobe / look.lobes)
        depth = np.maximum(depth, small - np.hypot(dx - away * math.cos(angle), dy - away * math.sin(angle)))
    return depth


def _granules(dx: Array, dy: Array, *, radius: float, turn: float) -> Floats:
    """Return granules as sunflower seeds, 0-1."""
    shape = np.broadcast_shapes(dx.shape, dy.shape)
    dots = np.zeros(shape, np.float32)
    for number in range(GRANULES):
        angle = number * math.pi * (3 - math.sqrt(5)) + 2 * math.pi * turn
        away = 0.92 * radius * math.sqrt((number + 0.5) / GRANULES)
        far = np.hypot(dx - away * math.cos(angle), dy - away * math.sin(angle))
        dots = np.maximum(dots, ramp(0.45 - far + 0.2, 0.4))
    return dots


def _window(grid: Grid, x: float, y: float, reach: float) -> tuple[slice, slice] | None:
    """Return the rows and columns of a window that a cell may touch."""
    spans = []
    for place, first, size in ((y, grid.y, grid.height), (x, grid.x, grid.width)):
        low = max(0, math.floor((place - reach) / grid.mpp) - first)
        high = min(size, math.ceil((place + reach) / grid.mpp) - first + 1)
        if low >= high:
            return None
        spans.append(slice(low, high))
    return spans[0], spans[1]
