"""Calibration for a laboratory: from a finished run of its own slides to a profile of its thresholds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from ..errors import SettingsError
from ..quantify import (
    THRESHOLD_NAMES,
    ReferencePoint,
    StainedSlide,
    ThresholdFit,
    fit_controls,
    fit_reference,
)
from .calibration_lists import read_controls, read_reference
from .calibration_run import FinishedRun
from .lab_profile import LabEvidence, LabProfile, LabThresholds, marker_id
from .report.flag_advice import explain
from .runs.provenance import package_version
from .slides.tally import THRESHOLDS

__all__ = ["Calibration", "calibrate_run"]

SCORE_WORDS = {"percent": "percent positive", "h_score": "H-score"}
"""Reference scores in words."""


@dataclass(frozen=True, eq=False)
class Calibration:
    """A profile, and all that shows what it rests on."""

    profile: LabProfile
    fit: ThresholdFit
    slides: tuple[StainedSlide, ...]
    """Strengths that tell stained cells from unstained ones."""
    graded: tuple[StainedSlide, ...]
    """Strengths that tell moderate and strong; the same for nuclear markers."""
    levels: Mapping[str, str]
    """Level by slide, of controls."""
    points: tuple[ReferencePoint, ...]
    """Scores by slide, of a reference."""

    def to_text(self) -> str:
        """Return thresholds, errors and warnings for a terminal."""
        profile = self.profile
        where = "membrane" if profile.detector.membranes else "nucleus"
        what = "control slides" if self.levels else "slides with reference scores"
        lines = [
            f"{profile.identity}: thresholds for {profile.marker}, DAB OD (base 10) of the {where}",
            f"fitted to {self.fit.slides} {what}, {self.fit.cells:,} cells, found by {profile.detector.name} "
            f"{profile.detector.version} at {profile.detector.mpp:g} um per px",
            "",
            f"{'threshold':<18}{'OD':>6}   95 % interval",
        ]
        for name, value in zip(THRESHOLD_NAMES, profile.bins.edges, strict=True):
            lines.append(f"{name:<18}{value:>6.2f}   {self._interval_words(name)}")
        unit = "cells on the wrong side, %" if self.levels else "mean absolute error, points"
        lines += ["", f"{unit:<28}{'fitted':>10}{'left out':>10}{'start':>10}", *self._error_lines()]
        lines += [
            "",
            "left out: each slide judged with thresholds fitted to the others; expect this of new slides",
            "start: with the start values of slidelab",
        ]
        for note in map(explain, self.fit.flags):
            lines += ["", f"! {note.words} {note.advice}"]
        return "\n".join(lines)

    def _interval_words(self, name: str) -> str:
        """Return the interval of a threshold, or why there is none."""
        if name not in self.fit.fitted:
            return "start value, not fitted"
        interval = self.fit.intervals.get(name)
        return "none: one slide only" if interval is None else f"{interval.low:.2f}-{interval.high:.2f}"

    def _error_lines(self) -> list[str]:
        """Return the errors, a line per threshold or score."""
        kinds = dict.fromkeys(name.rsplit("_fitted", 1)[0] for name in self.fit.errors if "_fitted" in name)
        lines = []
        for kind in kinds:
            shown = [self.fit.errors.get(f"{kind}_{way}") for way in ("fitted", "left_out", "start")]
            words = "".join(f"{'-' if value is None else f'{value:.1f}':>10}" for value in shown)
            lines.append(f"{SCORE_WORDS.get(kind, kind):<28}{words}")
        return lines

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values: the profile, and what was found of each slide."""
        slides = [
            {"slide": each.slide, "cells": each.cells, "level": self.levels.get(each.slide)}
            for each in self.slides
        ]
        scores = [
            {
                "slide": point.slide,
                "score": point.score,
                "reference": point.reference,
                "fitted": point.fitted,
                "left_out": point.left_out,
            }
            for point in self.points
        ]
        return {"profile": self.profile.to_json(), "slides": slides, "scores": scores}

    def picture(self) -> bytes:
        """Return the picture of the fit as a PNG file: equal input, equal bytes."""
        from .calibration_chart import draw_calibration

        return draw_calibration(self)

    def write(self, path: str | Path, *, overwrite: bool = False) -> Path:
        """Write the profile, and its picture beside it as ``.png``; returns the profile's path.

        Raises
        ------
        SettingsError
            If the file is there and holds another profile.
        """
        from ..tiling import atomic_file

        place = self.profile.write(path, overwrite=overwrite)
        with atomic_file(place.with_suffix(".png")) as temporary:
            temporary.write_bytes(self.picture())
        return place


def calibrate_run(
    run: str | Path,
    *,
    name: str,
    marker: str | None = None,
    controls: str | Path | None = None,
    reference: str | Path | None = None,
    version: int = 1,
    created: date | None = None,
) -> Calibration:
    """Fit a laboratory's thresholds to the cells of a finished run; no pixel is read again.

    Parameters
    ----------
    run : str or Path
        Folder of the run that scored the control or reference slides.
    name : str
        Of the profile: laboratory, marker, clone.
    marker : str, optional
        To make sure that the run is of this marker.
    controls : str or Path, optional
        CSV with the columns ``slide`` and ``level``.
    reference : str or Path, optional
        CSV with the column ``slide`` and ``percent``, ``h_score`` or both. Give this or ``controls``.
    version : int
        Of the profile; raise it with each calibration.
    created : date, optional
        Today by default.

    Returns
    -------
    Calibration

    Raises
    ------
    SettingsError
        If the run is of another marker, not exactly one list is given, or control levels overlap too much.
    RunFolderError
        If the run, or a slide of the list, has no whole result.
    InvalidTableError
        If a list is malformed or holds too little.
    """
    finished = FinishedRun.open(Path(run))
    if marker is not None and marker_id(marker) != finished.marker:
        raise SettingsError(
            f"{run} is a run of {finished.marker}, not of {marker}", "Give the marker's own run."
        )
    if (controls is None) == (reference is None):
        raise SettingsError(
            "a calibration needs either control slides or reference scores",
            "Give --controls or --reference, one of them.",
        )
    detector = finished.detector
    if controls is not None:
        levels = read_controls(Path(controls), slides=finished.names())
        slides = finished.positive_strengths(levels)
        fit = fit_controls(
            slides, levels=levels, thresholds=THRESHOLDS, regrade=_regrade(finished, list(levels))
        )
        points: tuple[ReferencePoint, ...] = ()
    else:
        scores = read_reference(Path(reference or ""), slides=finished.names())
        listed = sorted({slide for values in scores.values() for slide in values})
        levels, slides = {}, finished.positive_strengths(listed)
        found = fit_reference(
            slides, scores=scores, thresholds=THRESHOLDS, regrade=_regrade(finished, listed)
        )
        fit, points = found.fit, found.points
    names = [each.slide for each in slides]
    profile = LabProfile(
        name=name.strip(),
        version=version,
        created=created or date.today(),
        marker=finished.marker,
        thresholds=_thresholds(fit),
        detector=detector,
        evidence=LabEvidence(
            method="controls" if levels else "reference",
            slides=fit.slides,
            cells=fit.cells,
            run_sha256=finished.result_hash(names),
            slidelab=package_version("slidelab"),
            flags=fit.flags,
            errors=fit.errors,
        ),
    )
    graded = finished.graded_strengths(names, weak=fit.bins.weak) if finished.by_membrane else slides
    return Calibration(profile, fit, tuple(slides), tuple(graded), levels, points)


def _regrade(run: FinishedRun, slides: Sequence[str]) -> Any:
    """Return what grades membranes once the weak threshold is known; None for nuclei, which need no more."""
    if not run.by_membrane:
        return None

    def regrade(weak: float) -> list[StainedSlide]:
        return run.graded_strengths(slides, weak=weak)

    return regrade


def _thresholds(fit: ThresholdFit) -> LabThresholds:
    """Return the thresholds as the profile holds them."""
    weak, moderate, strong = fit.bins.edges
    intervals = {name: (interval.low, interval.high) for name, interval in fit.intervals.items()}
    return LabThresholds(weak, moderate, strong, fit.fitted, intervals)
