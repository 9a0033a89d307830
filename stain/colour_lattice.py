"""A smooth function of colour: values at points of a lattice, between them mixtures of the eight around."""

from __future__ import annotations

import base64
import binascii
import zlib
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import SettingsError

__all__ = ["ColourLattice"]

Floats = NDArray[np.float64]

SIDE = 33
"""Points along red, green and blue: every 8 grey levels."""
UNIT = 1e-4
"""Values are kept as whole multiples of this."""
SMOOTHNESS = 1.0
"""What a difference between neighbouring points costs, in pixels that are explained as badly."""
PULL = 1e-3
"""What a value costs, likewise: points far from all samples come to rest at 0."""
MOST_COLOURS = 200_000
"""Different colours that a fit looks at, the most frequent ones."""


@dataclass(frozen=True)
class ColourLattice:
    """Three values at every point of a cubic lattice over the colours of 8 bits per channel."""

    values: bytes
    """(33, 33, 33, 3) whole multiples of 1e-4, 16 bits, little endian, red slowest."""

    def at(self, colours: Floats) -> Floats:
        """Return the values (N, 3) at colours (N, 3), 0-255, by trilinear interpolation."""
        table = np.frombuffer(self.values, "<i2").reshape(-1, 3)
        found = np.zeros((3, len(colours)))
        for places, shares in _corners(colours):
            found += table[places].T * shares
        return np.asarray(found.T * UNIT)

    def to_text(self) -> str:
        """Return the lattice as ASCII."""
        return base64.b64encode(zlib.compress(self.values, 9)).decode("ascii")

    @classmethod
    def from_text(cls, text: Any) -> Self:
        """Read back what `to_text` gave.

        Raises
        ------
        SettingsError
            If it is no such text.
        """
        try:
            values = zlib.decompress(base64.b64decode(str(text), validate=True), bufsize=SIDE**3 * 6)
        except (binascii.Error, zlib.error, ValueError) as error:
            raise SettingsError(
                f"this is no lattice of colours: {error}", "Use a profile that an earlier run has written."
            ) from error
        if len(values) != SIDE**3 * 6:
            raise SettingsError("a lattice of another size", "Use a profile written by this version.")
        return cls(values)

    @classmethod
    def fit(cls, colours: NDArray[np.uint8], values: Floats, *, weights: Floats) -> Self:
        """Fit a lattice to samples: what explains them with the smallest steps between neighbouring points.

        Parameters
        ----------
        colours : (N, 3) uint8 array
            Where.
        values : (N, 3) float array
            What is wanted there; of equal colours the weighted mean.
        weights : (N,) float array
            How much each sample counts.

        Notes
        -----
        Minimises ``sum w (interpolated - wanted)^2 + sum (differences of neighbours)^2``: linear least
        squares, solved by conjugate gradients, so that points without samples go on smoothly from those
        that have some.
        """
        from scipy.sparse import csr_array
        from scipy.sparse.linalg import cg

        places, wanted, counts = _by_colour(colours, values, weights)
        rows = np.arange(len(places))
        corners = list(_corners(places))
        mixing = csr_array(
            (
                np.concatenate([shares for _, shares in corners]),
                (np.tile(rows, len(corners)), np.concatenate([points for points, _ in corners])),
            ),
            shape=(len(places), SIDE**3),
        )
        weighted = mixing.T * counts
        system = (weighted @ mixing + _smoothing()).tocsr()
        scale = 1.0 / system.diagonal()
        jacobi = csr_array((scale, (np.arange(SIDE**3), np.arange(SIDE**3))), shape=system.shape)
        solved = [
            cg(system, weighted @ wanted[:, channel], rtol=1e-5, maxiter=400, M=jacobi)[0]
            for channel in range(3)
        ]
        steps = np.rint(np.stack(solved, axis=1) / UNIT)
        return cls(np.clip(steps, -32767, 32767).astype("<i2").tobytes())


def _corners(colours: Floats) -> list[tuple[NDArray[np.intp], Floats]]:
    """Return the eight points around each colour and their shares, each (N,)."""
    scaled = np.clip(colours, 0.0, 255.0) * ((SIDE - 1) / 255.0)
    low = np.minimum(scaled.astype(np.intp), SIDE - 2)
    part = scaled - low
    found = []
    for number in range(8):
        up = [number >> 2 & 1, number >> 1 & 1, number & 1]
        point = ((low[:, 0] + up[0]) * SIDE + low[:, 1] + up[1]) * SIDE + low[:, 2] + up[2]
        share = np.ones(len(colours))
        for channel, step in enumerate(up):
            share = share * (part[:, channel] if step else 1.0 - part[:, channel])
        found.append((point, share))
    return found


def _by_colour(colours: NDArray[np.uint8], values: Floats, weights: Floats) -> tuple[Floats, Floats, Floats]:
    """Return the different colours, their weighted mean values and their weights, the heaviest first."""
    codes = colours.astype(np.int64) @ np.array([65536, 256, 1])
    known, member = np.unique(codes, return_inverse=True)
    total = np.bincount(member, weights).astype(np.float64)
    means = [np.bincount(member, weights * values[:, channel]) for channel in range(3)]
    order = np.argsort(-total, kind="stable")[:MOST_COLOURS]
    order = order[total[order] > 0]
    places = np.stack([known >> 16, known >> 8 & 255, known & 255], axis=1)[order].astype(np.float64)
    return places, np.stack(means, axis=1)[order] / total[order, None], total[order]


def _smoothing() -> Any:
    """Return the matrix of the price of differences between neighbours and of values."""
    from scipy.sparse import diags_array, eye_array, kron

    ones = np.ones(SIDE)
    line = 2.0 * ones
    line[[0, -1]] = 1.0
    along = diags_array([line, -ones[1:], -ones[1:]], offsets=[0, 1, -1])
    one = eye_array(SIDE)
    cube = kron(kron(along, one), one) + kron(kron(one, along), one) + kron(kron(one, one), along)
    return SMOOTHNESS * cube + PULL * eye_array(SIDE**3)
