"""What a pathologist changed: an export of QuPath held against the cells of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError
from .cell_rule import OTHER, CellClass, Role
from .geojson_stream import class_of, kind_of, read_features
from .tumour_region import Kind

if TYPE_CHECKING:
    import shapely

__all__ = ["IGNORED", "MISSING", "CellEdits", "ClassNames", "DrawnCell", "read_cell_edits"]

IGNORED = -1
"""In place of a class: the cell is not to be counted."""
MISSING = -2
"""In place of a class: the file does not hold the cell."""

CELL_KINDS = frozenset({"detection", "cell"})
"""QuPath's types of objects that are cells."""
POINT_RADIUS_UM = 4.0
"""A cell marked by a point is measured in a disc of this radius, um: a small nucleus."""
CELL_AREA_UM2 = (2.0, 3000.0)
"""Smallest and largest outline that is taken for one cell, um2."""
MOST_DRAWN = 100_000
"""With more unknown objects the file is of another run: nobody draws so many by hand."""
LOOKED_UP_TOGETHER = 256
"""Objects sorted at once; more of them alive would keep the garbage collector busy."""


@dataclass(frozen=True)
class ClassNames:
    """The names by which QuPath may call the classes of a marker."""

    classes: tuple[CellClass, ...]
    """Classes of the marker."""

    def code(self, name: str) -> int | None:
        """Return which class a name stands for, `IGNORED`, or None if nobody knows.

        A derived class counts by its last part (``Tumor: Positive`` is ``Positive``), unless its first part
        names other tissue; such a name, also alone, stands for cells that do not count. Names that end with
        an asterisk are ignored, as in QuPath, and so are cells whose class was taken away.
        """
        codes = {_plain(each.name): number for number, each in enumerate(self.classes)}
        if (exact := codes.get(_plain(name))) is not None:
            return exact
        parts = name.split(":")
        if not name or any(part.rstrip().endswith("*") for part in parts):
            return IGNORED
        kind = Kind.of(name)
        if kind is Kind.VOID:
            return IGNORED
        if kind is Kind.TISSUE:
            own = {_plain(each.name.split(":")[0]) for each in self.classes}
            return None if _plain(parts[0]) in own else codes.get(_plain(OTHER.name))
        return codes.get(_plain(parts[-1])) if len(parts) > 1 else None

    def counts(self, name: str) -> bool:
        """Tell whether a name stands for a class of cells that count."""
        code = self.code(name)
        return code is not None and code >= 0 and self.classes[code].role is not Role.OUT


@dataclass(frozen=True, slots=True, eq=False)
class DrawnCell:
    """A cell that the run did not have."""

    cell_id: str
    """Its name in QuPath, "" if it has none."""
    code: int
    """Its class, an index into those of the marker."""
    outline: shapely.Polygon
    """Level-0 px."""


@dataclass(frozen=True, eq=False)
class CellEdits:
    """What a file says of the cells of a run."""

    codes: NDArray[np.int16]
    """Class of each cell of the run in the order of its file: an index, `IGNORED` or `MISSING`."""
    drawn: tuple[DrawnCell, ...]
    """Cells that the run did not have."""
    regions: tuple[dict[str, Any], ...]
    """Annotations whose class says what tissue they hold, as features of GeoJSON."""

    @property
    def matched(self) -> int:
        """Cells of the run that the file holds."""
        return int((self.codes != MISSING).sum())


def read_cell_edits(
    path: str | Path,
    ids: NDArray[np.bytes_],
    *,
    names: ClassNames,
    origin: tuple[float, float],
    mpp: float,
    partial: bool = False,
) -> CellEdits:
    """Read what QuPath exported and find the cells of a run in it.

    Parameters
    ----------
    path : str or Path
        GeoJSON of all objects, plain or gzipped.
    ids : (N,) array of 36 bytes
        Names of the run's cells, in the order of their file.
    names : ClassNames
        Classes of the marker.
    origin : (float, float)
        ``openslide.bounds-x`` and ``-y``, level-0 px, or zeros: where QuPath counts from.
    mpp : float
        um per level-0 px.
    partial : bool
        Whether the file may hold no more than the cells that were changed.

    Raises
    ------
    InvalidTableError
        If the file is not of this run or not whole, holds a cell twice with two classes, or classes or
        drawn cells that cannot be understood.
    """
    path = Path(path)
    reader = _Reader(ids, names)
    pending: list[dict[str, Any]] = []
    for feature in read_features(path):
        pending.append(feature)
        if len(pending) == LOOKED_UP_TOGETHER:
            reader.take(pending)
            pending = []
    reader.take(pending)
    reader.check_whole(path.name, partial=partial)
    reader.check_classes(path.name)
    try:
        drawn = tuple(
            DrawnCell(_name(feature), code, outline)
            for feature, code in reader.drawn
            for outline in _outlines(feature, origin, mpp=mpp)
        )
    except InvalidTableError as error:
        raise InvalidTableError(f"{path.name}: {error.what}", error.advice) from error
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise InvalidTableError(
            f"{path.name} holds a drawn cell whose outline makes no sense ({type(error).__name__})",
            "Delete or redraw the cells that were added, and export again.",
        ) from error
    return CellEdits(reader.codes, drawn, tuple(reader.regions))


class _Reader:
    """Sorts the objects of a file into cells of the run, drawn cells and regions."""

    def __init__(self, ids: NDArray[np.bytes_], names: ClassNames) -> None:
        self.names = names
        self.codes = np.full(len(ids), MISSING, np.int16)
        self.drawn: list[tuple[dict[str, Any], int]] = []
        self.regions: list[dict[str, Any]] = []
        self.strangers = 0
        self.unknown: dict[str, int] = {}
        self.twice = 0
        self._order = np.argsort(ids)
        self._sorted = ids[self._order]
        self._known: dict[str, int | None] = {}

    def take(self, features: Sequence[dict[str, Any]]) -> None:
        """Sort some objects."""
        cells = [each for each in features if kind_of(each) in CELL_KINDS]
        for feature, place in zip(cells, self._places(cells).tolist(), strict=True):
            self._take_cell(feature, place)
        for feature in features:
            if kind_of(feature) == "annotation":
                self._take_annotation(feature)

    def check_whole(self, file: str, *, partial: bool) -> None:
        """Refuse a file of another run, or one from which cells are missing that nobody deleted."""
        found, expected = int((self.codes != MISSING).sum()), len(self.codes)
        if self.twice:
            raise InvalidTableError(
                f"{file} holds {self.twice} cells twice, with different classes",
                "Delete the copies in QuPath (Objects > Delete > Delete duplicate objects), export again.",
            )
        if partial and not found and self.strangers:
            raise InvalidTableError(
                f"none of the {self.strangers} cells in {file} is of this run",
                "Name the run and slide from which they were exported.",
            )
        if not partial and 2 * found < expected:
            raise InvalidTableError(
                f"{file} holds {found} of {expected} cells of this slide",
                "Export all objects; or give --partial if only the named objects were changed.",
            )
        if self.strangers > MOST_DRAWN:
            raise InvalidTableError(
                f"{file} holds {self.strangers} cells that the run does not have",
                "Export the cells of this run, not those of another detection.",
            )

    def check_classes(self, file: str) -> None:
        """Refuse classes that the marker does not have: a cell must not lose its class silently."""
        if not self.unknown:
            return
        found = ", ".join(f"{name or 'unclassified'} ({self.unknown[name]})" for name in sorted(self.unknown))
        known = ", ".join(each.name for each in self.names.classes)
        raise InvalidTableError(
            f"{file} has cells of unknown classes: {found}",
            f"Known are {known} and Ignore*; set one of them.",
        )

    def _places(self, cells: Sequence[Mapping[str, Any]]) -> NDArray[np.int64]:
        """Return where in the run's file each cell stands, -1 for those it does not have."""
        asked = np.array([_name(each) for each in cells]).astype("S36") if cells else np.empty(0, "S36")
        if not len(self._sorted):
            return np.full(len(asked), -1)
        near = np.minimum(np.searchsorted(self._sorted, asked), len(self._sorted) - 1)
        return np.where(self._sorted[near] == asked, self._order[near], -1)

    def _take_cell(self, feature: dict[str, Any], place: int) -> None:
        """Note the class of a cell of the run, or an added cell."""
        name = class_of(feature)
        if name not in self._known:
            self._known[name] = self.names.code(name)
        code = self._known[name]
        if place < 0:
            self.strangers += 1
            if not name:
                code = None  # a cell that somebody added and forgot to classify
        if code is None:
            self.unknown[name] = self.unknown.get(name, 0) + 1
        elif place < 0:
            if code != IGNORED and len(self.drawn) < MOST_DRAWN:
                self.drawn.append((feature, code))
        else:
            self.twice += self.codes[place] not in (MISSING, code)
            self.codes[place] = code

    def _take_annotation(self, feature: dict[str, Any]) -> None:
        """Note a region, or a cell that was drawn with a tool for annotations."""
        name = class_of(feature)
        code = self.names.code(name)
        if code is not None and self.names.counts(name) and (":" in name or Kind.of(name) is Kind.NEUTRAL):
            self.drawn.append((feature, code))
        elif name and Kind.of(name) is not Kind.NEUTRAL:
            self.regions.append(feature)


def _name(feature: Mapping[str, Any]) -> str:
    """Return an object's UUID in small letters, "" if it has none."""
    name = str(feature.get("id") or "").lower()
    return name if len(name) == 36 and name.isascii() else ""


def _plain(name: str) -> str:
    """Return a name as it is compared: letter case and British spelling aside."""
    return ":".join(part.strip() for part in name.casefold().replace("tumour", "tumor").split(":"))


def _outlines(
    feature: Mapping[str, Any], origin: tuple[float, float], *, mpp: float
) -> list[shapely.Polygon]:
    """Return the outlines of drawn cells, level-0 px: one of a polygon, one around each point."""
    import shapely

    shape = shapely.geometry.shape(feature["geometry"])
    parts = shapely.get_parts(shapely.transform(shapely.force_2d(shape), lambda xy: xy + np.array(origin)))
    outlines = []
    for part in parts:
        outline = part.buffer(POINT_RADIUS_UM / mpp, quad_segs=8) if part.geom_type == "Point" else part
        if outline.geom_type != "Polygon":
            raise _bad_drawing(f"a {part.geom_type}")
        sound = [each for each in shapely.get_parts(shapely.make_valid(outline)) if each.area > 0]
        largest = max(sound, key=lambda each: each.area, default=None)
        area = 0.0 if largest is None else float(largest.area) * mpp**2
        if largest is None or not CELL_AREA_UM2[0] <= area <= CELL_AREA_UM2[1] or not math.isfinite(area):
            raise _bad_drawing(f"{area:.0f} um2 large")
        outlines.append(shapely.Polygon(largest.exterior))
    return outlines


def _bad_drawing(what: str) -> InvalidTableError:
    """Say that something drawn is no cell."""
    low, high = CELL_AREA_UM2
    return InvalidTableError(
        f"a drawn cell is {what}",
        f"Outline cells one by one ({low:.0f}-{high:.0f} um2) or mark them by points; regions are Tumor.",
    )
