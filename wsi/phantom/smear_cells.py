"""The cells of a smear phantom: which there are, how large, and where they lie."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from ...errors import SettingsError
from .scanner import SCANNERS
from .settings import MPP_RANGE, PhantomSettings, _check_range, _check_size
from .sites import push_apart
from .texture import Array, stream

__all__ = ["KINDS_OF_CELL", "WHITE_KINDS", "ZONES", "BloodCell", "SmearCells", "SmearPhantom", "draw_smear"]

DENSITY_RANGE = (0.0, 20000.0)
GAP_UM = 0.35
"""Room between the cells of a monolayer, um."""
HEAP = 3.2
"""In the thick part there are so many times as many red cells, one upon another."""
THIN = 0.25
"""In the thin part there are so many times as many red cells."""
CLUMP_UM = 4.2
"""Radius of a clump of platelets, um."""
EDGE_UM = 4.0
"""No cell's middle lies nearer to the slide's edge, um."""
ROUNDS = 6


@dataclass(frozen=True)
class BloodCell:
    """How cells of one kind look."""

    radius_um: float
    """Mean radius of the cell."""
    eosin: float
    """Mean optical density of its body's red stain."""
    blue: float
    """Optical density of its cytoplasm's blue."""
    azure: float = 0.0
    """Optical density of its nucleus."""
    nucleus: float = 0.0
    """Radius of the nucleus as a share of that of the cell."""
    lobes: int = 0
    """Lobes of the nucleus; 0 for none."""
    granules: float = 0.0
    """Optical density of its granules: eosin of eosinophils, azure of basophils."""


KINDS_OF_CELL: Mapping[str, BloodCell] = MappingProxyType(
    {
        "red cell": BloodCell(3.75, 0.27, 0.02),
        "platelet": BloodCell(1.35, 0.05, 0.12, azure=0.35, nucleus=0.7, lobes=1),
        "neutrophil": BloodCell(6.4, 0.13, 0.05, azure=0.85, nucleus=0.42, lobes=4),
        "lymphocyte": BloodCell(4.9, 0.02, 0.30, azure=0.95, nucleus=0.86, lobes=1),
        "monocyte": BloodCell(8.2, 0.04, 0.24, azure=0.62, nucleus=0.66, lobes=2),
        "eosinophil": BloodCell(6.7, 0.14, 0.04, azure=0.80, nucleus=0.50, lobes=2, granules=0.75),
        "basophil": BloodCell(5.8, 0.06, 0.12, azure=0.55, nucleus=0.62, lobes=2, granules=1.0),
    }
)
"""After the sizes in smears: a red cell of 7.5 um, which all others are compared with."""
KIND_NAMES = tuple(KINDS_OF_CELL)
WHITE_KINDS = KIND_NAMES[2:]
NORMAL: Mapping[str, float] = MappingProxyType(
    {"neutrophil": 0.60, "lymphocyte": 0.28, "monocyte": 0.07, "eosinophil": 0.04, "basophil": 0.01}
)
"""Shares of the white cells of a healthy person."""
ZONES = ("thick", "monolayer", "thin")


@dataclass(frozen=True)
class SmearPhantom:
    """Settings of one smear phantom; the same settings give the same bytes.

    Raises
    ------
    SettingsError
        If a value is outside its range or the shares are none.
    """

    width: int = 4096
    """Width in level-0 px, at least 512."""
    height: int = 4096
    """Height in level-0 px, at least 512."""
    mpp: float = 0.25
    """um per level-0 px, 0.1 to 1."""
    seed: int = 1
    """Which smear: a non-negative integer."""
    scanner: str = "a"
    """Look: "a" or "b", as for the other phantoms."""
    red_per_mm2: float = 5000.0
    """Red cells of the monolayer."""
    white_per_mm2: float = 40.0
    """White cells; five times as many as in health, so that a small slide holds enough."""
    platelets_per_mm2: float = 330.0
    """Platelets: 12 per oil field."""
    shares: Mapping[str, float] = field(default_factory=lambda: dict(NORMAL))
    """Share of each of `WHITE_KINDS`, of sum 1; numbers of cells are rounded so that their sum fits."""
    thick: float = 0.2
    """Share of the width, from the left, where red cells lie heaped."""
    thin: float = 0.2
    """Share of the width, from the right, where they are few."""
    clumps: int = 0
    """Clumps of eight platelets each."""
    compression: str = "jpeg"
    """Tile compression: "jpeg" or "none"."""

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _check_size(self)  # type: ignore[arg-type]
        _check_range("mpp", self.mpp, MPP_RANGE)
        for name in ("red_per_mm2", "white_per_mm2", "platelets_per_mm2"):
            _check_range(name.replace("_", " "), getattr(self, name), DENSITY_RANGE)
        for name in ("thick", "thin"):
            _check_range(name, getattr(self, name), (0.0, 0.5))
        unknown = sorted(set(self.shares) - set(WHITE_KINDS))
        if unknown or abs(sum(self.shares.values()) - 1) > 1e-6 or min(self.shares.values()) < 0:
            raise SettingsError(
                f"a smear phantom with shares {dict(self.shares)}",
                f"give shares of sum 1 for: {', '.join(WHITE_KINDS)}",
            )
        if self.scanner not in SCANNERS:
            raise SettingsError(f"a scanner {self.scanner!r}", f"choose from {', '.join(SCANNERS)}")

    @property
    def area_mm2(self) -> float:
        """Area of the slide, mm2."""
        return self.width * self.height * (self.mpp / 1000) ** 2

    @classmethod
    def of(cls, settings: PhantomSettings) -> SmearPhantom:
        """Return what the settings of any phantom ask for: so many percent of the white cells neutrophils."""
        share = settings.truth_percent / 100
        others = {name: part for name, part in NORMAL.items() if name != "neutrophil"}
        rest = (1 - share) / sum(others.values())
        return cls(
            width=settings.width,
            height=settings.height,
            mpp=settings.mpp,
            seed=settings.seed,
            scanner=settings.scanner,
            shares={"neutrophil": share} | {name: part * rest for name, part in others.items()},
            compression=settings.compression,
        )


@dataclass(frozen=True, eq=False)
class SmearCells:
    """All cells of a smear, one row per cell."""

    x: Array
    """Middle, um: (n,)."""
    y: Array
    kind: NDArray[np.uint8]
    """Index into ``KIND_NAMES``."""
    radius: Array
    """Of the circle of the same area, um."""
    stretch: Array
    """Long over short axis."""
    angle: Array
    """Of the long axis, radians."""
    tone: Array
    """Factor of its stains."""
    turn: Array
    """Random 0-1: how lobes and granules lie."""
    zone: NDArray[np.uint8]
    """Index into `ZONES`."""

    def __len__(self) -> int:
        return len(self.x)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> SmearCells:
        """Return some of the rows."""
        return SmearCells(**{each.name: getattr(self, each.name)[rows] for each in fields(self)})


def draw_smear(settings: SmearPhantom) -> SmearCells:
    """Draw all cells of a smear: first the white ones, then red cells between them, platelets in the gaps."""
    rng = stream(settings.seed, 201)
    width, height = settings.width * settings.mpp, settings.height * settings.mpp
    kinds = _kinds(settings, rng)
    n = len(kinds)
    mean = np.array([each.radius_um for each in KINDS_OF_CELL.values()])[kinds]
    radius = mean * np.clip(rng.normal(1.0, np.where(kinds == 1, 0.12, 0.05), n), 0.75, 1.3)
    place = np.column_stack([rng.uniform(0, 1, n), rng.uniform(0, 1, n)])
    place[:, 0] = _along(settings, kinds, place[:, 0])
    place *= (width, height)
    low, high = np.full(2, EDGE_UM), np.array([width, height]) - EDGE_UM
    for _ in range(ROUNDS):
        free = _zone(settings, place[:, 0] / width) != ZONES.index("thick")
        pushed = push_apart(place[free], radius[free] * 1.03 + GAP_UM / 2)
        place[free] = np.clip(pushed, low, high)
    place = np.clip(place, low, high)
    place, kinds, radius = _with_clumps(settings, rng, place, kinds, radius)
    n = len(kinds)
    return SmearCells(
        x=place[:, 0],
        y=place[:, 1],
        kind=kinds,
        radius=radius,
        stretch=np.clip(1.0 + np.abs(rng.normal(0.0, 0.05, n)), 1.0, 1.2),
        angle=rng.uniform(0, math.pi, n),
        tone=np.clip(rng.normal(1.0, 0.08, n), 0.75, 1.25),
        turn=rng.uniform(0, 1, n),
        zone=_zone(settings, place[:, 0] / width),
    )


def white_counts(settings: SmearPhantom) -> dict[str, int]:
    """Return how many white cells of each class a smear holds: the largest remainders are rounded up."""
    total = round(settings.white_per_mm2 * settings.area_mm2)
    exact = {name: total * settings.shares.get(name, 0.0) for name in WHITE_KINDS}
    counts = {name: math.floor(value) for name, value in exact.items()}
    order = sorted(exact, key=lambda name: (counts[name] - exact[name], WHITE_KINDS.index(name)))
    for name in order[: total - sum(counts.values())]:
        counts[name] += 1
    return counts


def _kinds(settings: SmearPhantom, rng: np.random.Generator) -> NDArray[np.uint8]:
    """Return the kind of every cell, in random order."""
    area, middle = settings.area_mm2, 1 - settings.thick - settings.thin
    per_mm2 = middle + HEAP * settings.thick + THIN * settings.thin
    counts = {
        "red cell": round(settings.red_per_mm2 * area * per_mm2),
        "platelet": round(settings.platelets_per_mm2 * area),
        **white_counts(settings),
    }
    kinds = np.repeat(np.arange(len(KIND_NAMES)), [counts[name] for name in KIND_NAMES]).astype(np.uint8)
    rng.shuffle(kinds)
    return kinds


def _along(settings: SmearPhantom, kinds: NDArray[np.uint8], drawn: Array) -> Array:
    """Return how far from left to right, 0-1: red cells heaped on the left and few on the right."""
    middle = 1 - settings.thick - settings.thin
    weights = np.array([HEAP * settings.thick, middle, THIN * settings.thin])
    ends = np.concatenate([[0.0], np.cumsum(weights / weights.sum())])
    edges = np.array([0.0, settings.thick, 1 - settings.thin, 1.0])
    return np.asarray(np.where(kinds == 0, np.interp(drawn, ends, edges), drawn))


def _zone(settings: SmearPhantom, along: Array) -> NDArray[np.uint8]:
    """Return the part of the smear that each place lies in."""
    return np.asarray((along >= settings.thick).astype(np.uint8) + (along >= 1 - settings.thin), np.uint8)


def _with_clumps(
    settings: SmearPhantom,
    rng: np.random.Generator,
    place: Array,
    kinds: NDArray[np.uint8],
    radius: Array,
) -> tuple[Array, NDArray[np.uint8], Array]:
    """Add clumps of platelets, as rosettes, in the middle of the monolayer."""
    parts = [place]
    size = 8
    side = np.array([settings.width, settings.height]) * settings.mpp
    for number in range(settings.clumps):
        middle = side * (0.5, (number + 1) / (settings.clumps + 1))
        angle = np.arange(size) * (2 * math.pi / size) + rng.uniform(0, 1)
        ring = np.where(np.arange(size) == 0, 0.0, CLUMP_UM)
        parts.append(middle + np.column_stack([ring * np.cos(angle), ring * np.sin(angle)]))
    more = size * settings.clumps
    return (
        np.concatenate(parts),
        np.concatenate([kinds, np.full(more, KIND_NAMES.index("platelet"), np.uint8)]),
        np.concatenate([radius, np.full(more, KINDS_OF_CELL["platelet"].radius_um)]),
    )
