"""Which reader opens what, in plain lines.

1. A folder stands for its one DICOM series.
2. What OpenSlide recognises as a scanner's file is OpenSlide's, except that the tiles of plainly laid out
   TIFF files (Aperio, generic) are read natively: the same pixels, several times faster.
3. OME-TIFF, and TIFF files that OpenSlide does not know, are read natively if they are tiled, else whole.
4. PNG, JPEG, BMP and WebP are read whole.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ...errors import SlideNotFoundError, UnreadableSlideError
from ..reader import Reader

__all__ = ["ReaderInfo", "list_readers", "open_reader"]


@dataclass(frozen=True, slots=True)
class ReaderInfo:
    """A reader in one line."""

    name: str
    opens: str
    """What it opens, in words."""
    suffixes: tuple[str, ...]
    """Usual file name endings."""


READERS = (
    ReaderInfo(
        "native-tiff",
        "tiled TIFF: Aperio (JPEG, JPEG 2000), generic pyramids, OME-TIFF",
        (".svs", ".tif", ".tiff", ".ome.tif", ".ome.tiff"),
    ),
    ReaderInfo(
        "openslide",
        "every other scanner format that OpenSlide knows, and DICOM",
        (".ndpi", ".mrxs", ".vms", ".scn", ".bif", ".svslide", ".czi", ".dcm", ".tif", ".tiff"),
    ),
    ReaderInfo(
        "plain",
        "plain images, held whole in memory; need --mpp",
        (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff"),
    ),
)


def list_readers() -> tuple[ReaderInfo, ...]:
    """Return the readers in the order in which they are asked."""
    return READERS


def open_reader(path: Path) -> Reader:
    """Open a slide with the reader that fits its content.

    Raises
    ------
    SlideNotFoundError
        If there is no such file or folder.
    UnreadableSlideError
        If the file is damaged or no image.
    UnsupportedSlideError
        If it is a sound file of a kind that cannot be used.
    """
    from .dicom import pick_file
    from .sniff import content_of

    try:
        if not path.exists():
            raise SlideNotFoundError(f"there is no file {path}", "check the path")
        if path.is_dir():
            path = pick_file(path)
    except PermissionError as error:
        raise UnreadableSlideError(f"{path} may not be read", "check the permissions") from error
    content = content_of(path)
    if content == "TIFF":
        from .tiff_slide import open_tiff

        return open_tiff(path)
    return _open_other(path, content)


def _open_other(path: Path, content: str) -> Reader:
    """Open what is no TIFF file."""
    from .openslide_reader import OpenSlideReader, detect_vendor
    from .plain import open_plain_image
    from .sniff import check_name

    if detect_vendor(path) is not None:  # first, for a MIRAX slide's main file is a JPEG image
        return OpenSlideReader(path)
    if content:
        check_name(path, content)
        return open_plain_image(path, content=content)
    raise UnreadableSlideError(
        f"{path.name} is no slide or image of any known format",
        "check that the file is whole and that its companion folder, if it has one, lies beside it",
    )
