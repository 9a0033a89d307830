"""A plane cut into tiles: each owns its half-open core and sees a halo around it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError
from ..wsi import Region

__all__ = ["Tile", "TileGrid"]


@dataclass(frozen=True, slots=True)
class Tile:
    """One piece of work: a core that owns objects, and the wider window that is read for it.

    All numbers are pixels of the plane; boxes are half open. The outer window may reach beyond the
    plane, where every reader delivers white, so that slide edges look the same from every tile.
    """

    index: int
    """Row-major number in the grid."""
    x: int
    """Left of the core, px."""
    y: int
    """Top of the core, px."""
    width: int
    """Width of the core, px."""
    height: int
    """Height of the core, px."""
    halo: int
    """Margin read on each side of the core, px."""

    @property
    def outer(self) -> tuple[int, int, int, int]:
        """The window to read: x, y, width, height in plane px."""
        margin = 2 * self.halo
        return self.x - self.halo, self.y - self.halo, self.width + margin, self.height + margin

    def owns(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Tell which points belong to this tile.

        Parameters
        ----------
        x, y : (N,) float array
            Points in plane px.

        Returns
        -------
        (N,) bool array
            True where the point lies in the half-open core. Cores partition the plane, so every
            point of the plane has exactly one owner.
        """
        inside_x = (x >= self.x) & (x < self.x + self.width)
        inside_y = (y >= self.y) & (y < self.y + self.height)
        return np.asarray(inside_x & inside_y)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """The plan of tiles over a plane.

    Tile origins sit on multiples of ``core``; with ``core`` and ``halo`` both multiples of a detector's
    total stride, strided layers see the same phase in every tile.
    """

    width: int
    """Width of the plane, px."""
    height: int
    """Height of the plane, px."""
    core: int = 2048
    """Side of the square cores, px."""
    halo: int = 64
    """Margin around a core, px: at least receptive field radius + largest object radius."""
    stride: int = 1
    """Core and halo must be multiples of this (a network's total stride), px."""

    def __post_init__(self) -> None:
        """Refuse grids that cannot be cut."""
        if min(self.width, self.height) < 1 or self.core < 1 or self.halo < 0 or self.stride < 1:
            raise SettingsError(
                f"no grid of {self.width}x{self.height} px with core {self.core} and halo {self.halo}",
                "Use a positive core and a halo of 0 or more.",
            )
        if self.core % self.stride or self.halo % self.stride:
            raise SettingsError(
                f"core {self.core} and halo {self.halo} px are no multiples of the stride {self.stride}",
                f"Choose both as multiples of {self.stride}.",
            )

    @property
    def columns(self) -> int:
        """Number of tiles in a row."""
        return -(-self.width // self.core)

    @property
    def rows(self) -> int:
        """Number of tiles in a column."""
        return -(-self.height // self.core)

    def __len__(self) -> int:
        return self.columns * self.rows

    def __getitem__(self, index: int) -> Tile:
        if not 0 <= index < len(self):
            raise IndexError(f"tile {index} of a grid of {len(self)}")
        row, column = divmod(index, self.columns)
        x, y = column * self.core, row * self.core
        return Tile(index, x, y, min(self.core, self.width - x), min(self.core, self.height - y), self.halo)

    def __iter__(self) -> Iterator[Tile]:
        return (self[index] for index in range(len(self)))

    def region(self, tile: Tile, *, downsample: float) -> Region:
        """Return the core of a tile as a rectangle of level-0 px, rounded outwards.

        Parameters
        ----------
        tile : Tile
            A tile of this grid.
        downsample : float
            Level-0 px per plane px.
        """
        x0, y0 = int(np.floor(tile.x * downsample)), int(np.floor(tile.y * downsample))
        x1 = int(np.ceil((tile.x + tile.width) * downsample))
        y1 = int(np.ceil((tile.y + tile.height) * downsample))
        return Region(x0, y0, x1 - x0, y1 - y0)

    def distance_to_seam(self, x: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return each point's distance to the nearest border between two cores.

        Parameters
        ----------
        x, y : (N,) float array
            Points in plane px.

        Returns
        -------
        (N,) float array
            Distance in plane px; infinite where the grid has one tile.
        """
        best = np.full(np.shape(x), np.inf)
        for points, seams in ((x, self.columns - 1), (y, self.rows - 1)):
            if seams > 0:
                nearest = np.clip(np.round(points / self.core), 1, seams) * self.core
                best = np.minimum(best, np.abs(points - nearest))
        return best
