"""Finds the files of a DICOM slide; the pixels are OpenSlide's business."""

from __future__ import annotations

import struct
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from ...errors import UnreadableSlideError, UnsupportedSlideError

__all__ = ["check_ends", "find_series", "is_dicom", "pick_file"]

SERIES_INSTANCE_UID = (0x0020, 0x000E)
TRANSFER_SYNTAX_UID = (0x0002, 0x0010)
COMPRESSED = ("1.2.840.10008.1.2.4.", "1.2.840.10008.1.2.5")
"""Transfer syntaxes whose frames are a sequence with an end mark: JPEG and its kin, RLE."""

END_OF_FRAMES = b"\xfe\xff\xdd\xe0\0\0\0\0"
"""Sequence delimitation item."""

TAIL_BYTES = 1 << 16
"""How far before the end of a file the end of its frames may lie: padding and signatures come after."""

HEAD_BYTES = 1 << 16
"""How much of a file is searched; the series is named before the pixels."""

LONG_LENGTH = (b"OB", b"OW", b"OF", b"OD", b"OL", b"OV", b"SQ", b"UC", b"UR", b"UT", b"UN", b"SV", b"UV")
"""Value representations whose length takes 4 bytes after 2 reserved ones."""

UNDEFINED = 0xFFFFFFFF


def is_dicom(path: Path) -> bool:
    """Whether a file carries the mark of DICOM."""
    try:
        return path.is_file() and _head(path)[128:132] == b"DICM"
    except OSError:
        return False


def pick_file(folder: Path) -> Path:
    """Return a file of the one DICOM series that a folder holds.

    Raises
    ------
    UnreadableSlideError
        If it holds no DICOM file.
    UnsupportedSlideError
        If it holds several series.
    """
    series: dict[str | None, list[Path]] = defaultdict(list)
    for path in sorted(folder.iterdir()):
        if is_dicom(path):
            series[_series_uid(path)].append(path)
    if len(series) > 1:
        series.pop(None, None)  # a DICOMDIR lists the others and is no slide
    if not series:
        raise UnreadableSlideError(
            f"{folder.name} is a folder without DICOM files", "give the slide file itself (.svs, .mrxs, ...)"
        )
    if len(series) > 1:
        names = ", ".join(files[0].name for files in list(series.values())[:3])
        raise UnsupportedSlideError(
            f"{folder.name} holds {len(series)} DICOM series",
            f"give one file of the series you mean: {names}",
        )
    return next(iter(series.values()))[0]


def find_series(path: Path) -> tuple[Path, ...]:
    """Return all files of the series of ``path`` in its folder, in order of their names."""
    uid = _series_uid(path)
    if uid is None:
        return (path,)
    siblings = (file for file in sorted(path.parent.iterdir()) if is_dicom(file))
    return tuple(file for file in siblings if file == path or _series_uid(file) == uid)


def check_ends(paths: Iterable[Path]) -> None:
    """Raise UnreadableSlideError for a file of compressed frames that ends before its frames do."""
    for path in paths:
        size = path.stat().st_size
        with path.open("rb") as file:
            head = file.read(HEAD_BYTES)
            file.seek(max(0, size - TAIL_BYTES))
            tail = file.read()
        syntax = _find(head, TRANSFER_SYNTAX_UID) or ""
        if syntax.startswith(COMPRESSED) and END_OF_FRAMES not in tail:
            raise UnreadableSlideError(
                f"{path.name} is cut short at {size} bytes: its frames have no end",
                "copy it from the scanner or archive again; the transfer did not finish",
            )


def _head(path: Path) -> bytes:
    """Return the first bytes of a file."""
    with path.open("rb") as file:
        return file.read(HEAD_BYTES)


def _series_uid(path: Path) -> str | None:
    """Return SeriesInstanceUID, or None where it is not found."""
    return _find(_head(path), SERIES_INSTANCE_UID)


def _find(data: bytes, tag: tuple[int, int]) -> str | None:
    """Return a text near the start of a file, or None (explicit little endian only)."""
    place = 132
    while place + 12 <= len(data):
        group, element = struct.unpack_from("<HH", data, place)
        kind = data[place + 4 : place + 6]
        if kind in LONG_LENGTH:
            (length,) = struct.unpack_from("<I", data, place + 8)
            place += 12
        else:
            (length,) = struct.unpack_from("<H", data, place + 6)
            place += 8
        if (group, element) == tag:
            return data[place : place + length].decode("ascii", "replace").rstrip("\0 ")
        if (group, element) > tag:
            return None
        place = _end_of_sequence(data, place) if length == UNDEFINED else place + length
    return None


def _end_of_sequence(data: bytes, place: int) -> int:
    """Return the byte after a sequence of undefined length; none is nested this early in the file."""
    end = data.find(END_OF_FRAMES, place)
    return len(data) if end < 0 else end + 8
