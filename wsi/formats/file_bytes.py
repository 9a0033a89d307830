"""Bytes of a file by position, from any thread."""

from __future__ import annotations

import os
import threading
import weakref
from pathlib import Path

__all__ = ["FileBytes"]


class FileBytes:
    """An open file without a position, so that threads do not disturb each other."""

    def __init__(self, path: Path) -> None:
        self._handle = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()
        self._close = weakref.finalize(self, os.close, self._handle)

    def read(self, offset: int, count: int) -> bytes:
        """Return ``count`` bytes from ``offset``, fewer where the file ends."""
        data = self._read_once(offset, count)
        while len(data) < count:  # network drives may hand out less than asked
            more = self._read_once(offset + len(data), count - len(data))
            if not more:
                break
            data += more
        return data

    def _read_once(self, offset: int, count: int) -> bytes:
        """Ask the system once."""
        if hasattr(os, "pread"):
            return os.pread(self._handle, count, offset)
        with self._lock:  # Windows has no pread
            os.lseek(self._handle, offset, os.SEEK_SET)
            return os.read(self._handle, count)

    def close(self) -> None:
        """Close the file; twice does no harm."""
        self._close()
