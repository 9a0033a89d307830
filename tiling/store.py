"""Where a stage keeps the results of its tiles: one file per tile, landed with one atomic rename."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ResultStore", "atomic_file", "remove_leftovers", "stage_key", "write_json"]

SUFFIX = ".arrow"


def stage_key(facts: Mapping[str, Any]) -> str:
    """Return the key of a stage: a digest of everything that its results depend on.

    Parameters
    ----------
    facts : mapping
        Slide fingerprint, settings, model hash, stage name and version ... as plain JSON values.

    Returns
    -------
    str
        20 hexadecimal digits; equal facts give equal keys on every machine.
    """
    text = json.dumps(facts, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:20]


@contextmanager
def atomic_file(path: Path) -> Iterator[Path]:
    """Give a temporary path beside ``path`` that takes its name in one step when the block ends well.

    A process killed inside the block leaves at most a file called ``*.tmp``; no reader takes it for a
    result. Two processes may write the same file: the later rename wins, with the same bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with temporary.open("rb+") as stream:
            os.fsync(stream.fileno())  # a power cut must not leave a named but empty result
        temporary.chmod(0o644)  # mkstemp makes files private; results are read by others
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what a killed process left half-written below a folder: hidden files and folders ``*.tmp``."""
    for leftover in list(folder.rglob(".*.tmp")):
        if leftover.is_dir():
            shutil.rmtree(leftover, ignore_errors=True)
        else:
            leftover.unlink(missing_ok=True)


def write_json(path: Path, value: Any) -> None:
    """Write plain JSON values atomically, keys in their given order."""
    with atomic_file(path) as temporary:
        temporary.write_text(json.dumps(value, indent=2, allow_nan=False) + "\n", encoding="utf-8")


@dataclass(frozen=True)
class ResultStore:
    """The finished tiles of one stage of one slide.

    The folder's name carries the stage's key, so a changed setting looks into another folder and finds
    nothing done, while everything that does not depend on it stays valid.
    """

    folder: Path
    """Folder of this stage and key; made when the first result lands."""

    def path(self, index: int) -> Path:
        """Return the file of tile ``index``."""
        return self.folder / f"part-{index:07d}{SUFFIX}"

    def finished(self) -> frozenset[int]:
        """Return the tiles whose results have landed."""
        if not self.folder.is_dir():
            return frozenset()
        names = (entry.name for entry in os.scandir(self.folder))
        return frozenset(int(name[5 : -len(SUFFIX)]) for name in names if _is_part(name))

    def write(self, index: int, table: pa.Table) -> Path:
        """Land the table of one tile; returns its path."""
        import pyarrow as pa

        path = self.path(index)
        with (
            atomic_file(path) as temporary,
            pa.OSFile(str(temporary), "wb") as sink,
            pa.ipc.new_file(sink, table.schema) as writer,
        ):
            writer.write_table(table)
        return path

    def read(self, index: int) -> pa.Table:
        """Read the table of one tile."""
        import pyarrow as pa

        with pa.OSFile(str(self.path(index)), "rb") as source:
            return pa.ipc.open_file(source).read_all()


def _is_part(name: str) -> bool:
    """Tell a landed result from a temporary file or a stranger's."""
    return name.startswith("part-") and name.endswith(SUFFIX) and name[5 : -len(SUFFIX)].isdigit()
