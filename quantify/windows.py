"""Windows of nearest nuclei, searched in groups of neighbouring centres with bounds on what each can hold."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_ROUNDING = 1e-9  # relative slack of every bound: far above rounding error, far below what could cost time
_BLOCK = 2_000_000  # distances held at once: 16 MB


@dataclass(frozen=True, slots=True)
class Window:
    """The best window of one batch of centres."""

    x: float
    y: float
    radius: float
    positive: int

    @property
    def rank(self) -> tuple[int, float, float, float]:
        """Sorts the hottest first, then by the rules for ties."""
        return (-self.positive, self.radius, self.y, self.x)


@dataclass(frozen=True, slots=True)
class Nuclei:
    """Nuclei in k-d trees: all, stained and unstained."""

    stained: NDArray[np.float64]
    """(P, 2) positions, x and y."""
    unstained: NDArray[np.float64]
    """(Q, 2)"""
    everywhere: NDArray[np.float64]
    """(U, 2) distinct positions: nuclei at one point share their window."""
    trees: tuple[Any, Any, Any]
    """Of all, stained and unstained nuclei."""
    count: int
    max_radius: float
    workers: int
    slack: float
    """Absolute rounding error that coordinates of this size may bring."""

    @classmethod
    def build(
        cls,
        points: NDArray[np.float64],
        stained: NDArray[np.bool_],
        *,
        count: int,
        max_radius: float,
        workers: int,
    ) -> Nuclei:
        """Index the nuclei."""
        from scipy.spatial import cKDTree

        order = np.lexsort((points[:, 0], points[:, 1]))
        points, stained = points[order], stained[order]
        is_new = np.ones(len(points), dtype=bool)
        is_new[1:] = (np.diff(points, axis=0) != 0).any(axis=1)
        sets = (points, points[stained], points[~stained])
        return cls(
            stained=sets[1],
            unstained=sets[2],
            everywhere=points[is_new],
            trees=tuple(cKDTree(part, balanced_tree=False) for part in sets),
            count=count,
            max_radius=max_radius,
            workers=workers,
            slack=64 * float(np.spacing(np.abs(points).max())),
        )

    def radius_at(self, centres: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the distance from each centre to its ``count``-th nearest nucleus, up to rounding."""
        distance, _ = self.trees[0].query(centres, k=[self.count], workers=self.workers)
        return np.asarray(distance, dtype=np.float64)[:, 0]

    def count_within(
        self, kind: int, centres: NDArray[np.float64], radius: NDArray[np.float64]
    ) -> NDArray[np.int64]:
        """Count the nuclei of a kind (1 stained, 2 unstained) in discs; a negative radius holds none."""
        held = self.trees[kind].query_ball_point(
            centres, np.maximum(radius, 0), return_length=True, workers=self.workers
        )
        return np.where(radius >= 0, np.asarray(held, dtype=np.int64), 0)

    def windows(
        self, centres: NDArray[np.float64], middle: NDArray[np.float64], *, reach: float
    ) -> Iterator[Window]:
        """Yield the best window of each batch of centres; the disc (middle, reach) holds all their nuclei."""
        stained = self.stained[self.trees[1].query_ball_point(middle, reach)]
        near = np.concatenate((stained, self.unstained[self.trees[2].query_ball_point(middle, reach)]))
        rows = max(1, _BLOCK // len(near))
        for start in range(0, len(centres), rows):
            best = self._best_window(centres[start : start + rows], near, stained=len(stained))
            if best is not None:
                yield best

    def _best_window(
        self, centres: NDArray[np.float64], near: NDArray[np.float64], *, stained: int
    ) -> Window | None:
        """Measure all pairs of centres and nuclei, of which the first ``stained`` are stained."""
        dx = centres[:, :1] - near[:, 0]
        dy = centres[:, 1:] - near[:, 1]
        squared = dx * dx + dy * dy
        last = np.partition(squared, self.count - 1, axis=1)[:, self.count - 1 : self.count]
        radius = np.sqrt(last[:, 0])
        # unstained nuclei on the rim come first: stained ones fill only what those leave of the count
        surely = np.count_nonzero(squared[:, :stained] < last, axis=1)
        unstained = np.count_nonzero(squared[:, stained:] <= last, axis=1)
        positive = np.maximum(surely, self.count - unstained)
        fits = np.flatnonzero(radius <= self.max_radius)
        if not fits.size:
            return None
        ranked = np.lexsort((centres[fits, 0], centres[fits, 1], radius[fits], -positive[fits]))
        winner = fits[ranked[0]]
        x, y = centres[winner].tolist()
        return Window(x, y, float(radius[winner]), int(positive[winner]))


@dataclass(frozen=True, slots=True)
class Groups:
    """Groups of neighbouring centres with bounds on their windows."""

    points: NDArray[np.float64]
    """(U, 2) centres, members of a group side by side."""
    start: NDArray[np.intp]
    end: NDArray[np.intp]
    centre: NDArray[np.float64]
    """(G, 2) middle of each group."""
    outer: NDArray[np.float64]
    """(G,) no window reaches farther from the middle."""
    least_radius: NDArray[np.float64]
    """(G,) no window has a smaller radius."""
    most_positive: NDArray[np.int64]
    """(G,) no window holds more stained nuclei."""

    def members(self, group: int) -> NDArray[np.float64]:
        """Return the (m, 2) centres of a group."""
        return self.points[self.start[group] : self.end[group]]

    def promising(self, max_radius: float) -> NDArray[np.intp]:
        """Return the groups that may hold a small enough window, best bound first."""
        order = np.lexsort((self.least_radius, -self.most_positive))
        return order[self.least_radius[order] <= max_radius]

    def may_beat(self, group: int, best: Window) -> bool:
        """Whether a member could have a higher index, or as high a one in a window no larger."""
        more = int(self.most_positive[group]) - best.positive
        return more > 0 or (more == 0 and float(self.least_radius[group]) <= best.radius)


def bounded_groups(nuclei: Nuclei) -> Groups:
    """Group the centres and bound their windows."""
    points, start, end = _leaves(nuclei.everywhere, size=max(1, nuclei.count // 12))
    centre, reach = _middles(points, start, end)
    radius = nuclei.radius_at(centre)
    # a group wide against its windows has useless bounds: its members go alone
    is_wide = (2 * reach > radius) & (end - start > 1)
    alone = np.repeat(is_wide, end - start).nonzero()[0]
    start = np.concatenate((start[~is_wide], alone))
    end = np.concatenate((end[~is_wide], alone + 1))
    centre = np.concatenate((centre[~is_wide], points[alone]))
    reach = np.concatenate((reach[~is_wide], np.zeros(alone.size)))
    radius = np.concatenate((radius[~is_wide], nuclei.radius_at(points[alone])))
    outer = (radius + 2 * reach) * (1 + _ROUNDING) + nuclei.slack
    inner = (radius - 2 * reach) * (1 - _ROUNDING) - nuclei.slack
    return Groups(
        points=points,
        start=start,
        end=end,
        centre=centre,
        outer=outer,
        least_radius=(radius - reach) * (1 - _ROUNDING) - nuclei.slack,
        most_positive=np.minimum(
            nuclei.count_within(1, centre, outer), nuclei.count - nuclei.count_within(2, centre, inner)
        ),
    )


def _leaves(
    points: NDArray[np.float64], *, size: int
) -> tuple[NDArray[np.float64], NDArray[np.intp], NDArray[np.intp]]:
    """Cut points into compact groups of at most ``size``: sorted points, first and last + 1 of each."""
    from scipy.spatial import cKDTree

    tree = cKDTree(points, leafsize=size, balanced_tree=False)
    stack, bounds = [tree.tree], []
    while stack:
        node = stack.pop()
        if node.lesser is None:
            bounds.append((node.start_idx, node.end_idx))
        else:
            stack += (node.lesser, node.greater)
    start, end = np.array(sorted(bounds), dtype=np.intp).T
    return points[tree.indices], start, end


def _middles(
    points: NDArray[np.float64], start: NDArray[np.intp], end: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the middle of each group's bounding box and the distance to its farthest member."""
    low, high = np.minimum.reduceat(points, start), np.maximum.reduceat(points, start)
    centre = low + (high - low) / 2
    offset = points - np.repeat(centre, end - start, axis=0)
    return centre, np.sqrt(np.maximum.reduceat((offset * offset).sum(axis=1), start))
