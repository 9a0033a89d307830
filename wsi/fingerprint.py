"""A cheap identity of a slide's content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from pathlib import Path

from ..errors import UnreadableSlideError

__all__ = ["fingerprint_files"]

SAMPLE_BYTES = 1 << 18
"""How much is read at the head, the middle and the tail of each file."""


def fingerprint_files(files: Iterable[Path]) -> str:
    """Return 64 hex digits made of the size and the head, middle and tail bytes of every file.

    Name, place and date of the files do not matter, so a copy of a slide has the same fingerprint. A change
    of size or of the sampled bytes is seen; a changed byte elsewhere in a large file is not.

    Raises
    ------
    UnreadableSlideError
        If a file is gone.
    """
    try:
        digests = sorted(_digest(path) for path in files)
    except OSError as error:
        raise UnreadableSlideError(
            f"{error.filename} cannot be read: {error.strerror}",
            "check that the slide's files are still there",
        ) from error
    return hashlib.sha256(b"".join(digests)).hexdigest()


def _digest(path: Path) -> bytes:
    """Return the digest of one file."""
    size = path.stat().st_size
    digest = hashlib.sha256(size.to_bytes(8, "little"))
    with path.open("rb") as file:
        if size <= 3 * SAMPLE_BYTES:
            digest.update(file.read())
        else:
            for start in (0, (size - SAMPLE_BYTES) // 2, size - SAMPLE_BYTES):
                file.seek(start)
                digest.update(file.read(SAMPLE_BYTES))
    return digest.digest()
