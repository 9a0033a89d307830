"""The hot spot: of all windows of the 500 nearest tumour nuclei, the one with the highest index."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..errors import SettingsError
from .fields import check_cells
from .interval import wilson_interval
from .score import Interval
from .windows import Nuclei, Window, bounded_groups

HOT_SPOT_COUNT = 500
"""Nuclei per window (IKWG and WHO count 500)."""
HOT_SPOT_MAX_RADIUS_UM = 500.0
"""Largest radius of a window, um: a project rule, for 500 nuclei spread wider are no spot."""


@dataclass(frozen=True, slots=True)
class HotSpot:
    """The window of nearest nuclei with the highest index."""

    x_um: float
    """Centre: a tumour nucleus, um."""
    y_um: float
    radius_um: float
    """Distance to the farthest nucleus of the window, um."""
    positive: int
    total: int
    """Nuclei in the window: the count that was asked for."""

    @property
    def negative(self) -> int:
        """Unstained nuclei of the window."""
        return self.total - self.positive

    @property
    def index(self) -> float:
        """Labelling index, percent."""
        return 100 * self.positive / self.total

    @property
    def interval(self) -> Interval:
        """Wilson interval in percent; it does not allow for having picked the maximum."""
        return wilson_interval(self.positive, self.total).times(100)


def find_hot_spot(
    x_um: ArrayLike,
    y_um: ArrayLike,
    positive: ArrayLike,
    *,
    count: int = HOT_SPOT_COUNT,
    max_radius_um: float = HOT_SPOT_MAX_RADIUS_UM,
    workers: int = -1,
) -> HotSpot | None:
    """Find the window of nearest tumour nuclei with the highest labelling index.

    Every tumour nucleus is a candidate centre. Its window is the ``count`` nuclei nearest to it, itself
    included; the radius is the distance to the last of them. Windows wider than ``max_radius_um`` are out.

    Parameters
    ----------
    x_um, y_um : (N,) array
        Tumour nuclei, um, in any order and from any origin.
    positive : (N,) array of bool
        Whether each is stained.
    count : int
        Nuclei per window.
    max_radius_um : float
        Largest radius, um; a window of exactly this radius is still in.
    workers : int
        Threads of the neighbour searches; -1 = all cores. The result does not depend on it.

    Returns
    -------
    HotSpot or None
        None with fewer than ``count`` nuclei, or if no window is small enough.

    Raises
    ------
    InvalidTableError
        If the columns differ in length, hold NaN, or ``positive`` is not true/false.
    SettingsError
        If ``count`` or ``max_radius_um`` is not positive.

    Notes
    -----
    Ties. Where several nuclei lie at exactly the distance of the last one, unstained ones are taken first:
    the window always holds ``count`` nuclei, depends on neither order nor orientation, and errs downward,
    against the upward bias of a maximum. Of windows with equal index the one with the smaller radius wins,
    then the smaller y, then the smaller x.

    Method. Neighbouring centres are grouped (leaves of a k-d tree). If c is the middle of a group, d its
    reach and r the distance from c to its ``count``-th nearest nucleus, every member's radius lies within
    r ± d, so its window holds all of the disc (c, r - 2d) and nothing outside the disc (c, r + 2d). The
    stained nuclei of the large disc and the unstained ones of the small disc bound the index. Groups are
    searched from the best bound down, until no bound can beat the best window found. The result is that of
    the full search; memory grows with N only. Uneven staining, as in tissue, is searched several times
    faster than uniform staining.
    """
    if count < 1 or not max_radius_um > 0:
        raise SettingsError(
            f"a hot spot of {count} nuclei within {max_radius_um} um",
            "Both must be positive; 500 and 500 are usual.",
        )
    x, y, stained = check_cells(x_um, y_um, positive)
    if x.size < count:
        return None
    nuclei = Nuclei.build(
        np.column_stack((x, y)), stained, count=count, max_radius=max_radius_um, workers=workers
    )
    groups = bounded_groups(nuclei)
    best: Window | None = None
    for group in groups.promising(max_radius_um):
        if best is not None and groups.most_positive[group] < best.positive:
            break
        if best is not None and not groups.may_beat(group, best):
            continue
        for window in nuclei.windows(groups.members(group), groups.centre[group], reach=groups.outer[group]):
            if best is None or window.rank < best.rank:
                best = window
    if best is None:
        return None
    return HotSpot(best.x, best.y, best.radius, positive=best.positive, total=count)
