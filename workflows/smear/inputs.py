"""What counts as one smear: a folder of field images, a slide, or an image named outright."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from ...errors import SettingsError, SlideNotFoundError
from ..runs.inputs import SLIDE_SUFFIXES, SlideInput, find_slides, safe_name

__all__ = ["field_images", "find_smears"]

FIELD_SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"})
"""Images of a folder that are taken for fields of view."""
LARGEST_FIELD_PX = 8192
"""A TIFF with a longer side is a slide: no camera on a microscope has so many pixels."""


def find_smears(sources: Iterable[str | Path], *, mpp: float | None = None) -> list[SlideInput]:
    """List the smears that files, folders, globs and CSV lists stand for.

    A folder's images are the fields of one smear, named after the folder; its subfolders are smears of their
    own. Whole-slide files, large TIFF files among them, are a smear each, and so is an image that is named
    outright.

    Parameters
    ----------
    sources : iterable of str or Path
        Folders, files, globs, or CSV lists with a column ``path`` (of folders or files), and optionally
        ``mpp`` and ``id``.
    mpp : float, optional
        um per pixel for every smear to which a CSV gives none.

    Returns
    -------
    list of SlideInput
        Each with an id of its own; ``path`` is the folder or the file.

    Raises
    ------
    SlideNotFoundError
        If a source does not exist or holds no image.
    SettingsError
        If a CSV list is malformed, or two smears would get the same name.
    """
    found: dict[Path, SlideInput] = {}
    for source in map(str, sources):
        path = Path(source)
        smears = list(_search(path)) if path.is_dir() else find_slides([source])
        if not smears:
            raise SlideNotFoundError(
                f"no field images and no slides in the folder {source}",
                f"Name the files outright, or use one of {' '.join(sorted(FIELD_SUFFIXES))}.",
            )
        for smear in smears:
            found.setdefault(smear.path.resolve(), replace(smear, mpp=smear.mpp or mpp))
    _refuse_twins(found.values())
    return list(found.values())


def field_images(path: Path) -> list[Path]:
    """Return the images of a smear: those of a folder, not of its subfolders, by name; or the file itself.

    Raises
    ------
    SlideNotFoundError
        If there is no such file or folder, or no image in it.
    """
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise SlideNotFoundError(f"no such file or folder: {path}", "Check the path and the spelling.")
    images = [entry for entry in _files(path) if _is_field(entry)]
    if not images:
        raise SlideNotFoundError(
            f"no field images in {path.name}", f"Use one of {' '.join(sorted(FIELD_SUFFIXES))}."
        )
    return images


def _search(folder: Path) -> Iterator[SlideInput]:
    """Yield the smears of a folder and of those below."""
    files = _files(folder)
    fields = [each for each in files if _is_field(each)]
    if fields:
        yield SlideInput(folder, safe_name(folder.resolve().name))
    for each in files:
        if each not in fields and each.suffix.lower() in SLIDE_SUFFIXES:
            yield SlideInput(each, safe_name(each.stem))
    for entry in sorted(folder.iterdir()):
        if entry.is_dir() and not entry.name.startswith("."):
            yield from _search(entry)


def _files(folder: Path) -> list[Path]:
    """Return the visible files of a folder by name."""
    return sorted(each for each in folder.iterdir() if each.is_file() and not each.name.startswith("."))


def _is_field(path: Path) -> bool:
    """Tell an image of one field from a slide; what cannot be read is a field that will be told as broken."""
    if path.suffix.lower() not in FIELD_SUFFIXES:
        return False
    if path.suffix.lower() not in (".tif", ".tiff"):
        return True
    import tifffile

    try:
        with tifffile.TiffFile(path) as file:
            return max(file.pages.first.shape[:2]) <= LARGEST_FIELD_PX
    except (OSError, ValueError, IndexError, tifffile.TiffFileError):
        return True


def _refuse_twins(smears: Iterable[SlideInput]) -> None:
    """Refuse two smears of one name: their results would lie in one folder."""
    seen: dict[str, Path] = {}
    for smear in smears:
        other = seen.setdefault(smear.slide_id.lower(), smear.path)
        if other != smear.path:
            raise SettingsError(
                f"{other} and {smear.path} would both be named {smear.slide_id}",
                "Rename a folder, or give ids in a CSV list.",
            )
