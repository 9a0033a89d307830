"""From stain maps to pixels: Beer-Lambert's law, artefacts in the light path, and the scanner's look."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from .artefact import Artefact
from .scanner import Scanner
from .scene import ramp
from .texture import Floats, Grid, Textures, sample, stream

NOISE_PERIOD = 1024  # px; noise repeats, so that one glass tile stands for all
MARGIN = 16  # px around a window that sharpening looks at
FOCUS_BLUR_UM = 2.8  # sigma of a patch that the autofocus missed
FOCUS_REACH = 3.0  # sigmas that blurs are cut off at
FADE_UM = 1.6  # artefacts start that far inside their outline, more than the optics spread


@dataclass(frozen=True, eq=False)
class Sensor:
    """What one scanner adds to every pixel."""

    scanner: Scanner
    light: Floats
    "(NOISE_PERIOD, NOISE_PERIOD) share of white that reaches the sensor."
    noise: Floats
    "(3, NOISE_PERIOD, NOISE_PERIOD) grey levels."

    @classmethod
    def of(cls, scanner: Scanner, seed: int) -> Sensor:
        """Draw the sensor's fixed noise."""
        rng = stream(seed, 5)
        noise = rng.standard_normal((3, NOISE_PERIOD, NOISE_PERIOD), dtype=np.float32)
        # neighbours share noise, as they do after the colours of a sensor are interpolated
        noise = ndimage.gaussian_filter(noise, (0.0, 0.6, 0.6), mode="wrap")
        wave = np.cos(2.0 * math.pi * (np.arange(NOISE_PERIOD) + 0.5) / NOISE_PERIOD).astype(np.float32)
        light = 1.0 - scanner.shading * (0.5 + 0.25 * (wave[:, None] + wave[None, :]))
        return cls(scanner, light, noise * np.float32(scanner.noise / noise.std()))


def fold_stains(maps: list[Floats], upper: list[Floats], window: tuple[slice, slice, Floats]) -> None:
    """Lay the stain maps of tissue from elsewhere on top of a fold's rows and columns, in place."""
    rows, columns, depth = window
    layer = ramp(depth - FADE_UM, 2.5)
    layer *= 1.0 + 0.35 * np.exp(-np.square((depth - 4.0) / 2.5))  # a fold's edges stand on end
    for below, above in zip(maps, upper, strict=True):
        below[rows, columns] += layer * above


def transmit(
    maps: list[Floats],
    vectors: NDArray[np.float32],
    artefacts: list[Artefact],
    *,
    grid: Grid,
    textures: Textures,
) -> Floats:
    """Return the light that passes stains, ink and dirt, share of white, (3, h, w).

    Parameters
    ----------
    maps : list of (h, w) float32 arrays
        Optical density of each stain.
    vectors : (stains, 3) float32 array
        Unit optical density of each stain in R, G, B.
    artefacts : list of Artefact
        Those that may reach into the window.
    grid : Grid
        The window.
    textures : Textures
        Unevenness of ink and dirt.
    """
    light = np.empty((3, grid.height, grid.width), dtype=np.float32)
    inks = [(a, w) for a in artefacts if a.reason in ("pen", "debris") and (w := a.window(grid)) is not None]
    layers = [(a.tint, w[0], w[1], _thickness(a, w[2], grid, textures, w)) for a, w in inks]
    for channel in range(3):
        density = np.multiply(maps[0], vectors[0, channel], out=light[channel])
        for stain, vector in zip(maps[1:], vectors[1:], strict=True):
            density += stain * vector[channel]
        for tint, rows, columns, thickness in layers:
            density[rows, columns] += thickness * np.float32(tint[channel])
        density *= np.float32(-math.log(10.0))
        np.exp(density, out=density)
    return light


def _thickness(
    artefact: Artefact,
    depth: Floats,
    grid: Grid,
    textures: Textures,
    window: tuple[slice, slice, Floats],
) -> Floats:
    """Return the thickness of ink or dirt, 1 where it is fully there."""
    rows, columns, _ = window
    part = grid.part(rows, columns)
    if artefact.reason == "pen":
        streak = sample(textures.cloud, part, stretch=3.7)
        pooled = 0.45 * np.exp(-np.square((depth - 9.0) / 7.0))  # ink dries towards the stroke's edge
        body = 0.72 + 0.06 * streak + 0.03 * sample(textures.mottle, part) + pooled
        return np.asarray(ramp(depth - FADE_UM, 7.0) * np.maximum(body, 0.1), dtype=np.float32)
    lumps = 1.0 + 0.26 * sample(textures.mottle, part) + 0.14 * sample(textures.grain, part)
    return np.asarray(ramp(depth - FADE_UM, 1.6) * lumps, dtype=np.float32)


def refract(light: Floats, artefacts: list[Artefact], grid: Grid) -> None:
    """Draw the rings of air bubbles, in place."""
    for artefact in artefacts:
        reached = artefact.window(grid) if artefact.reason == "bubble" else None
        if reached is None:
            continue
        rows, columns, depth = reached
        wall = float(np.clip(artefact.size / 14.0, 2.0, 9.0))
        dark = 0.85 * np.exp(-np.square((depth - FADE_UM - 1.6 * wall) / wall))
        dark += 0.22 * np.exp(-np.square((depth - FADE_UM - 5.5 * wall) / (2.0 * wall)))
        bright = 0.10 * np.exp(-np.square((depth - FADE_UM - 3.6 * wall) / (0.7 * wall)))
        density = ramp(depth - FADE_UM, 1.5) * (dark - bright - 0.012)
        light[:, rows, columns] *= np.exp(np.float32(-math.log(10.0)) * density)


def focus(light: Floats, artefacts: list[Artefact], *, grid: Grid, sensor: Sensor) -> Floats:
    """Return the light behind the lens: its own blur everywhere, patches and bubbles out of focus."""
    sharp = _blurred(light, sensor.scanner.blur_um / grid.mpp)
    for artefact in artefacts:
        amount = {"out_of_focus": 1.0, "bubble": 0.45}.get(artefact.reason, 0.0)
        reached = artefact.window(grid) if amount else None
        if reached is None:
            continue
        rows, columns, depth = reached
        share = amount * ramp(depth - FADE_UM, min(30.0, 0.35 * artefact.size))
        half = _blurred_part(sharp, rows, columns, 0.45 * FOCUS_BLUR_UM / grid.mpp)
        full = _blurred_part(sharp, rows, columns, FOCUS_BLUR_UM / grid.mpp)
        first, second = np.minimum(2.0 * share, 1.0), np.maximum(2.0 * share - 1.0, 0.0)
        part = sharp[:, rows, columns]
        mixed = part + first * (half - part)
        sharp[:, rows, columns] = mixed + second * (full - mixed)
    return sharp


def _blurred_part(light: Floats, rows: slice, columns: slice, sigma: float) -> Floats:
    """Blur a part of a window, its surroundings taken into account."""
    reach = math.ceil(FOCUS_REACH * sigma)
    top, left = max(0, rows.start - reach), max(0, columns.start - reach)
    wide = light[:, top : rows.stop + reach, left : columns.stop + reach]
    blurred = _blurred(wide, sigma)
    return blurred[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left]


def _blurred(light: Floats, sigma: float) -> Floats:
    if sigma < 0.2:
        return light
    spread = (0.0,) * (light.ndim - 2) + (sigma, sigma)
    blurred = ndimage.gaussian_filter(light, spread, mode="nearest", truncate=FOCUS_REACH)
    return np.asarray(blurred, dtype=np.float32)


def expose(light: Floats, sensor: Sensor, *, mpp: float) -> NDArray[np.uint8]:
    """Return the file's pixels of one window: white point, tone curve, sharpening, noise.

    Parameters
    ----------
    light : (3, NOISE_PERIOD + 2 MARGIN, NOISE_PERIOD + 2 MARGIN) float32 array
        Share of white behind the lens. The window starts at a multiple of NOISE_PERIOD.
    sensor : Sensor
        The scanner.
    mpp : float
        um per px.

    Returns
    -------
    (NOISE_PERIOD, NOISE_PERIOD, 3) uint8 array
    """
    scanner = sensor.scanner
    inner = slice(MARGIN, MARGIN + NOISE_PERIOD)
    pixels = np.empty((NOISE_PERIOD, NOISE_PERIOD, 3), dtype=np.uint8)
    for channel in range(3):
        white, gamma = scanner.white[channel] / 255.0, scanner.gamma[channel]
        image = light[channel] * np.float32(white)
        if gamma != 1.0:
            np.power(image, np.float32(gamma), out=image)
        if scanner.sharpening:
            image += np.float32(scanner.sharpening) * (image - _blurred(image, max(0.8, 0.25 / mpp)))
        image = image[inner, inner] * sensor.light
        image *= 255.0
        image += sensor.noise[channel]
        image += 0.5
        pixels[:, :, channel] = np.clip(image, 0.0, 255.0, out=image)
    return pixels
