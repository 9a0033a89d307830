"""What tissue is like at each place: tumour nests, stroma, empty spaces, crowding, hot spots."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .settings import PhantomSettings
from .texture import Floats, Grid, Waves, stream
from .tissue import Piece, place_pieces

Array = NDArray[np.float64]

NEST_WAVELENGTH_UM = (110.0, 260.0)
NESTS_WITHOUT_STROMA = 0.80  # share of tissue that nests take where no stroma nuclei are asked for
LUMEN_LEVEL = 2.2  # empty spaces: the upper 1.4 % of a smooth field
HOT_SPOT_LOGIT = 1.5  # hot spot's odds over its surroundings: 4.5
BACKGROUND_LOGIT = 0.35  # slow change of positivity elsewhere, standard deviation
SECOND_HOT_SPOT_UM2 = 10e6
LUMENS_FROM_UM2 = 0.1e6  # smaller tissue is solid
FOLLOW_UM = 34.0  # how far nests push the stroma fibres out of their straight way ...
STRAY_UM = 26.0  # ... and how far chance does


@dataclass(frozen=True)
class HotSpot:
    """A round area of higher positivity."""

    x: float
    "Centre, um."
    y: float
    "Centre, um."
    radius: float
    "Radius, um: half of the rise is left there."
    logit: float
    "Rise of the log odds at the centre."


@dataclass(frozen=True, eq=False)
class Field:
    """The smooth quantities that lay out a slide; any point can be asked by itself."""

    pieces: tuple[Piece, ...]
    nests: Waves
    nest_level: float
    "Value of ``nests`` at a nest's border."
    nest_scale: float
    "um per unit of ``nests`` near a border, on average."
    lumens: Waves
    lumen_level: float
    "Value of ``lumens`` at an empty space's border."
    crowding: Waves
    grain: float
    "Direction across the stroma fibres where nothing bends them, radians."
    slow: Waves
    "Slow change of stain and of positivity over the slide."
    hot_spots: tuple[HotSpot, ...]

    def tissue_depth(self, x: Array, y: Array) -> Array:
        """Return the distance inside tissue along the ray from a piece's centre, um; negative on glass."""
        depth = self.pieces[0].depth(x, y)
        for piece in self.pieces[1:]:
            depth = np.maximum(depth, piece.depth(x, y))
        return depth

    def nest_depth(self, x: Array, y: Array) -> Array:
        """Return the approximate distance inside tumour nests, um; negative in stroma."""
        return (self.nests.at(x, y) - self.nest_level) * self.nest_scale

    def lumen_depth(self, x: Array, y: Array) -> Array:
        """Return the approximate distance inside empty spaces, um; negative in solid tissue."""
        return (self.lumens.at(x, y) - self.lumen_level) * self.nest_scale

    def vacancy(self, x: Array, y: Array) -> Array:
        """Return the share of missing nuclei, 0.02 to 0.4."""
        return np.clip(0.14 + 0.1 * self.crowding.at(x, y), 0.02, 0.4)

    def rise(self, x: Array, y: Array) -> Array:
        """Return the local change of the log odds of positivity."""
        total = BACKGROUND_LOGIT * self.slow.at(x, y)
        for spot in self.hot_spots:
            near = np.hypot(x - spot.x, y - spot.y) / spot.radius
            total += spot.logit * 0.5 ** np.minimum(near**6, 60.0)
        return total

    def fibre_angle(self, x: Array, y: Array) -> Array:
        """Return the direction of stroma fibres, radians."""
        along_x, along_y = self.nests.slope(x, y)
        stray_x, stray_y = self.crowding.slope(x, y)
        along_x = math.cos(self.grain) + FOLLOW_UM * along_x + STRAY_UM * stray_x
        along_y = math.sin(self.grain) + FOLLOW_UM * along_y + STRAY_UM * stray_y
        return np.arctan2(along_x, -along_y)

    def fibre_phase_on(self, grid: Grid, nests: Floats) -> Floats:
        """Return the field whose level lines are the fibres, (h, w), um; ``nests`` is that field there."""
        x = (grid.pixel_x * math.cos(self.grain)).astype(np.float32)
        y = (grid.pixel_y * math.sin(self.grain)).astype(np.float32)
        bend = np.float32(FOLLOW_UM) * nests + np.float32(STRAY_UM) * self.crowding.on(grid)
        return np.asarray(bend + x + y[:, None], dtype=np.float32)

    def tissue_on(self, grid: Grid) -> Floats:
        """Return ``tissue_depth`` at the pixels of a window, (h, w), um."""
        return grid.refine(self.tissue_depth(*grid.mesh()).astype(np.float32))

    def box_holds_tissue(self, left: float, top: float, right: float, bottom: float) -> bool:
        """Tell whether a rectangle (um) may hold tissue: never False where it does."""
        step = max(4.0, (right - left) / 64.0)
        x, y = np.meshgrid(np.arange(left, right + step, step), np.arange(top, bottom + step, step))
        # the outline may bulge between the probes by no more than their spacing
        return bool((self.tissue_depth(x, y) > -2.0 * step).any())


def lay_out_field(settings: PhantomSettings) -> Field:
    """Draw the smooth quantities of a slide from its seed."""
    pieces = place_pieces(settings)
    rng = stream(settings.seed, 2)
    nests = Waves.draw(rng, wavelengths_um=NEST_WAVELENGTH_UM, count=48)
    lumens = Waves.draw(rng, wavelengths_um=(120.0, 320.0), count=32)
    crowding = Waves.draw(rng, wavelengths_um=(90.0, 500.0), count=24)
    slow = Waves.draw(rng, wavelengths_um=(500.0, 1600.0), count=24)
    share = NESTS_WITHOUT_STROMA * (1.0 - settings.stroma_nuclei)
    return Field(
        pieces=pieces,
        nests=nests,
        nest_level=_level(nests, pieces, share=share),
        nest_scale=1.0 / math.sqrt(float(np.mean(nests.kx**2 + nests.ky**2)) / 2.0),
        lumens=lumens,
        lumen_level=LUMEN_LEVEL if sum(piece.area for piece in pieces) > LUMENS_FROM_UM2 else math.inf,
        crowding=crowding,
        grain=float(rng.uniform(0.0, 2.0 * math.pi)),
        slow=slow,
        hot_spots=_place_hot_spots(pieces, stream(settings.seed, 3)),
    )


def _level(nests: Waves, pieces: tuple[Piece, ...], *, share: float) -> float:
    """Return the value that a given share of the tissue exceeds."""
    reach = np.sqrt((np.arange(40) + 0.5) / 40.0)
    values = []
    for piece in pieces:
        spokes = (piece.outline[::32] - (piece.x, piece.y))[:, None] * reach[:, None]  # even over the area
        values.append(nests.at(piece.x + spokes[..., 0].ravel(), piece.y + spokes[..., 1].ravel()))
    weight = np.concatenate([np.repeat(np.square(p.radius[::32]), 40) for p in pieces])
    value = np.concatenate(values)
    order = np.argsort(value)
    above = 1.0 - np.cumsum(weight[order]) / weight.sum()
    if share <= 0.0:
        return float(value.max()) + 10.0
    return float(value[order][np.searchsorted(-above, -share)])


def _place_hot_spots(pieces: tuple[Piece, ...], rng: np.random.Generator) -> tuple[HotSpot, ...]:
    """Place one hot spot in the largest piece, and a weaker one where there is much tissue."""
    largest = max(pieces, key=lambda piece: piece.area)
    spots = [_hot_spot(largest, rng, logit=HOT_SPOT_LOGIT)]
    if sum(piece.area for piece in pieces) > SECOND_HOT_SPOT_UM2:
        other = min(pieces, key=lambda piece: piece.area)
        spots.append(_hot_spot(other, rng, logit=0.6 * HOT_SPOT_LOGIT))
    return tuple(spots)


def _hot_spot(piece: Piece, rng: np.random.Generator, *, logit: float) -> HotSpot:
    """Place a hot spot wholly inside a piece, at a random place among the deep ones."""
    turn, reach = rng.uniform(0.0, 2.0 * math.pi, 400), np.sqrt(rng.uniform(0.0, 0.8, 400))
    outline = np.interp(turn, np.linspace(0.0, 2.0 * math.pi, len(piece.radius)), piece.radius)
    x, y = piece.x + reach * outline * np.cos(turn), piece.y + reach * outline * np.sin(turn)
    border = piece.outline[::8]
    depth = np.hypot(x[:, None] - border[:, 0], y[:, None] - border[:, 1]).min(axis=1)
    radius = min(300.0, 0.6 * float(depth.max()))
    best = int(np.flatnonzero(depth >= min(1.25 * radius, float(depth.max())))[0])
    return HotSpot(x=float(x[best]), y=float(y[best]), radius=radius, logit=logit)
