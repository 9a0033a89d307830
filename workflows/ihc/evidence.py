"""What a marker's score rests on: the counted cells of one slide and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ...quantify import Flag, HotSpot, Interval, bootstrap_index_interval
from ..slides.maps import FieldMap
from ..slides.plan import SlidePlan
from ..slides.stained_area import StainedArea
from ..slides.tally import Tally

if TYPE_CHECKING:
    import shapely

    from ..slides.tumour_region import TumourRegion

__all__ = ["Evidence"]


@dataclass(frozen=True)
class Evidence:
    """Everything that was found on one slide."""

    plan: SlidePlan
    """Tissue, colours, detector."""
    tally: Tally
    """The cells."""
    fields: FieldMap
    """Positive and assessed cells per field."""
    hot_spot: HotSpot | None
    """Where the index is highest, for markers that ask for it."""
    missing_mm2: float
    """Tissue that could not be read or worked on."""
    region: TumourRegion | None = None
    """The user's outline of the tumour."""
    cells: Path | None = None
    """The judged cells, ``cells.parquet``."""
    stained: StainedArea | None = None
    """Stained area, for markers that ask for it."""
    notes: tuple[str, ...] = ()
    """Further flags, such as of the laboratory's profile."""

    @property
    def field_interval(self) -> Interval | None:
        """Interval of the index from drawing fields anew: nuclei of one place are alike."""
        held = self.fields.counted > 0
        return bootstrap_index_interval(self.fields.positive[held], self.fields.counted[held])

    @property
    def tumour_outline(self) -> shapely.MultiPolygon | None:
        """Where the tumour lies as a whole, level-0 px; None where nobody outlined it."""
        return None if self.region is None else self.region.outline

    @property
    def areas_mm2(self) -> dict[str, float]:
        """Areas of tissue, assessed tissue, the user's region and what is missing, mm2."""
        areas = self.plan.areas_mm2()
        if self.region is not None:
            areas["tumour region"] = self.region.area_mm2(self.plan.tissue)
        return areas | ({"missing": self.missing_mm2} if self.missing_mm2 > 0 else {})

    @property
    def flags(self) -> tuple[str, ...]:
        """What a reader must know of the slide and of how tumour was told from the rest."""
        flags: list[str] = [*self.plan.flags]
        if self.region is not None:
            flags += [Flag.TUMOUR_BY_ANNOTATION, *self.region.flags]
        if self.plan.detector.tumour_threshold is not None:
            flags.append(Flag.TUMOUR_BY_MODEL)
        elif self.region is None:
            flags.append(Flag.TUMOUR_NOT_SEPARATED)
        if self.plan.slide.mpp is not None:
            flags.append("RESOLUTION_BY_USER")
        return (*flags, *self.notes)
