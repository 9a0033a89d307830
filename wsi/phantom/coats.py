"""What lies around a nucleus: the cell's membrane and cytoplasm, and how much marker they carry."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from .texture import Array, Floats

GAPS = 3  # most interruptions of one membrane
LEAST_PART = 0.35  # of a gap or of a stretch of membrane against the others of its cell, before scaling


@dataclass(frozen=True, eq=False)
class Coats:
    """Membrane and cytoplasm of n cells, one array per column."""

    spread: Floats
    "How far the cell reaches beyond its nucleus where no neighbour stops it, um; 0 draws no cell."
    body: Floats
    "Optical density of the unstained cytoplasm."
    cytoplasm_od: Floats
    "Optical density of the marker in the cytoplasm."
    membrane_od: Floats
    "Optical density of the marker in the middle of the membrane, where there is one."
    completeness: Floats
    "Share of the directions from the nucleus' middle in which the membrane carries the marker, 0 to 1."
    gaps: Floats
    "(n, GAPS, 2) middle and half width of the membrane's interruptions, radians."

    def __len__(self) -> int:
        """Return the number of cells."""
        return len(self.spread)

    def __getitem__(self, rows: NDArray[np.bool_] | NDArray[np.intp]) -> Coats:
        """Return some of the rows."""
        return Coats(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    @classmethod
    def join(cls, parts: list[Coats]) -> Coats:
        """Return the rows of all parts in their order."""
        return cls(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(cls)})

    @classmethod
    def none(cls, count: int) -> Coats:
        """Return cells of which only the nucleus is drawn."""
        blank = np.zeros(count, dtype=np.float32)
        return cls(blank, blank, blank, blank, blank, np.zeros((count, GAPS, 2), dtype=np.float32))


def draw_coats(
    rng: np.random.Generator, *, spread: Array, body: Array, cytoplasm: Array, membrane: Array, cover: Array
) -> Coats:
    """Draw the cells' coats; ``cover`` is the completeness, which counts only where there is a membrane."""
    cover = np.where(membrane > 0.0, cover, 0.0)
    gaps = _draw_gaps(rng, np.where(membrane > 0.0, cover, 1.0))
    return Coats(
        spread=spread.astype(np.float32),
        body=body.astype(np.float32),
        cytoplasm_od=cytoplasm.astype(np.float32),
        membrane_od=membrane.astype(np.float32),
        completeness=cover.astype(np.float32),
        gaps=gaps,
    )


def _draw_gaps(rng: np.random.Generator, cover: Array) -> Floats:
    """Share out what a membrane lacks to one gap, or to a few if it lacks much, (n, GAPS, 2)."""
    n = len(cover)
    most = np.where(cover < 0.9, GAPS, 1)
    number = 1 + np.floor(rng.uniform(size=n) * most)
    used = np.arange(GAPS) < number[:, None]
    parts = used[:, :, None] * (LEAST_PART + rng.gamma(1.5, 1.0, (n, GAPS, 2)))
    parts /= parts.sum(axis=1, keepdims=True)
    turn = 2.0 * math.pi
    missing = turn * (1.0 - cover)[:, None] * parts[:, :, 0]
    present = turn * cover[:, None] * parts[:, :, 1]
    ends = rng.uniform(0.0, turn, n)[:, None] + np.cumsum(missing + present, axis=1)
    middle = ends - present - missing / 2.0
    return np.stack((middle % turn, missing / 2.0), axis=-1).astype(np.float32)
