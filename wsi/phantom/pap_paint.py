"""Paints any window of a Pap phantom at any focal plane; what it paints depends on the place alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .optics import MARGIN, NOISE_PERIOD, Sensor, expose, focus, transmit
from .pap_cells import KIND_NAMES, LOBES, VERTICES, PapCells, draw_cells
from .pap_kinds import KINDS_OF_CELL, PapSettings
from .scanner import SCANNERS
from .scene import ramp
from .texture import Floats, Grid, Textures, at_resolution, sample

__all__ = ["STAINS", "PapCanvas"]

WINDOW = NOISE_PERIOD
"""px painted at once: one period of the noise."""
STAINS = ("hematoxylin", "cyan", "eosin")
BORDER_UM = 0.6
"""Half width of a border that is in focus, um."""
BLUR_PER_UM = 0.28
"""How much a border widens for each um that a cell lies out of focus, um."""
HALO_TIMES = 1.9
"""A koilocyte's clear zone reaches so many radii of the nucleus."""


@dataclass(frozen=True, eq=False)
class PapCanvas:
    """A Pap phantom that can be painted window by window; safe to share between threads."""

    settings: PapSettings
    cells: PapCells
    """All cells of the slide."""
    textures: Textures
    chromatin: Floats
    """Texture of nuclei at the slide's resolution."""
    sensor: Sensor
    vectors: NDArray[np.float32]
    """(stains, 3) optical density per unit."""

    @classmethod
    def of(cls, settings: PapSettings) -> PapCanvas:
        """Draw cells and textures of a slide."""
        scanner = SCANNERS[settings.scanner]
        vectors = scanner.vectors("pap")
        textures = Textures.draw(settings.seed)
        return cls(
            settings=settings,
            cells=draw_cells(settings),
            textures=textures,
            chromatin=at_resolution(textures.grain, settings.mpp),
            sensor=Sensor.of(scanner, settings.seed),
            vectors=np.array([vectors[name] for name in STAINS], np.float32),
        )

    def paint(self, row: int, column: int, *, height_um: float = 0.0) -> NDArray[np.uint8]:
        """Return a window (WINDOW, WINDOW, 3) as one focal plane shows it, ``height_um`` above the middle."""
        mpp, side = self.settings.mpp, WINDOW + 2 * MARGIN
        grid = Grid(column * WINDOW - MARGIN, row * WINDOW - MARGIN, width=side, height=side, mpp=mpp)
        maps = [np.zeros((side, side), np.float32) for _ in STAINS]
        near = self._near(grid)
        blur = BORDER_UM + BLUR_PER_UM * np.abs(near.depth - height_um)
        mottle = sample(self.textures.mottle, grid)
        for number in np.argsort(near.kind == KIND_NAMES.index("neutrophil"), kind="stable"):
            self._draw(maps, near, int(number), grid=grid, blur=float(blur[number]), mottle=mottle)
        light = transmit(maps, self.vectors, [], grid=grid, textures=self.textures)
        light = focus(light, [], grid=grid, sensor=self.sensor)
        return expose(light, self.sensor, mpp=mpp)

    def _near(self, grid: Grid) -> PapCells:
        """Return the cells that may reach into a window."""
        cells, reach = self.cells, self.cells.reach + 4.0
        left, top = grid.x * grid.mpp, grid.y * grid.mpp
        right, bottom = left + grid.width * grid.mpp, top + grid.height * grid.mpp
        inside = (cells.x + reach > left) & (cells.x - reach < right)
        return cells.take(inside & (cells.y + reach > top) & (cells.y - reach < bottom))

    def _draw(
        self, maps: list[Floats], cells: PapCells, number: int, *, grid: Grid, blur: float, mottle: Floats
    ) -> None:
        """Add one cell to the stain maps."""
        kind = KINDS_OF_CELL[KIND_NAMES[int(cells.kind[number])]]
        x, y = float(cells.x[number]), float(cells.y[number])
        reach = float(cells.reach[number]) + 2 * blur + 1.0
        window = _window(grid, x, y, reach)
        if window is None:
            return
        rows, columns = window
        dx = grid.pixel_x[columns] - x
        dy = grid.pixel_y[rows] - y
        off = cells.offset[number].astype(np.float64)
        body = _depth(dx - off[0], dy - off[1], cells.cell[number])
        cover = ramp(body + blur, 2 * blur)
        cover *= 0.85 + 0.10 * mottle[rows, columns] * min(1.0, BORDER_UM / blur)
        inner = _depth(dx, dy, cells.nucleus[number])
        if kind.halo:
            far = float(cells.nucleus[number].mean()) * (HALO_TIMES - 1.0)
            cover *= 1.0 - 0.75 * ramp(inner + far + blur, 2 * blur)
        maps[1][rows, columns] += cells.cyan[number] * cover
        maps[2][rows, columns] += cells.pink[number] * cover
        if KIND_NAMES[int(cells.kind[number])] == "neutrophil":
            inner = _lobes(dx, dy, cells.nucleus[number])
        nucleus = ramp(inner + blur, 2 * blur)
        grain = self._grain(grid, window, cells.shift[number], (x, y))
        nucleus *= 1.0 + kind.grain * grain * min(1.0, BORDER_UM / blur)
        maps[0][rows, columns] += cells.hematoxylin[number] * nucleus

    def _grain(
        self, grid: Grid, window: tuple[slice, slice], shift: NDArray[np.int32], at: tuple[float, float]
    ) -> Floats:
        """Return the chromatin's texture, which moves with the nucleus."""
        side = len(self.chromatin)
        first = [round(place / grid.mpp) for place in at]
        columns = (np.arange(window[1].start, window[1].stop) + grid.x - first[0] + int(shift[0])) % side
        rows = (np.arange(window[0].start, window[0].stop) + grid.y - first[1] + int(shift[1])) % side
        return np.asarray(self.chromatin[np.ix_(rows, columns)])


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


def _depth(dx: NDArray[np.float64], dy: NDArray[np.float64], radii: Floats) -> NDArray[np.float64]:
    """Return how far inside an outline each pixel lies, along its ray, um: (h, w)."""
    distance = np.hypot(dx[None, :], dy[:, None])
    turn = np.arctan2(dy[:, None], dx[None, :]) * (VERTICES / (2 * math.pi)) % VERTICES
    below = turn.astype(np.intp) % VERTICES
    share = turn - np.floor(turn)
    edge = radii[below] * (1 - share) + radii[(below + 1) % VERTICES] * share
    return np.asarray(edge - distance)


def _lobes(dx: NDArray[np.float64], dy: NDArray[np.float64], radii: Floats) -> NDArray[np.float64]:
    """Return how far inside one of a neutrophil's lobes each pixel lies; together they fill the outline."""
    mean = float(radii.mean())
    small, far = mean * 0.62, mean * 0.72
    start = float(radii[0])  # differs from cell to cell, and is the same at every look
    depth = np.full((len(dy), len(dx)), -1e3)
    for lobe in range(LOBES):
        angle = start * 7.0 + lobe * 2.0 * math.pi / LOBES
        away = np.hypot(dx[None, :] - far * math.cos(angle), dy[:, None] - far * math.sin(angle))
        depth = np.maximum(depth, small - away)
    return depth
