"""The pathologist's hand: a slide's report made again from cells that were corrected in QuPath."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import RunFolderError, SettingsError, SlideNotFoundError
from ..quantify import Score
from ..tiling import write_json
from ..wsi import Slide, open_slide
from .ihc.correction import Correction
from .ihc.recipe import Recipe, read_recipe
from .rescoring import Rescoring, ScoreChange, describe_edits
from .runs.inputs import SlideInput
from .runs.run_folder import slides_to_retry
from .slides.added_cells import measure_added_cells
from .slides.cell_edits import CellEdits, ClassNames, read_cell_edits
from .slides.cell_file import FURTHER_COLUMNS
from .slides.correct_cells import BY_HAND, DrawnRegion, EditCounts, correct_cells, read_cell_ids
from .slides.drawn_region import read_drawn_region
from .slides.plan import SlidePlan, load_plan

if TYPE_CHECKING:
    import pyarrow as pa

    from .ihc.workflow import IhcWorkflow
    from .slides.tumour_region import TumourRegion

__all__ = ["Rescoring", "rescore_slide"]

CHANGES_FILE = "changes.json"
DEFAULT_FOLDER = "rescored"
"""Folder of the corrected results in that of the slide."""


def rescore_slide(
    run: str | Path,
    *,
    edits: str | Path,
    slide: str | None = None,
    out: str | Path | None = None,
    partial: bool = False,
) -> Rescoring:
    """Score a slide of a run again, from its cells as they were corrected in QuPath.

    The pathologist opens the slide in QuPath, drops ``cells.geojson.gz`` on it, deletes, reclassifies or
    draws cells, outlines tissue by annotations with a class, and exports all objects as GeoJSON. Cells are
    recognised by their ids. The run itself stays as it is; edits always refer to the run, so an export made
    later in the same QuPath project holds the earlier edits too.

    Parameters
    ----------
    run : str or Path
        Results folder of the run.
    edits : str or Path
        What QuPath exported, ``.geojson`` or ``.geojson.gz``.
    slide : str, optional
        Id of the slide; not needed where the run has one slide, or the name of ``edits`` holds the id.
    out : str or Path, optional
        Folder for the corrected results, ``rescored`` in the slide's folder by default. Earlier corrected
        results there are replaced.
    partial : bool
        Whether ``edits`` may hold no more than the changed cells; the others are then left as they are, and
        none can be deleted.

    Returns
    -------
    Rescoring
        What was changed, and by how much that changed the scores; the same as ``changes.json``.

    Raises
    ------
    RunFolderError
        If the run, or what it keeps of the slide, is not there or incomplete.
    SlideNotFoundError
        If the slide's file or ``edits`` is gone.
    SettingsError
        If it is not clear which slide is meant, or the file is another one now.
    InvalidTableError, RegionError
        If ``edits`` does not fit the run, or cannot be understood.
    """
    run, edits = Path(run), Path(edits)
    chosen = _choose_slide(slides_to_retry(run), edits, slide)
    case = _Case.load(run / "slides" / chosen.slide_id, chosen)
    target = case.folder / DEFAULT_FOLDER if out is None else Path(out)
    _check_target(target, run=run, folder=case.folder)
    with (
        open_slide(chosen.path, mpp=chosen.mpp, salvage=True) as opened,
        _fresh_folder(target) as place,
    ):
        rescoring = _Rescorer(case, opened, edits, partial).rescore(place, target)
        write_json(place / CHANGES_FILE, rescoring.to_json())
    return rescoring


@dataclass(frozen=True)
class _Case:
    """A slide of the run with what was kept of it."""

    folder: Path
    plan: SlidePlan
    recipe: Recipe
    record: dict[str, Any]
    """Its report."""

    @classmethod
    def load(cls, folder: Path, slide: SlideInput) -> _Case:
        """Read it, and make sure that it is whole and that the slide is still the same."""
        for name in ("report.json", "qc.json", "cells.parquet"):
            if not (folder / name).is_file():
                raise RunFolderError(
                    f"{folder} holds no {name}: the slide failed, or the run is not finished",
                    "Run the same command again into the same folder.",
                )
        recipe = read_recipe(folder / "work")
        key = json.loads((folder / "qc.json").read_text(encoding="utf-8"))["plan"]
        place = folder / "work" / f"plan-{key}"
        if not (place / "plan.json").is_file():
            raise RunFolderError(
                f"the plan of the slide, {place}, is gone", "Run the same command again into the same folder."
            )
        if not slide.path.exists():
            raise SlideNotFoundError(
                f"the slide's file {slide.path} is gone", "Put it back: pictures and added cells need it."
            )
        plan = replace(load_plan(place), slide=slide)
        with open_slide(slide.path, mpp=slide.mpp, salvage=True) as opened:
            if opened.fingerprint != plan.fingerprint:
                raise SettingsError(
                    f"{slide.path.name} is not the file that was scored", "Put that file back, or run again."
                )
        record = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        return cls(folder, plan, recipe, record)


@dataclass(frozen=True)
class _Rescorer:
    """Makes the corrections and the report."""

    case: _Case
    slide: Slide
    edits: Path
    partial: bool

    def rescore(self, place: Path, out: Path) -> Rescoring:
        """Write corrected cells and everything that is said of them into a folder."""
        case = self.case
        workflow = case.recipe.workflow(case.plan.detector)
        region, drawn, counts = self._correct(workflow, place / "cells.parquet")
        before = tuple(Score.from_json(score) for score in case.record["scores"])
        with self.edits.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        workflow.report(
            place,
            case.plan,
            region=region,
            missing_mm2=case.record["areas_mm2"].get("missing", 0.0),
            correction=Correction(
                settings=case.record["provenance"]["settings"],
                before=before,
                changes=describe_edits(counts),
                edits={"file": self.edits.name, "sha256": digest},
            ),
        )
        record = json.loads((place / "report.json").read_text(encoding="utf-8"))
        return Rescoring(
            slide=case.plan.slide.slide_id,
            out=out,
            edits_file=self.edits.name,
            edits_sha256=digest,
            partial=self.partial,
            counts=counts,
            classes=_pairs(*(_by_class(each) for each in (case.record, record))),
            excluded=_pairs(case.record["excluded"], record["excluded"]),
            scores=_score_changes(before, tuple(Score.from_json(score) for score in record["scores"])),
            region_drawn=drawn is not None,
        )

    def _correct(
        self, workflow: IhcWorkflow, target: Path
    ) -> tuple[TumourRegion | None, DrawnRegion | None, EditCounts]:
        """Write the corrected cells; returns the tumour's outline, what was drawn, and the edits."""
        cells, plan, slide = self.case.folder / "cells.parquet", self.case.plan, self.slide
        classes = workflow.rule(plan.detector).classes
        origin = (float(slide.bounds.x), float(slide.bounds.y))
        edits = read_cell_edits(
            self.edits,
            read_cell_ids(cells),
            names=ClassNames(classes),
            origin=origin,
            mpp=plan.level0_mpp,
            partial=self.partial,
        )
        region, drawn, by_tumour = self.case.recipe.region(), None, False
        if edits.regions:
            found, by_tumour = read_drawn_region(
                edits.regions, slide, name=self.edits.name, mpp=plan.level0_mpp, earlier=region
            )
            drawn = DrawnRegion(found) if by_tumour else DrawnRegion(found, BY_HAND)
            region = found if by_tumour else None
        counts = correct_cells(
            cells,
            target,
            edits=edits,
            classes=classes,
            drawn=None if by_tumour and workflow.counts_outside else drawn,
            added=self._added(edits, workflow, cells),
            partial=self.partial,
        )
        return region, drawn, counts

    def _added(self, edits: CellEdits, workflow: IhcWorkflow, cells: Path) -> pa.Table | None:
        """Measure the cells that were drawn."""
        if not edits.drawn:
            return None
        import pyarrow.parquet as pq

        names = pq.read_schema(cells).names
        return measure_added_cells(
            self.slide,
            edits.drawn,
            plan=self.case.plan,
            classes=workflow.rule(self.case.plan.detector).classes,
            further=[name for name in FURTHER_COLUMNS if name in names],
        )


def _choose_slide(slides: list[SlideInput], edits: Path, asked: str | None) -> SlideInput:
    """Return the slide that is meant: by its id, as the only one, or by the name of the corrected file."""
    by_id = {each.slide_id: each for each in slides}
    if asked is not None and asked in by_id:
        return by_id[asked]
    known = ", ".join(sorted(by_id)[:20]) + (" ..." if len(by_id) > 20 else "")
    if asked is not None:
        raise SettingsError(f"the run has no slide {asked}", f"Give one of {known} with --slide.")
    if len(slides) == 1:
        return slides[0]
    named = [each for each in by_id if each in edits.name]
    longest = [each for each in named if not any(each != other and each in other for other in named)]
    if len(longest) == 1:
        return by_id[longest[0]]
    raise SettingsError(
        f"the run has {len(slides)} slides, and {edits.name} does not say which is meant",
        f"Give one of {known} with --slide.",
    )


def _check_target(target: Path, *, run: Path, folder: Path) -> None:
    """Refuse to write over anything but earlier corrected results."""
    kept = {place.resolve() for place in (run, run / "slides", folder, folder / "work")}
    is_ours = (target / CHANGES_FILE).is_file() or (target.is_dir() and not any(target.iterdir()))
    if target.resolve() in kept or (target.exists() and not is_ours):
        raise RunFolderError(
            f"{target} exists and holds no corrected results", "Give a new or empty folder with --out."
        )


@contextmanager
def _fresh_folder(target: Path) -> Iterator[Path]:
    """Give a folder beside ``target`` that takes its place when the block ends well; else nothing is left."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Both names are those of leftovers, should the process be killed.
        made, old = (
            Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent)) for _ in "12"
        )
    except OSError as error:
        raise RunFolderError(
            f"cannot write into {target.parent}: {error.strerror}", "Give another folder with --out."
        ) from error
    try:
        made.chmod(0o755)  # mkdtemp makes folders private; results are read by others
        yield made
        if target.exists():
            target.replace(old / target.name)
        made.replace(target)
    finally:
        shutil.rmtree(made, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _by_class(record: Mapping[str, Any]) -> dict[str, int]:
    """Return the counted cells of each class."""
    return {each["name"]: each["count"] for each in record["classes"]}


def _pairs(before: Mapping[str, int], after: Mapping[str, int]) -> dict[str, tuple[int, int]]:
    """Return both numbers of each name."""
    return {name: (before.get(name, 0), after.get(name, 0)) for name in {**before, **after}}


def _score_changes(before: tuple[Score, ...], after: tuple[Score, ...]) -> tuple[ScoreChange, ...]:
    """Return the scores that both reports have."""
    earlier = {score.name: score for score in before}
    return tuple(ScoreChange(earlier[score.name], score) for score in after if score.name in earlier)
