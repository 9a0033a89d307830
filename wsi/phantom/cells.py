"""The nuclei of a phantom: outline, class and stain of each, drawn chunk by chunk from the seed."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .coats import Coats
from .texture import Floats

Array = NDArray[np.float64]

CLASSES = ("tumour", "stroma", "lymphocyte", "macrophage")
TUMOUR, STROMA, LYMPHOCYTE, MACROPHAGE = range(4)
VERTICES = 40  # of each outline; its polygon misses 0.4 % of the smooth outline's area


@dataclass(frozen=True, eq=False)
class Cells:
    """A table of nuclei, one array per column, n rows."""

    x: Array
    "Middle that the outline is star-shaped about, um."
    y: Array
    "Middle, um."
    radii: Floats
    "(n, VERTICES) distance of the outline from the middle at even angles, um."
    kind: NDArray[np.uint8]
    "Index into ``CLASSES``."
    positive: NDArray[np.bool_]
    "True where the marker is expressed."
    grade: NDArray[np.uint8]
    "Class of the expression; its meaning is the kind's own."
    amounts: Floats
    "(n, stains) mean optical density inside the outline, by stain, as drawn."
    softness: Floats
    "Half width of the edge, um: nuclei out of the plane of focus are softer."
    relief: Floats
    "(n, 2) contrast of the chromatin's grain, and darkness of the rim against the middle."
    shift: NDArray[np.int32]
    "(n, 2) place in the textures that the chromatin is cut from, texels."
    nucleoli: Floats
    "(n, 2, 3) per nucleolus x, y (in shares of the mean radius) and strength."
    coats: Coats
    "Membrane and cytoplasm."

    def __len__(self) -> int:
        """Return the number of nuclei."""
        return len(self.x)

    @property
    def reach(self) -> Floats:
        """Largest radius of each outline, um, (n,)."""
        return np.asarray(self.radii.max(axis=1, initial=0.0), dtype=np.float32)

    def take(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Cells:
        """Return some of the rows."""
        return Cells(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def join(cls, parts: list[Cells]) -> Cells:
        """Return the rows of all parts in their order."""
        names = [f.name for f in fields(cls) if f.name != "coats"]
        columns = {name: np.concatenate([getattr(p, name) for p in parts]) for name in names}
        return cls(**columns, coats=Coats.join([p.coats for p in parts]))

    @classmethod
    def none(cls, stains: int) -> Cells:
        """Return a table without rows."""
        return cls(
            x=np.zeros(0),
            y=np.zeros(0),
            radii=np.zeros((0, VERTICES), np.float32),
            kind=np.zeros(0, np.uint8),
            positive=np.zeros(0, np.bool_),
            grade=np.zeros(0, np.uint8),
            amounts=np.zeros((0, stains), np.float32),
            softness=np.zeros(0, np.float32),
            relief=np.zeros((0, 2), np.float32),
            shift=np.zeros((0, 2), np.int32),
            nucleoli=np.zeros((0, 2, 3), np.float32),
            coats=Coats.none(0),
        )

    def outlines(self) -> Array:
        """Return the outlines' vertices, (n, VERTICES, 2), um."""
        angle = np.arange(VERTICES) * (2.0 * math.pi / VERTICES)
        x = self.x[:, None] + self.radii * np.cos(angle)
        y = self.y[:, None] + self.radii * np.sin(angle)
        return np.stack((x, y), axis=-1)

    def within(self, left: float, top: float, right: float, bottom: float) -> NDArray[np.bool_]:
        """Tell which middles lie in a half-open rectangle, um."""
        inside = (self.x >= left) & (self.x < right) & (self.y >= top) & (self.y < bottom)
        return np.asarray(inside)


def measure(outlines: Array) -> tuple[Array, Array, Array]:
    """Return centroid x, centroid y and area of closed polygons, each (n,), in the vertices' unit."""
    anchor = outlines[:, :1]
    x, y = (outlines - anchor)[..., 0], (outlines - anchor)[..., 1]  # near zero: no cancellation far out
    x_next, y_next = np.roll(x, -1, axis=1), np.roll(y, -1, axis=1)
    cross = x * y_next - x_next * y
    twice = cross.sum(axis=1)
    centre_x = ((x + x_next) * cross).sum(axis=1) / (3.0 * twice) + anchor[:, 0, 0]
    centre_y = ((y + y_next) * cross).sum(axis=1) / (3.0 * twice) + anchor[:, 0, 1]
    return centre_x, centre_y, np.abs(twice) / 2.0


@dataclass(frozen=True)
class Form:
    """How the outlines of one class of nuclei are drawn."""

    diameter_um: tuple[float, float, float, float]
    "Mean, standard deviation, least and greatest diameter of the circle of equal area, um."
    aspect: tuple[float, float, float]
    "Least ratio of the axes, spread above it, greatest ratio."
    waviness: float
    "Standard deviation of the first harmonic that departs from the ellipse, share of the radius."


FORMS = (
    Form(diameter_um=(9.2, 1.4, 6.0, 13.5), aspect=(1.05, 0.26, 1.9), waviness=0.035),
    Form(diameter_um=(7.4, 1.0, 5.5, 10.0), aspect=(1.8, 0.7, 3.6), waviness=0.030),
    Form(diameter_um=(6.4, 0.5, 5.2, 7.8), aspect=(1.0, 0.10, 1.35), waviness=0.020),
    Form(diameter_um=(8.4, 0.8, 6.5, 10.5), aspect=(1.15, 0.25, 1.9), waviness=0.045),
)


def draw_diameters(rng: np.random.Generator, kind: NDArray[np.uint8]) -> Array:
    """Draw the diameter of the circle of equal area for nuclei of given classes, um."""
    mean, sd, low, high = np.array([form.diameter_um for form in FORMS])[kind].T
    return np.asarray(np.clip(rng.normal(mean, sd), low, high))


def draw_radii(rng: np.random.Generator, kind: NDArray[np.uint8], *, diameter: Array, angle: Array) -> Floats:
    """Draw smooth star-shaped outlines: an ellipse with low harmonics, (n, VERTICES), um."""
    least, spread, most = np.array([form.aspect for form in FORMS])[kind].T
    aspect = np.minimum(least + spread * np.abs(rng.standard_normal(len(kind))), most)
    long, short = diameter / 2.0 * np.sqrt(aspect), diameter / 2.0 / np.sqrt(aspect)
    turn = np.arange(VERTICES) * (2.0 * math.pi / VERTICES) - angle[:, None]
    radii = (long * short)[:, None] / np.hypot(short[:, None] * np.cos(turn), long[:, None] * np.sin(turn))
    waviness = np.array([form.waviness for form in FORMS])[kind][:, None]
    for order in range(2, 7):
        height = waviness * rng.standard_normal((len(kind), 2)) * (2.0 / order) ** 0.8
        radii *= 1.0 + height[:, :1] * np.cos(order * turn) + height[:, 1:] * np.sin(order * turn)
    return np.asarray(radii, dtype=np.float32)


def draw_looks(rng: np.random.Generator, kind: NDArray[np.uint8]) -> tuple[Floats, Floats, Floats]:
    """Draw softness, relief and nucleoli, as described in ``Cells``; most nuclei lie in focus."""
    n = len(kind)
    softness = 0.35 + 0.9 * rng.beta(1.2, 4.0, n)
    relief = np.column_stack((rng.uniform(0.05, 0.21, n), rng.uniform(0.0, 0.75, n)))
    nucleoli = rng.uniform(-0.45, 0.45, (n, 2, 3))
    nucleoli[:, :, 2] = rng.uniform(0.3, 1.1, (n, 2)) * (rng.uniform(size=(n, 2)) < (0.55, 0.25))
    nucleoli[kind != TUMOUR, :, 2] = 0.0
    return softness.astype(np.float32), relief.astype(np.float32), nucleoli.astype(np.float32)
