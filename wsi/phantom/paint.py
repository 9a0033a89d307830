"""Paints any part of a phantom slide; what it paints depends on the settings and the place alone."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from .artefact import Artefact, place_artefacts
from .borders import CELL_UM, NEIGHBOUR_UM
from .cells import Cells
from .kind import painter_of
from .layout import Layout
from .membrane import paint_coats
from .nuclei import Chromatin, paint_nuclei
from .optics import MARGIN, NOISE_PERIOD, Sensor, expose, focus, fold_stains, refract, transmit
from .scanner import SCANNERS
from .scene import build_scene
from .settings import PhantomSettings
from .texture import Floats, Grid, Textures

WINDOW = NOISE_PERIOD  # px painted at once: one period of the noise, so that all glass is the same
HALO_UM = 14.0  # painted around a window: the widest blur, the largest nucleus
REACH_UM = 12.0  # farthest that a nucleus extends from its middle


@dataclass(frozen=True, eq=False)
class Painted:
    """One painted window and the nuclei whose centroid it owns."""

    pixels: NDArray[np.uint8]
    "(WINDOW, WINDOW, 3) as in the file."
    cells: Cells | None
    "Nuclei whose middle lies in the window; None on glass."
    means: Floats
    "(n, stains) mean optical density inside each outline as painted, before artefacts and optics."
    is_glass: bool
    "True where nothing but clean glass shows."


class Canvas:
    """A phantom slide that can be painted window by window; safe to share between threads."""

    def __init__(self, settings: PhantomSettings) -> None:
        self.settings = settings
        self.layout = Layout(settings)
        self.artefacts = place_artefacts(settings, self.layout.field)
        self.painter = painter_of(settings)
        scanner = SCANNERS[settings.scanner]
        vectors = scanner.vectors(settings.kind)
        self._vectors = np.array([vectors[name] for name in self.painter.stains], dtype=np.float32)
        self._textures = Textures.draw(settings.seed)
        self._chromatin = Chromatin.at(self._textures, settings.mpp)
        self._sensor = Sensor.of(scanner, settings.seed)
        self._halo = max(MARGIN, math.ceil(HALO_UM / settings.mpp))
        clear = np.ones((3, WINDOW + 2 * MARGIN, WINDOW + 2 * MARGIN), dtype=np.float32)
        self.glass = expose(clear, self._sensor, mpp=settings.mpp)

    def paint(self, row: int, column: int) -> Painted:
        """Return the window at a row and column of the slide's grid of windows."""
        x, y, mpp, halo = column * WINDOW, row * WINDOW, self.settings.mpp, self._halo
        side = WINDOW + 2 * halo
        grid = Grid(x - halo, y - halo, width=side, height=side, mpp=mpp)
        box = ((x - halo) * mpp, (y - halo) * mpp, (x + WINDOW + halo) * mpp, (y + WINDOW + halo) * mpp)
        near = [a for a in self.artefacts if shapely.intersects(a.polygon, shapely.box(*box))]
        has_tissue = self.layout.field.box_holds_tissue(*box)
        if not has_tissue and not near:
            return Painted(self.glass, None, np.zeros((0, len(self.painter.stains)), np.float32), True)
        maps, cells, means = self._stain_window(grid) if has_tissue else self._no_stain(grid)
        self._fold(maps, near, grid)
        light = transmit(maps, self._vectors, near, grid=grid, textures=self._textures)
        refract(light, near, grid)
        light = focus(light, near, grid=grid, sensor=self._sensor)
        inner = slice(halo - MARGIN, halo + WINDOW + MARGIN)
        return Painted(expose(light[:, inner, inner], self._sensor, mpp=mpp), cells, means, False)

    def _stain_window(self, grid: Grid) -> tuple[list[Floats], Cells, Floats]:
        """Return the stain maps of a window with halo, the nuclei it owns and their means."""
        maps, cells, means = self.stain(grid)
        left, top = (grid.x + self._halo) * grid.mpp, (grid.y + self._halo) * grid.mpp
        own = cells.within(left, top, left + WINDOW * grid.mpp, top + WINDOW * grid.mpp)
        return maps, cells.take(own), means[own]

    def stain(self, grid: Grid) -> tuple[list[Floats], Cells, Floats]:
        """Return the stain maps of any part of the slide, all nuclei that reach in, and their means."""
        left, top = grid.x * grid.mpp, grid.y * grid.mpp
        right, bottom = left + grid.width * grid.mpp, top + grid.height * grid.mpp
        reach = CELL_UM + NEIGHBOUR_UM if self.painter.has_coats else REACH_UM
        cells = self.layout.cells_near(left - reach, top - reach, right + reach, bottom + reach)
        scene = build_scene(self.layout.field, self._textures, cells, grid=grid)
        maps = self.painter.ground(scene)
        if self.painter.has_coats:
            paint_coats(maps, cells, grid=grid, mottle=scene.mottle, grain=scene.grain)
            near = cells.within(left - REACH_UM, top - REACH_UM, right + REACH_UM, bottom + REACH_UM)
            cells = cells.take(near)
        covering = self.painter.covering
        means = paint_nuclei(maps, cells, grid=grid, chromatin=self._chromatin, covering=covering)
        return maps, cells, means

    def _fold(self, maps: list[Floats], near: list[Artefact], grid: Grid) -> None:
        """Lay the tissue beside each fold on top of it, in place."""
        for artefact in near:
            window = artefact.window(grid) if artefact.reason == "fold" else None
            if window is not None:
                shift = (round(artefact.shift[0] / grid.mpp), round(artefact.shift[1] / grid.mpp))
                upper, _, _ = self.stain(grid.part(window[0], window[1], shift=shift))
                fold_stains(maps, upper, window)

    def _no_stain(self, grid: Grid) -> tuple[list[Floats], None, Floats]:
        count = len(self.painter.stains)
        blank = [np.zeros((grid.height, grid.width), dtype=np.float32) for _ in range(count)]
        return blank, None, np.zeros((0, count), dtype=np.float32)

    def artefacts_of(self, reason: str) -> tuple[Artefact, ...]:
        """Return the artefacts of one reason."""
        return tuple(a for a in self.artefacts if a.reason == reason)
