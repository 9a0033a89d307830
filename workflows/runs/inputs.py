"""What the user named on the command line, turned into a list of slides with ids."""

from __future__ import annotations

import csv
import glob
import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ...errors import SettingsError, SlideNotFoundError

__all__ = ["SlideInput", "find_slides"]

SLIDE_SUFFIXES = frozenset(
    {".svs", ".tif", ".tiff", ".ndpi", ".mrxs", ".vms", ".vmu", ".scn", ".bif", ".svslide", ".czi", ".qptiff"}
    | {".dcm", ".png", ".jpg", ".jpeg", ".bmp"}
)
"""Files of a folder that are taken for slides; a file named outright is always tried."""
COMPANION_INDEXES = frozenset({".vms", ".vmu"})
"""Formats whose pixels lie in JPEG files beside the index: there the JPEGs are no slides of their own."""


@dataclass(frozen=True)
class SlideInput:
    """One slide to work on."""

    path: Path
    """The file, or the folder of a DICOM series."""
    slide_id: str
    """Name of its folder in the results: letters, digits, dot, dash and underscore only."""
    mpp: float | None = None
    """The user's um per level-0 pixel, from ``--mpp`` or a CSV."""


def find_slides(sources: Iterable[str | Path], *, mpp: float | None = None) -> list[SlideInput]:
    """List the slides that files, folders, globs and CSV lists stand for.

    Parameters
    ----------
    sources : iterable of str or Path
        Files; folders, searched with all their subfolders (a folder of nothing but ``.dcm`` files is one
        DICOM slide); glob patterns; CSV files with a column ``path`` and optionally ``mpp`` and ``id``.
    mpp : float, optional
        um per level-0 pixel for every slide to which a CSV gives none.

    Returns
    -------
    list of SlideInput
        In the order given, each file once, each with an id of its own.

    Raises
    ------
    SlideNotFoundError
        If a source does not exist or holds no slide.
    SettingsError
        If a CSV list is malformed.
    """
    found: dict[Path, SlideInput] = {}
    for source in sources:
        for slide in _expand(str(source)):
            if slide.mpp is None:
                slide = replace(slide, mpp=mpp)
            found.setdefault(slide.path.resolve(), slide)
    return _with_unique_ids(list(found.values()))


def _expand(source: str) -> list[SlideInput]:
    """Expand one source."""
    path = Path(source)
    if path.is_dir():
        slides = _search(path)
        if not slides:
            raise SlideNotFoundError(
                f"no slides in the folder {source}",
                f"Name the files outright, or use one of {' '.join(sorted(SLIDE_SUFFIXES))}.",
            )
        return [_named(each) for each in slides]
    if path.is_file():
        return _read_list(path) if path.suffix.lower() == ".csv" else [_named(path)]
    matches = sorted(glob.glob(source, recursive=True)) if glob.has_magic(source) else []  # noqa: PTH207 -- absolute patterns
    if not matches:
        raise SlideNotFoundError(f"no such file or folder: {source}", "Check the path and the spelling.")
    return [slide for match in matches for slide in _expand(match)]


def _search(folder: Path) -> list[Path]:
    """Find the slides in a folder and below, in the order of their names."""
    entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    files = [entry for entry in entries if entry.is_file()]
    suffixes = {entry.suffix.lower() for entry in files}
    slides: list[Path] = []
    if suffixes == {".dcm"} and len(files) > 1:
        slides.append(folder)
    else:
        wanted = COMPANION_INDEXES if suffixes & COMPANION_INDEXES else SLIDE_SUFFIXES
        slides.extend(entry for entry in files if entry.suffix.lower() in wanted)
    for entry in entries:
        if entry.is_dir():
            slides.extend(_search(entry))
    return slides


def _read_list(path: Path) -> list[SlideInput]:
    """Read a CSV list; relative paths are relative to the list."""
    with path.open(newline="", encoding="utf-8-sig") as stream:
        rows = csv.DictReader(stream)
        if "path" not in (rows.fieldnames or ()):
            raise SettingsError(
                f"the slide list {path} has no column 'path'",
                "Its first line must name the columns: path,mpp,id",
            )
        return [_list_row(path, number, row) for number, row in enumerate(rows, start=2)]


def _list_row(path: Path, number: int, row: dict[str, str | None]) -> SlideInput:
    """Turn one line of a list into a slide. A missing file is found out, and reported, when it is opened."""
    name = (row.get("path") or "").strip()
    if not name:
        raise SettingsError(f"line {number} of {path} names no slide", "Fill in the column 'path'.")
    text = (row.get("mpp") or "").strip()
    try:
        mpp = float(text) if text else None
    except ValueError as error:
        raise SettingsError(
            f"line {number} of {path}: mpp {text!r} is no number", "Give um per pixel, such as 0.25."
        ) from error
    slide = _named(path.parent / name)
    chosen = (row.get("id") or "").strip()
    return replace(slide, mpp=mpp, slide_id=safe_name(chosen) if chosen else slide.slide_id)


def _named(path: Path) -> SlideInput:
    """Name a slide after its file."""
    return SlideInput(path, safe_name(path.name if path.is_dir() else path.stem))


def safe_name(text: str) -> str:
    """Return a name that is harmless in any path: other characters become underscores."""
    return re.sub(r"[^A-Za-z0-9._-]+", "_", text).strip("._") or "slide"


def _with_unique_ids(slides: Sequence[SlideInput]) -> list[SlideInput]:
    """Add a digest of the path to ids that occur more than once.

    The digest, unlike a running number, stays the same when slides are added to the folder later.
    """
    times = Counter(slide.slide_id.lower() for slide in slides)
    return [
        slide
        if times[slide.slide_id.lower()] == 1
        else replace(slide, slide_id=f"{slide.slide_id}-{_digest(slide)}")
        for slide in slides
    ]


def _digest(slide: SlideInput) -> str:
    """Six hexadecimal digits of the slide's full path."""
    return hashlib.sha256(str(slide.path.resolve()).encode()).hexdigest()[:6]
