"""From landed tiles to the slide's table of cells and the counts that scores are made of, in one stream."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...quantify import count_by_threshold
from ...tiling import QualityMap, ResultStore
from .cell_file import CellFileWriter, make_cell_ids
from .nuclear_rule import NOT_TUMOUR, NuclearRule
from .plan import SlidePlan

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["THRESHOLDS", "Tally", "exclusions", "read_window", "seam_density", "tally_cells"]

THRESHOLDS = np.round(np.arange(0.02, 1.0001, 0.01), 2)
"""Thresholds of the sensitivity curve, DAB OD (base 10)."""

SEAM_REACH_UM = 5.0
"""A cell whose centroid is this near to a border between tiles counts as lying at a seam."""


@dataclass
class Tally:
    """Counts of one slide, filled tile by tile."""

    counted: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]] = field(
        default_factory=list
    )
    """x and y (um) and positivity of the cells that count, per tile: 17 bytes a cell."""
    excluded: dict[str, int] = field(default_factory=dict)
    """Cells left out, by reason."""
    by_threshold: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(THRESHOLDS) + 1, np.int64))
    """Counted cells between thresholds of DAB density."""
    at_seam: int = 0
    """Cells near a border between tiles."""
    cells: int = 0
    """All cells."""

    @property
    def x_um(self) -> NDArray[np.float64]:
        """Positions of all counted cells, um: (N,)."""
        return np.concatenate([part[0] for part in self.counted] or [np.empty(0)])

    @property
    def y_um(self) -> NDArray[np.float64]:
        """Positions of all counted cells, um: (N,)."""
        return np.concatenate([part[1] for part in self.counted] or [np.empty(0)])

    @property
    def positive(self) -> NDArray[np.bool_]:
        """Whether each counted cell is positive: (N,)."""
        return np.concatenate([part[2] for part in self.counted] or [np.empty(0, bool)])


def tally_cells(
    plan: SlidePlan,
    store: ResultStore,
    tiles: Sequence[int],
    *,
    rule: NuclearRule,
    path: Path,
) -> Tally:
    """Stream the landed tiles into ``cells.parquet`` and count on the way.

    Parameters
    ----------
    plan : SlidePlan
        The slide's plan.
    store : ResultStore
        Where the tiles landed.
    tiles : sequence of int
        Tiles to take, in the order in which the file shall have them.
    rule : NuclearRule
        Which nuclei count, and which of them are positive.
    path : Path
        The file to write.
    """
    tally, quality = Tally(), plan.quality
    with CellFileWriter(path, probabilities=plan.detector.probabilities) as writer:
        for index in tiles:
            table = store.read(index)
            if table.num_rows:
                writer.write(_finish_rows(table, plan, quality, rule=rule, tally=tally))
    return tally


def _finish_rows(
    table: pa.Table, plan: SlidePlan, quality: QualityMap, *, rule: NuclearRule, tally: Tally
) -> pa.Table:
    """Add identity, label and reason of exclusion to a tile's cells, and count them."""
    import pyarrow as pa

    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    dab = table["dab_od_mean"].to_numpy()
    positive = rule.positive(table)
    reasons = exclusions(table, quality, rule=rule)
    for reason, number in zip(*np.unique(reasons[reasons != ""], return_counts=True), strict=True):
        tally.excluded[str(reason)] = tally.excluded.get(str(reason), 0) + int(number)
    counts = reasons == ""
    tally.counted.append((x[counts] * plan.level0_mpp, y[counts] * plan.level0_mpp, positive[counts]))
    tally.by_threshold += count_by_threshold(dab[counts], thresholds=THRESHOLDS.astype(np.float32))
    tally.cells += len(x)
    apart = plan.grid.distance_to_seam(x / plan.downsample, y / plan.downsample) * plan.mpp
    tally.at_seam += int((apart <= SEAM_REACH_UM).sum())
    return (
        table.append_column("cell_id", make_cell_ids(plan.fingerprint, x=x, y=y))
        .append_column("label", pa.array(rule.labels(table)))
        .append_column("excluded", pa.array(reasons, pa.string()))
    )


def exclusions(table: pa.Table, quality: QualityMap, *, rule: NuclearRule) -> NDArray[np.str_]:
    """Say why each cell of a landed table does not count, "" where it does: (N,).

    What spoils the slide at a cell comes before what the cell is.
    """
    codes = quality.reason_at(table["x"].to_numpy(), table["y"].to_numpy())
    reasons = np.array(["", *quality.reasons[1:]])[codes]
    return np.where((codes == 0) & ~rule.tumour(table), NOT_TUMOUR, reasons)


def seam_density(plan: SlidePlan, tally: Tally) -> float | None:
    """Return the cell density at tile borders relative to that of the whole tissue; 1 means no seam.

    The tissue near borders is measured on the tissue mask. None where no border crosses tissue or fewer
    than 30 cells would be expected there.
    """
    mask, scale = plan.tissue.mask, plan.tissue.downsample / plan.downsample
    starts = [np.arange(size, dtype=np.float64) * np.float64(scale) for size in mask.shape]
    across = _share_at_seam(plan, starts[1], scale, axis=0)
    down = _share_at_seam(plan, starts[0], scale, axis=1)
    rows, columns = np.nonzero(mask)
    near = float((1.0 - (1.0 - across[columns]) * (1.0 - down[rows])).sum())
    expected = tally.cells * near / max(1, len(rows))
    return tally.at_seam / expected if expected >= 30 else None


def _share_at_seam(
    plan: SlidePlan, start: NDArray[np.float64], width: float, *, axis: int
) -> NDArray[np.float64]:
    """Return the share of each column (axis 0) or row (1) of mask pixels that lies near a seam."""
    steps = (np.arange(32) + 0.5) / 32 * width
    places = (start[:, None] + steps).ravel()
    middle = np.full(places.shape, plan.grid.core / 2)  # as far from the other axis' seams as can be
    points = (places, middle) if axis == 0 else (middle, places)
    apart = plan.grid.distance_to_seam(*points) * plan.mpp
    return np.asarray((apart <= SEAM_REACH_UM).reshape(len(start), -1).mean(axis=1), np.float64)


def read_window(
    store: ResultStore, plan: SlidePlan, *, x: float, y: float, side: float
) -> Iterator[pa.Table]:
    """Yield the landed tables of the tiles that a square of level-0 px touches."""
    grid, step = plan.grid, plan.downsample * plan.grid.core
    finished = store.finished()
    for row in range(max(0, int(y // step)), min(grid.rows - 1, int((y + side) // step)) + 1):
        for column in range(max(0, int(x // step)), min(grid.columns - 1, int((x + side) // step)) + 1):
            index = row * grid.columns + column
            if index in finished:
                yield store.read(index)
