"""The folder of a run: whether it may be used, and ``run.json``, the only file that holds times."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ...errors import RunFolderError
from ...tiling import write_json
from .inputs import SlideInput
from .provenance import describe_software
from .workflow import RunOptions, SlideOutcome, Workflow

__all__ = ["open_folder", "result_hash", "slides_to_retry", "write_run_file"]

RUN_FILE = "run.json"


def slides_to_retry(out: Path, *, mpp: float | None = None) -> list[SlideInput]:
    """List the slides of an earlier run, so that running them again takes up those that failed.

    Parameters
    ----------
    out : Path
        The earlier run's folder.
    mpp : float, optional
        um per level-0 pixel for the slides that failed; the others keep what they had.

    Returns
    -------
    list of SlideInput
        All slides of that run: those with a whole result are found finished and not worked on again.

    Raises
    ------
    RunFolderError
        If the folder holds no run.
    """
    path = out / RUN_FILE
    if not path.is_file():
        raise RunFolderError(
            f"{out} holds no earlier run", "Name the folder that an earlier run has written."
        )
    slides = []
    for row in json.loads(path.read_text(encoding="utf-8"))["slides"]:
        has_failed = row.get("failures", 1) > 0
        slides.append(SlideInput(Path(row["path"]), row["id"], mpp if has_failed and mpp else row["mpp"]))
    return slides


def open_folder(workflow: Workflow, options: RunOptions) -> None:
    """Check that the results folder is new, empty or an earlier run of the same workflow."""
    out = options.out
    if out.exists() and not out.is_dir():
        raise RunFolderError(f"{out} is a file", "Give a folder with --out.")
    run_file = out / RUN_FILE
    if run_file.is_file():
        earlier = json.loads(run_file.read_text(encoding="utf-8")).get("workflow")
        if earlier != workflow.name and not options.overwrite:
            raise RunFolderError(
                f"{out} holds a run of {earlier}, not of {workflow.name}",
                "Give another folder with --out, or --overwrite to throw that run away.",
            )
        if options.overwrite:
            shutil.rmtree(out / "slides", ignore_errors=True)
    elif out.is_dir() and any(out.iterdir()):
        raise RunFolderError(
            f"{out} is not empty and holds no slidelab run", "Give a new or empty folder with --out."
        )
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunFolderError(
            f"cannot make the folder {out}: {error.strerror}", "Give another --out."
        ) from error


def write_run_file(
    workflow: Workflow,
    options: RunOptions,
    slides: Sequence[SlideInput],
    *,
    status: str,
    extra: dict[str, Any],
    outcomes: tuple[SlideOutcome, ...] = (),
) -> None:
    """Write ``run.json``: the only file of a run that holds times and machine facts."""
    by_id = {outcome.slide.slide_id: outcome for outcome in outcomes}
    rows = []
    for slide in slides:
        row: dict[str, Any] = {"id": slide.slide_id, "path": str(slide.path), "mpp": slide.mpp}
        if outcome := by_id.get(slide.slide_id):
            seconds = {phase: round(value, 3) for phase, value in outcome.seconds.items()}
            row |= {"status": outcome.status, "failures": len(outcome.failures), "seconds": seconds}
        rows.append(row)
    value = {
        "workflow": workflow.name,
        "status": status,
        "software": describe_software(),
        "settings": workflow.settings(),
        **extra,
        "slides": rows,
    }
    write_json(options.out / RUN_FILE, value)


def result_hash(out: Path, outcomes: Iterable[SlideOutcome]) -> str:
    """Digest of all results, equal for equal results whatever the workers and interruptions."""
    digest = hashlib.sha256()
    for outcome in sorted(outcomes, key=lambda each: each.slide.slide_id):
        for name in ("report.json", "cells.parquet"):
            path = out / "slides" / outcome.slide.slide_id / name
            if outcome.record and path.is_file():
                with path.open("rb") as stream:
                    digest.update(hashlib.file_digest(stream, "sha256").digest())
    return digest.hexdigest()
