"""What a calibration takes from a finished run: how strongly the counted cells of its slides are stained."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RunFolderError, SettingsError
from ..quantify import IntensityBins, StainedSlide, count_strengths, judge_membranes, membrane_strength
from .lab_profile import MARKERS, LabDetector
from .runs.inputs import SlideInput
from .runs.run_folder import RUN_FILE, result_hash
from .runs.workflow import SlideOutcome
from .slides.cell_file import read_cells
from .slides.tally import THRESHOLDS

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["FinishedRun"]

MEMBRANE_MARKERS = ("her2", "pdl1")
"""Markers whose stain is read around the cell."""
BESIDE = ("Immune cells", "Other", "Stroma")
"""First part of the labels of cells that are not of the tumour but may be counted for another score."""
NOT_H_DAB = "STAIN_NOT_H_DAB"
"""Flag of slides whose densities say nothing."""


@dataclass(frozen=True)
class FinishedRun:
    """The folder of a run that is done."""

    folder: Path

    @classmethod
    def open(cls, folder: Path) -> FinishedRun:
        """Check that a folder holds a finished run of a marker that can be calibrated.

        Raises
        ------
        RunFolderError
            If it holds no run, or one that has not ended.
        SettingsError
            If the run is of something else.
        """
        run = cls(folder)
        if not (folder / RUN_FILE).is_file():
            raise RunFolderError(
                f"{folder} holds no run", "Score the slides first: slidelab score er SLIDES."
            )
        if run.facts.get("status") != "done":
            raise RunFolderError(
                f"the run in {folder} has not ended", "Run the same command again into the same folder."
            )
        if run.marker not in MARKERS:
            raise SettingsError(
                f"a run of {run.marker} cannot be calibrated", f"Give a run of: {', '.join(MARKERS)}."
            )
        return run

    @cached_property
    def facts(self) -> dict[str, Any]:
        """Content of ``run.json``."""
        value: dict[str, Any] = json.loads((self.folder / RUN_FILE).read_text(encoding="utf-8"))
        return value

    @property
    def marker(self) -> str:
        """Name of the workflow, such as ``er``."""
        return str(self.facts["workflow"])

    @property
    def by_membrane(self) -> bool:
        """Whether the marker stains membranes."""
        return self.marker in MEMBRANE_MARKERS

    @property
    def detector(self) -> LabDetector:
        """What found the cells, and at which resolution."""
        settings = self.facts["settings"]
        told = settings["detector"]
        membranes = f"{told['membranes']}, {told['expansion_um']:g} um" if "membranes" in told else ""
        return LabDetector(
            name=told["name"],
            version=str(told["version"]),
            sha256=told.get("sha256", ""),
            mpp=float(settings["plan"]["mpp"]),
            membranes=membranes,
        )

    def names(self) -> dict[str, str]:
        """Return the id of each slide by all names that a list may give it: id, file name, without suffix.

        A name that two slides share stands for neither.
        """
        found: dict[str, set[str]] = {}
        for row in self.facts["slides"]:
            path = Path(row["path"])
            for name in {row["id"], path.name, path.stem}:
                found.setdefault(name, set()).add(row["id"])
        names = {name: ids.pop() for name, ids in found.items() if len(ids) == 1}
        return names | {row["id"]: row["id"] for row in self.facts["slides"]}

    def result_hash(self, slides: Iterable[str]) -> str:
        """Return the digest of the results of some slides as they are now, corrections included."""
        outcomes = [SlideOutcome(SlideInput(Path(each), each), record={"id": each}) for each in slides]
        return result_hash(self.folder, outcomes)

    def positive_strengths(self, slides: Iterable[str]) -> list[StainedSlide]:
        """Return the strengths that tell stained cells from unstained ones.

        The mean density of nuclei; of membranes, the highest threshold at which they still count as stained.
        """
        return [self._count(each, None) for each in slides]

    def graded_strengths(self, slides: Iterable[str], *, weak: float) -> list[StainedSlide]:
        """Return the strengths that grade membranes: mean density of the stained directions, 0 if none."""
        return [self._count(each, weak) for each in slides]

    def _count(self, slide: str, weak: float | None) -> StainedSlide:
        """Count the cells of one slide between the thresholds of the grid."""
        folder = self.folder / "slides" / slide
        self._check(slide, folder)
        counts = np.zeros(len(THRESHOLDS) + 1, np.int64)
        for cells in _tumour_cells(folder / "cells.parquet", by_membrane=self.by_membrane):
            od = _membranes(cells, weak) if self.by_membrane else cells["dab_od_mean"].to_numpy()
            counts += count_strengths(od, thresholds=THRESHOLDS)
        return StainedSlide(slide, counts)

    def _check(self, slide: str, folder: Path) -> None:
        """Refuse a slide without a whole result, or of another stain."""
        row = next(row for row in self.facts["slides"] if row["id"] == slide)
        report = folder / "report.json"
        if row.get("failures", 1) or not (report.is_file() and (folder / "cells.parquet").is_file()):
            raise RunFolderError(
                f"the slide {slide} has no whole result",
                "Run again with --retry-failed, or leave the slide out of the list.",
            )
        if NOT_H_DAB in json.loads(report.read_text(encoding="utf-8"))["flags"]:
            raise SettingsError(
                f"the colours of the slide {slide} are not those of hematoxylin and DAB",
                "Leave the slide out of the list.",
            )


def _tumour_cells(path: Path, *, by_membrane: bool) -> Iterator[pa.RecordBatch]:
    """Yield the counted cells of the tumour, with what measures their stain."""
    import pyarrow as pa

    measured = ["membrane_od", "cytoplasm_dab_od_mean"] if by_membrane else ["dab_od_mean"]
    for batch in read_cells(path, ["label", "excluded", *measured]):
        label, excluded = (
            np.array(batch[name].dictionary_decode().to_pylist(), np.str_) for name in ("label", "excluded")
        )
        first = np.char.partition(label, ":")[:, 0] if len(label) else label
        yield batch.filter(pa.array((excluded == "") & ~np.isin(first, BESIDE)))


def _membranes(cells: pa.RecordBatch, weak: float | None) -> NDArray[np.floating[Any]]:
    """Return what tells membranes that are stained or, once the weak threshold is known, how strongly."""
    from .slides.membrane_rule import read_rings

    ring, cytoplasm = read_rings(cells)
    if weak is None:
        return membrane_strength(ring, cytoplasm)
    judged = judge_membranes(ring, cytoplasm, bins=IntensityBins(weak, weak + 0.5, weak + 1.0))
    return np.where(judged.stained, judged.intensity_od, 0.0)
