"""From landed tiles to the slide's table of judged cells, and from that to the counts of its scores."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...quantify import count_by_threshold
from ...tiling import QualityMap, ResultStore
from .cell_file import CellFileWriter, make_cell_ids, read_cells
from .cell_rule import NOT_TUMOUR, CellClass, CellRule, Role
from .plan import SlidePlan

if TYPE_CHECKING:
    import pyarrow as pa

    from .tumour_region import TumourRegion

__all__ = ["OUTSIDE_REGION", "THRESHOLDS", "CellJudge", "Tally", "judge_cells", "seam_density", "tally_cells"]

THRESHOLDS = np.round(np.arange(0.02, 1.0001, 0.01), 2)
"""Thresholds of the sensitivity curve, DAB OD (base 10)."""

OUTSIDE_REGION = "outside tumour region"
"""Why cells beside the user's outline do not count."""

SEAM_REACH_UM = 5.0
"""A cell whose centroid is this near to a border between tiles counts as lying at a seam."""


@dataclass
class Tally:
    """Counts of one slide."""

    classes: tuple[CellClass, ...]
    """Classes that cells may be of."""
    counted: list[tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.uint8]]] = field(
        default_factory=list
    )
    """x and y (um) and class of the cells that count, part by part: 17 bytes a cell."""
    excluded: dict[str, int] = field(default_factory=dict)
    """Cells left out, by reason."""
    by_threshold: NDArray[np.int64] = field(default_factory=lambda: np.zeros(len(THRESHOLDS) + 1, np.int64))
    """Cells of the headline's denominator between thresholds of their strength."""
    area_um2: NDArray[np.float64] = field(init=False)
    """Area inside the outlines of the cells that count, by class, um2; 0 unless it was asked for."""
    nuclear_area_um2: NDArray[np.float64] = field(init=False)
    """Area of their nuclei, by class, um2."""
    nuclear_root_um: NDArray[np.float64] = field(init=False)
    """Sum of the square roots of those areas, by class, um."""
    at_seam: int = 0
    """Cells near a border between tiles."""
    cells: int = 0
    """All cells."""

    def __post_init__(self) -> None:
        """Begin with nothing."""
        self.area_um2, self.nuclear_area_um2, self.nuclear_root_um = np.zeros((3, len(self.classes)))

    @property
    def x_um(self) -> NDArray[np.float64]:
        """Positions of all counted cells, um: (N,)."""
        return np.concatenate([part[0] for part in self.counted] or [np.empty(0)])

    @property
    def y_um(self) -> NDArray[np.float64]:
        """Positions of all counted cells, um: (N,)."""
        return np.concatenate([part[1] for part in self.counted] or [np.empty(0)])

    @property
    def code(self) -> NDArray[np.uint8]:
        """Class of each counted cell, an index into ``classes``: (N,)."""
        return np.concatenate([part[2] for part in self.counted] or [np.empty(0, np.uint8)])

    @property
    def by_class(self) -> dict[str, int]:
        """Counted cells by the name of their class; classes that do not count are left out."""
        numbers = np.bincount(self.code, minlength=len(self.classes))
        return {
            each.name: int(number)
            for each, number in zip(self.classes, numbers, strict=True)
            if each.role is not Role.OUT
        }

    def rim_area_um2(self, rim_um: float) -> NDArray[np.float64]:
        """Return the area of discs that are wider than the nuclei by a rim, by class, um2."""
        numbers = np.bincount(self.code, minlength=len(self.classes))
        # pi (r + rim)^2 with pi r^2 = area, summed over the cells.
        return np.asarray(
            self.nuclear_area_um2
            + 2 * rim_um * np.sqrt(np.pi) * self.nuclear_root_um
            + np.pi * rim_um**2 * numbers
        )

    def of_role(self, *roles: Role) -> NDArray[np.bool_]:
        """Tell which counted cells are of classes with one of these roles: (N,)."""
        return np.array([each.role in roles for each in self.classes])[self.code]


def judge_cells(
    plan: SlidePlan, store: ResultStore, tiles: Sequence[int], *, judge: CellJudge, path: Path
) -> None:
    """Judge the cells of the landed tiles and stream them into ``cells.parquet``.

    Parameters
    ----------
    plan : SlidePlan
        The slide's plan.
    store : ResultStore
        Where the tiles landed.
    tiles : sequence of int
        Tiles to take, in the order in which the file shall have them.
    judge : CellJudge
        What the cells are, and which of them count.
    path : Path
        The file to write.
    """
    with CellFileWriter(path, probabilities=plan.detector.probabilities) as writer:
        for index in tiles:
            table = store.read(index)
            if table.num_rows:
                writer.write(_finish_rows(table, plan, judge))


def _finish_rows(table: pa.Table, plan: SlidePlan, judge: CellJudge) -> pa.Table:
    """Add identity, label and reason of exclusion to a tile's cells."""
    import pyarrow as pa

    ids = make_cell_ids(plan.fingerprint, x=table["x"].to_numpy(), y=table["y"].to_numpy())
    code, reasons = judge(table)
    names = np.array([each.name for each in judge.rule.classes])
    return (
        table.append_column("cell_id", ids)
        .append_column("label", pa.array(names[code]))
        .append_column("excluded", pa.array(reasons, pa.string()))
    )


def tally_cells(path: Path, plan: SlidePlan, *, rule: CellRule, with_areas: bool = False) -> Tally:
    """Count the judged cells of a slide, in one stream.

    Parameters
    ----------
    path : Path
        ``cells.parquet``: what it says of a cell holds, whoever has judged or corrected it.
    plan : SlidePlan
        The slide's plan.
    rule : CellRule
        Names the classes, and tells how strongly cells are stained.
    with_areas : bool
        Measure the areas inside the outlines too; takes twenty times as long.
    """
    tally = Tally(rule.classes)
    columns = [
        "x",
        "y",
        "label",
        "excluded",
        *rule.columns,
        *(["geometry", "area_um2"] if with_areas else []),
    ]
    codes = {each.name: code for code, each in enumerate(rule.classes)}
    assessed = np.array([each.role in (Role.POSITIVE, Role.NEGATIVE) for each in rule.classes])
    for batch in read_cells(path, list(dict.fromkeys(columns))):
        label, excluded = (batch[name].dictionary_decode().to_pylist() for name in ("label", "excluded"))
        reasons = np.array(excluded, np.str_)
        for reason, number in zip(*np.unique(reasons[reasons != ""], return_counts=True), strict=True):
            tally.excluded[str(reason)] = tally.excluded.get(str(reason), 0) + int(number)
        counts = reasons == ""
        code = np.array([codes[name] for name in label], np.uint8)[counts]
        x, y = batch["x"].to_numpy(), batch["y"].to_numpy()
        tally.counted.append((x[counts] * plan.level0_mpp, y[counts] * plan.level0_mpp, code))
        strength = rule.strength(batch)[counts][assessed[code]]
        tally.by_threshold += count_by_threshold(strength, thresholds=THRESHOLDS.astype(np.float32))
        if with_areas:
            nuclei = batch["area_um2"].to_numpy()[counts].astype(np.float64)
            areas = _areas_um2(batch["geometry"], counts, mpp=plan.level0_mpp)
            for total, values in (
                (tally.area_um2, areas),
                (tally.nuclear_area_um2, nuclei),
                (tally.nuclear_root_um, np.sqrt(nuclei)),
            ):
                total += np.bincount(code, weights=values, minlength=len(rule.classes))
        tally.cells += len(x)
        apart = plan.grid.distance_to_seam(x / plan.downsample, y / plan.downsample) * plan.mpp
        tally.at_seam += int((apart <= SEAM_REACH_UM).sum())
    return tally


def _areas_um2(geometry: pa.Array, rows: NDArray[np.bool_], *, mpp: float) -> NDArray[np.float64]:
    """Return the areas inside some outlines, um2."""
    import pyarrow as pa
    import shapely

    outlines = geometry.filter(pa.array(rows)).to_numpy(zero_copy_only=False)
    return np.asarray(shapely.area(shapely.from_wkb(outlines)) * mpp**2)


@dataclass(frozen=True)
class CellJudge:
    """Judges landed cells: what they are, and why some of them do not count."""

    rule: CellRule
    """What they are."""
    quality: QualityMap
    """Where the slide is spoilt."""
    region: TumourRegion | None = None
    """Where cells count; None: everywhere."""

    def __call__(self, table: pa.Table) -> tuple[NDArray[np.uint8], NDArray[np.str_]]:
        """Return class, and why it does not count, "" where it does, of each cell: (N,) each.

        What spoils the slide at a cell comes before where it lies, and that before what it is.
        """
        x, y = table["x"].to_numpy(), table["y"].to_numpy()
        code = self.rule.judge(table)
        out = np.array([each.role is Role.OUT for each in self.rule.classes])[code]
        reasons = np.where(out, NOT_TUMOUR, "")
        if self.region is not None:
            reasons = np.where(self.region.covers(x, y), reasons, OUTSIDE_REGION)
        codes = self.quality.reason_at(x, y)
        spoilt = np.array(["", *self.quality.reasons[1:]])[codes]
        return code, np.where(codes == 0, reasons, spoilt)


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
