"""Holds a finished run against a laboratory's reference readings and writes how far they agree."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from ..errors import RunFolderError
from ..quantify import BOOTSTRAP_DRAWS, BOOTSTRAP_SEED, round_half_up
from ..tiling import atomic_file, write_json
from .report.agreement import Estimate
from .report.agreement_chart import draw_agreement
from .report.cohort_report import FAILED, FAILED_WORDS
from .report.flag_advice import describe_status
from .report.record import RESEARCH_USE
from .report.reference_table import ReferenceTable, read_reference
from .report.run_comparison import Comparison, Joined, Readers, compare_readers, compare_run, join_slides
from .report.run_values import RunValue, RunValues, read_run
from .report.write import page_environment

__all__ = ["RunValidation", "validate_run"]

FORMAT = "slidelab.run-validation/1"
"""Name and version of the layout of ``validation.json``."""
DASH = "\N{EM DASH}"


@dataclass(frozen=True, eq=False)
class RunValidation:
    """A run beside its reference."""

    run: RunValues
    reference: ReferenceTable
    reference_name: str
    """File name of the reference, without folders."""
    reference_sha256: str
    joined: Joined
    comparisons: tuple[Comparison, ...]
    """The consensus of several readers first."""
    readers: Readers | None
    """None with one reader."""
    cutoffs_source: str
    """``user``, ``categories of the run``, or ``none``."""
    page: Path
    """The report that was written."""

    def to_json(self) -> dict[str, Any]:
        """Return what ``validation.json`` holds."""
        joined = self.joined
        return {
            "format": FORMAT,
            "workflow": self.run.workflow,
            "score": self.run.score,
            "unit": self.run.unit,
            "result_sha256": self.run.result_sha256,
            "reference": {
                "file": self.reference_name,
                "sha256": self.reference_sha256,
                "readers": list(joined.readers),
                "ignored_columns": list(self.reference.ignored_columns),
            },
            "independent_unit": "slides" if joined.patients is None else "patients",
            "bootstrap": {"draws": BOOTSTRAP_DRAWS, "seed": BOOTSTRAP_SEED, "level": 0.95},
            "counts": {
                "in_run": len(self.run.slides),
                "in_reference": len(self.reference.slides),
                "compared": len(joined.compared),
                "apart": len(joined.apart),
                "only_in_run": len(joined.only_in_run),
                "only_in_reference": len(joined.only_in_reference),
            },
            "category_order": {
                "names": list(joined.order.names),
                "is_known": joined.order.is_known,
                "source": joined.order.source,
            },
            "cutoffs_source": self.cutoffs_source,
            "comparisons": [comparison.to_json() for comparison in self.comparisons],
            "readers": None if self.readers is None else self.readers.to_json(),
            "slides": [self._line(slide) for slide in joined.compared],
            "apart": [self._line(slide) for slide in joined.apart],
            "only_in_run": list(joined.only_in_run),
            "only_in_reference": list(joined.only_in_reference),
            "methods": self._methods(),
            "research_use": RESEARCH_USE,
        }

    def to_text(self) -> str:
        """Return the main figures, a line each."""
        lines = [
            f"{self.run.score}: {len(self.joined.compared)} slides compared, {len(self.joined.apart)} apart"
        ]
        for comparison in self.comparisons:
            lines.append(f"{comparison.reader} ({len(comparison.slides)} slides)")
            figures = dict(comparison.values.estimates) if comparison.values else {}
            if comparison.categories:
                figures |= comparison.categories.estimates
            lines += [f"  {NAMES[name]:<28} {_plain(made)}" for name, made in figures.items()]
            for cutoff, accuracy in comparison.cutoffs.items():
                lines.append(f"  {f'sensitivity at {cutoff:g}':<28} {_plain(accuracy.sensitivity)}")
                lines.append(f"  {f'specificity at {cutoff:g}':<28} {_plain(accuracy.specificity)}")
        return "\n".join([*lines, f"report: {self.page}"])

    def _line(self, slide: RunValue) -> dict[str, Any]:
        """Return a slide beside all that was read of it."""
        joined = self.joined
        return {
            "slide": slide.slide,
            "patient": None if joined.patients is None else joined.patients[slide.slide],
            "status": slide.status,
            "value": slide.value,
            "category": slide.category,
            "report": slide.report,
            "readings": {
                reader: {
                    "value": joined.values[reader].get(slide.slide),
                    "category": joined.categories[reader].get(slide.slide),
                }
                for reader in joined.readers
            },
        }

    def _methods(self) -> list[str]:
        """Return how the figures were made, a sentence each."""
        noun = "slides" if self.joined.patients is None else "patients"
        said = [
            "Slides were joined by id. Slides that failed, rest on too little evidence or cannot be assessed "
            "are listed apart and were not compared.",
            f"Intervals are at 95 %, by {BOOTSTRAP_DRAWS:,} bootstrap draws of whole {noun} with seed "
            f"{BOOTSTRAP_SEED}; those of sensitivity, specificity and equal categories are Wilson's.",
            "ICC(2,1): two-way random effects, absolute agreement, single readings (Shrout and Fleiss 1979). "
            "Concordance: Lin 1989, variances over n. Limits of agreement: bias ± 1.96 standard deviations "
            "(Bland and Altman 1986). Words for kappa: Landis and Koch 1977.",
            "At a cut-off a slide is positive if its value is at or above it, in run and reference alike. "
            "Sensitivity is the share of the reference's positives that the run finds, specificity the share "
            "of its negatives.",
        ]
        if self.joined.patients is None:
            said.append(
                "The reference names no patients; if some have several slides, the intervals are too narrow."
            )
        if self.readers is not None:
            said.append(
                "Consensus: the mean of the values of those who read a slide, and the category that most of "
                "them gave; without one such category a slide is left out."
            )
        if self.joined.order.source == "values of the run":
            said.append("Categories were put in order by the median value that the run gave them.")
        return said


NAMES = {
    "icc": "ICC(2,1)",
    "concordance": "Lin's concordance",
    "bias": "bias",
    "lower_limit": "lower limit of agreement",
    "upper_limit": "upper limit of agreement",
    "mean_absolute_error": "mean absolute error",
    "exact": "equal categories",
    "kappa": "kappa",
    "linear_kappa": "kappa, linear weights",
    "quadratic_kappa": "kappa, quadratic weights",
}
"""Words for the figures."""


def validate_run(
    run: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    out: str | os.PathLike[str] | None = None,
    cutoffs: Sequence[float] = (),
    allow_unmatched: bool = False,
) -> RunValidation:
    """Compare a finished run with reference readings; write ``validation.html`` and ``validation.json``.

    Parameters
    ----------
    run : str or path
        Folder of a finished run.
    reference : str or path
        CSV list with columns ``slide``, ``value`` and/or ``category``, optionally ``patient`` and ``reader``.
    out : str or path, optional
        Folder to write into; default: the run's.
    cutoffs : sequence of float
        Where sensitivity and specificity are given, in the score's unit; default: the upper ends of the
        run's categories, where it has some.
    allow_unmatched : bool
        Compare the slides that run and reference share and list the others, instead of refusing.

    Returns
    -------
    RunValidation

    Raises
    ------
    RunFolderError
        If the folder holds no finished run, or ``out`` cannot be written.
    SettingsError
        If the reference cannot be read.
    InvalidTableError
        If the reference breaks its schema or does not fit the run.

    Notes
    -----
    Equal runs and references give equal bytes.
    """
    folder, source = Path(run), Path(reference)
    values, table = read_run(folder), read_reference(source)
    joined = join_slides(values, table, allow_unmatched=allow_unmatched)
    ends = [upto for _, upto in values.bands if upto is not None]
    place = folder if out is None else Path(out)
    validation = RunValidation(
        run=values,
        reference=table,
        reference_name=source.name,
        reference_sha256=hashlib.sha256(source.read_bytes()).hexdigest(),
        joined=joined,
        comparisons=tuple(compare_run(joined, cutoffs=cutoffs or ends)),
        readers=compare_readers(joined),
        cutoffs_source="user" if cutoffs else "categories of the run" if ends else "none",
        page=place / "validation.html",
    )
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot make the folder {place}: {error.strerror}", "Give another --out."
        ) from error
    _write(validation, place, reports=os.path.relpath(folder, place))
    return validation


def _write(validation: RunValidation, place: Path, *, reports: str) -> None:
    """Write both files from one record."""
    record = validation.to_json()
    write_json(place / "validation.json", record)
    page = page_environment().get_template("validation.html.j2")
    statuses = {line["status"] for line in (*record["slides"], *record["apart"])}
    text = page.render(
        record=record,
        names=NAMES,
        charts=[_chart(comparison, validation.run.unit) for comparison in validation.comparisons],
        words={name: FAILED_WORDS if name == FAILED else describe_status(name) for name in statuses},
        link=lambda report: quote(Path(reports, report).as_posix()) if report else "",
        shown=lambda value, places: DASH if value is None else str(round_half_up(value, places=places)),
        places=1 if validation.run.unit == "%" else 2,
    )
    with atomic_file(validation.page) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _chart(comparison: Comparison, unit: str) -> str | None:
    """Return the chart of a comparison as text that a page can hold; None without values."""
    if not len(comparison.pairs):
        return None
    picture = draw_agreement(
        comparison.pairs[:, 0], comparison.pairs[:, 1], unit=unit, cutoffs=list(comparison.cutoffs)
    )
    return f"data:image/png;base64,{base64.b64encode(picture).decode()}"


def _plain(made: Estimate) -> str:
    """Return a figure with its interval for a terminal."""
    if made.value is None:
        return "undefined"
    ends = made.interval and (round_half_up(end, places=3) for end in (made.interval.low, made.interval.high))
    text = str(round_half_up(made.value, places=3)) + (f" ({' to '.join(map(str, ends))})" if ends else "")
    return f"{text} {made.words}".rstrip()
