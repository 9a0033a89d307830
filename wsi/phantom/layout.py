"""Which nuclei a phantom holds: places, classes and the marker, with the truth met over the whole slide."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np

from .cells import STROMA, TUMOUR, Cells, draw_looks, draw_radii
from .field import Field, lay_out_field
from .grading import Roll
from .kind import Painter, painter_of
from .settings import PhantomSettings
from .sites import CHUNK_UM, Address, Sites, draw_sites, pick_evenly, push_apart
from .texture import PERIOD, Array, Floats, Waves, stream
from .tissue import frame_um

Made = TypeVar("Made")

TOUCH = 1.04  # nuclei are pushed apart to this multiple of the sum of their radii ...
PATCH_UM = (70.0, 240.0)  # wavelengths of the field that neighbours with like expression follow
HALO_UM = 60.0  # neighbours that can push a nucleus within that many steps
CACHED_CHUNKS = 48


@dataclass(frozen=True)
class Share:
    """Sums over all chunks before one: where its even picking goes on."""

    tumour: float
    stroma: float
    positive: float


@dataclass(frozen=True, eq=False)
class Assignment:
    """How sites become nuclei so that the slide as a whole meets its truth."""

    keep_tumour: float
    keep_stroma: float
    odds: Callable[[Floats], Array]
    "Local change of the log odds -> probability of being positive."
    starts: dict[Address, Share]


class _Memory(Generic[Made]):
    """Remembers the last results of a function of a chunk's address, for any thread."""

    def __init__(self, make: Callable[[Address], Made], *, size: int) -> None:
        self._make, self._size = make, size
        self._made: OrderedDict[Address, Made] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, address: Address) -> Made:
        with self._lock:
            if address in self._made:
                self._made.move_to_end(address)
                return self._made[address]
        made = self._make(address)  # outside the lock: two threads may make the same, which does no harm
        with self._lock:
            self._made[address] = made
            while len(self._made) > self._size:
                self._made.popitem(last=False)
        return made


class Layout:
    """All nuclei of a slide, drawn on demand; safe to share between threads."""

    def __init__(self, settings: PhantomSettings) -> None:
        self.settings = settings
        self.field: Field = lay_out_field(settings)
        self._painter: Painter = painter_of(settings)
        self._patches = Waves.draw(stream(settings.seed, 6), wavelengths_um=PATCH_UM, count=24)
        width, height = frame_um(settings)
        self._columns, self._rows = math.ceil(width / CHUNK_UM), math.ceil(height / CHUNK_UM)
        self._assignment = self._assign()
        self._kept = _Memory(self._keep, size=CACHED_CHUNKS)
        self._chunk = _Memory(self._dress_settled, size=CACHED_CHUNKS)

    def cells_near(self, left: float, top: float, right: float, bottom: float) -> Cells:
        """Return the nuclei whose middle lies in a rectangle, um, in a fixed order."""
        slack = 15.0  # a nucleus may have been pushed out of its chunk
        parts = []
        for row in range(*self._span(top - slack, bottom + slack, self._rows)):
            for column in range(*self._span(left - slack, right + slack, self._columns)):
                cells = self._chunk((row, column))
                parts.append(cells.take(cells.within(left, top, right, bottom)))
        return Cells.join(parts) if parts else Cells.none(len(self._painter.stains))

    @staticmethod
    def _span(low: float, high: float, count: int) -> tuple[int, int]:
        return max(0, math.floor(low / CHUNK_UM)), min(count, math.floor(high / CHUNK_UM) + 1)

    def _dress_settled(self, address: Address) -> Cells:
        return self._dress(address, self._settle(address))

    def _sites(self, address: Address) -> Sites:
        row, column = address
        if not (0 <= row < self._rows and 0 <= column < self._columns):
            return Sites.none()
        sites = draw_sites(self.field, address, seed=self.settings.seed)
        return self._painter.recast(stream(self.settings.seed, 13, row, column), sites)

    def _assign(self) -> Assignment:
        """Count what can be, and fix what share of it shall be."""
        tumours, stromas = self._count_sites()
        numbers = sum(len(rise) for rise in tumours.values()), sum(stromas.values())
        keep = _thinning(numbers, self.settings.stroma_nuclei)
        starts = {}
        begun = Share(0.0, 0.0, 0.0)
        for address, rise in tumours.items():
            starts[address] = begun
            tumours[address] = rise[pick_evenly(np.full(len(rise), keep[0]), start=begun.tumour)]
            begun = Share(begun.tumour + keep[0] * len(rise), begun.stroma + keep[1] * stromas[address], 0.0)
        truth = 0.0 if self._painter.marker is None else self.settings.truth_percent / 100.0
        odds = _odds(np.concatenate([np.zeros(0, np.float32), *tumours.values()]), truth)
        positive = 0.0
        for address, rise in tumours.items():
            starts[address] = replace(starts[address], positive=positive)
            positive += float(odds(rise).sum())
        return Assignment(keep[0], keep[1], odds, starts)

    def _count_sites(self) -> tuple[dict[Address, Floats], dict[Address, int]]:
        """Return the rise at each tumour site and the number of other sites, by chunk with any site."""
        tumours: dict[Address, Floats] = {}
        stromas: dict[Address, int] = {}
        for row in range(self._rows):
            for column in range(self._columns):
                sites = self._sites((row, column))
                if len(sites.x):
                    tumour = sites.kind == TUMOUR
                    tumours[row, column] = sites.rise[tumour]
                    stromas[row, column] = int((~tumour).sum())
        return tumours, stromas

    def _keep(self, address: Address) -> Sites:
        """Return the sites of a chunk that become nuclei."""
        sites = self._sites(address)
        if not len(sites.x):
            return sites
        plan, start = self._assignment, self._assignment.starts[address]
        tumour = sites.kind == TUMOUR
        chosen = np.zeros(len(tumour), dtype=bool)
        for rows, share, begun in (
            (tumour, plan.keep_tumour, start.tumour),
            (~tumour, plan.keep_stroma, start.stroma),
        ):
            chosen[rows] = pick_evenly(np.full(int(rows.sum()), share), start=begun)
        return sites.take(chosen)

    def _settle(self, address: Address) -> Sites:
        """Return a chunk's nuclei pushed off their neighbours, those of other chunks included."""
        row, column = address
        own = self._kept(address)
        left, top = column * CHUNK_UM - HALO_UM, row * CHUNK_UM - HALO_UM
        side = CHUNK_UM + 2.0 * HALO_UM
        around = [(row + i, column + j) for i in (-1, 0, 1) for j in (-1, 0, 1) if (i, j) != (0, 0)]
        parts = [own, *(self._kept(a).within(left, top, left + side, top + side) for a in around)]
        place = np.column_stack([np.concatenate([p.x for p in parts]), np.concatenate([p.y for p in parts])])
        radius = np.concatenate([p.diameter for p in parts]) * (TOUCH / 2.0)
        radius = radius + self._painter.gap_um / 2.0
        place = push_apart(place, radius)[: len(own.x)]
        return Sites(place[:, 0], place[:, 1], own.diameter, own.kind, own.rise)

    def _dress(self, address: Address, sites: Sites) -> Cells:
        """Draw outline, marker and stain of a chunk's nuclei."""
        rng = stream(self.settings.seed, 11, *address)
        n = len(sites.x)
        expression = self._painter.express(
            stream(self.settings.seed, 12, *address), self._roll(address, sites)
        )
        along = self.field.fibre_angle(sites.x, sites.y) + rng.normal(0.0, 0.3, n)
        angle = np.where(sites.kind == STROMA, along, rng.uniform(0.0, math.pi, n))
        radii = draw_radii(rng, sites.kind, diameter=sites.diameter, angle=angle)
        amounts = self._painter.draw_amounts(rng, sites.kind, expression)
        softness, relief, nucleoli = draw_looks(rng, sites.kind)
        return Cells(
            x=sites.x,
            y=sites.y,
            radii=radii,
            kind=sites.kind,
            positive=expression.positive,
            grade=expression.grade,
            amounts=amounts.astype(np.float32),
            softness=softness,
            relief=relief,
            shift=rng.integers(0, PERIOD, (n, 2), dtype=np.int32),
            nucleoli=nucleoli,
            coats=expression.coats,
        )

    def _roll(self, address: Address, sites: Sites) -> Roll:
        """Return what is known of a chunk's nuclei when the marker is dealt out."""
        start = self._assignment.starts.get(address, Share(0.0, 0.0, 0.0))  # none for a chunk without sites
        return Roll(
            kind=sites.kind,
            odds=self._assignment.odds(sites.rise[sites.kind == TUMOUR]),
            patch=self._patches.at(sites.x, sites.y),
            tumour=start.tumour,
            positive=start.positive,
        )


def _thinning(counts: tuple[int, int], stroma_share: float) -> tuple[float, float]:
    """Return the shares of tumour and stroma sites to keep so that nuclei come in the share asked for."""
    tumour, stroma = counts
    if stroma_share <= 0.0 or stroma == 0:
        return 1.0, 0.0
    if stroma_share >= 1.0 or tumour == 0:
        return 0.0, 1.0
    wanted = tumour * stroma_share / (1.0 - stroma_share)
    return (1.0, wanted / stroma) if wanted <= stroma else (stroma / wanted, 1.0)


def _odds(rises: Floats, truth: float) -> Callable[[Floats], Array]:
    """Return the function from local rise to probability of positivity whose mean is the truth."""
    if truth <= 0.0 or truth >= 1.0 or not len(rises):
        return lambda rise: np.full(len(rise), truth)
    low, high = -40.0, 40.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if float(_logistic(rises + middle).mean()) < truth else (low, middle)
    shift = (low + high) / 2.0
    return lambda rise: _logistic(rise + shift)


def _logistic(value: Floats) -> Array:
    return np.asarray(1.0 / (1.0 + np.exp(-value)), dtype=np.float64)
