"""What a file is by its first bytes, whatever its name says."""

from __future__ import annotations

from pathlib import Path

from ...errors import UnreadableSlideError, UnsupportedSlideError
from .tiff_tags import MAGIC as TIFF_MAGIC

__all__ = ["check_name", "content_of"]

HEAD_BYTES = 256

MAGICS = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"BM", "BMP"),
    *((magic, "TIFF") for magic in TIFF_MAGIC),
)

SUFFIXES = {
    "PNG": (".png",),
    "JPEG": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "BMP": (".bmp", ".dib"),
    "WebP": (".webp",),
}
"""Names under which plain images go."""


def content_of(path: Path) -> str:
    """Return ``"PNG"``, ``"JPEG"``, ``"BMP"``, ``"WebP"``, ``"TIFF"``, or ``""`` for anything else.

    Raises
    ------
    UnreadableSlideError
        If the file is empty or a placeholder for a file that was never downloaded.
    """
    try:
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
    except OSError as error:
        raise UnreadableSlideError(
            f"{path.name} cannot be read: {error.strerror}", "check the permissions and the disk"
        ) from error
    _refuse_placeholder(path, head)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    return next((content for magic, content in MAGICS if head.startswith(magic)), "")


def check_name(path: Path, content: str) -> None:
    """Raise UnsupportedSlideError if a plain image bears another format's name."""
    suffixes = SUFFIXES.get(content, ())
    if path.suffix and path.suffix.lower() not in suffixes:
        raise UnsupportedSlideError(
            f"{path.name}: the content is {content}, but the name says {path.suffix[1:].upper()}",
            f"rename it to {path.stem}{suffixes[0]} if that is meant, or export the slide again",
        )


def _refuse_placeholder(path: Path, head: bytes) -> None:
    """Complain about files that stand for another."""
    if not head:
        raise UnreadableSlideError(f"{path.name} is empty (0 bytes)", "copy it from the scanner again")
    if head.startswith(b"version https://git-lfs"):
        raise UnreadableSlideError(
            f"{path.name} is a Git LFS pointer, not the slide itself", "fetch the slide with: git lfs pull"
        )
    if head.lstrip().lower().startswith((b"<!doctype html", b"<html")):
        raise UnreadableSlideError(
            f"{path.name} is a web page, not a slide", "download it again; the server sent an error page"
        )
