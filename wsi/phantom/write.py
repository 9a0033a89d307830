"""Phantom slides: synthetic whole slides whose every nucleus is known.

A phantom is a pyramidal TIFF that any slide reader opens, painted by procedure from a seed, with a table of
all nuclei beside it. It serves demonstrations, tests and benchmarks, in any size; it is no substitute for
real slides in validation.
"""

from __future__ import annotations

import uuid
from collections import deque
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ...errors import RunFolderError, SettingsError
from .settings import KINDS, KindFacts, PhantomSettings

if TYPE_CHECKING:
    from .cells import Cells
    from .file import EncodedBlock, TileCodec
    from .paint import Canvas
    from .texture import Floats
    from .truth import PhantomTruth

__all__ = ["KINDS", "KindFacts", "PhantomSettings", "write_phantom"]

QUEUE_PER_WORKER = 2  # blocks painted ahead of the file: bounds memory


@dataclass(frozen=True, eq=False)
class _Block:
    """One block ready for the file."""

    row: int
    column: int
    encoded: EncodedBlock
    nuclei: tuple[tuple[Cells, Floats], ...]
    "Nuclei of its windows, with their mean optical densities."


def write_phantom(
    path: str | Path,
    settings: PhantomSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> PhantomTruth:
    """Write a phantom slide and its truth.

    Beside ``OUT.tiff`` this writes ``OUT.truth.parquet``, one row per nucleus, and ``OUT.truth.json``:
    sums, stain vectors and outlines of artefacts. Files of these names are replaced, and only once all
    three are complete.

    Parameters
    ----------
    path : str or Path
        The slide, ending in ``.tif`` or ``.tiff``. Missing folders are made.
    settings : PhantomSettings
        What to paint.
    progress : callable, optional
        Called as ``progress(done, total)`` with counts of blocks, in the calling thread.
    workers : int
        Painting threads, at least 1. The files do not depend on it.

    Returns
    -------
    PhantomTruth
        What came out.

    Raises
    ------
    SettingsError
        If the name does not end in ``.tif`` or ``.tiff``, or ``workers`` is below 1.
    RunFolderError
        If the files cannot be written.

    Notes
    -----
    Memory depends on the resolution and on ``workers``, and hardly on the slide's size: one row of
    tiles per coarse level, 4 bytes per tumour nucleus and 16 bytes per tile are all that grows.
    """
    target = Path(path)
    if settings.kind == "pap":  # cytology has painters and a truth of its own
        from .pap import paint_pap_phantom

        return paint_pap_phantom(target, settings, progress=progress, workers=workers)
    if settings.kind == "smear":
        from .smear import paint_smear_phantom

        return paint_smear_phantom(target, settings, progress=progress, workers=workers)
    from .truth import truth_paths

    with landed(target, (*truth_paths(target), target), workers=workers) as (table, summary, slide):
        return _write(target, settings, parts=(table, summary, slide), progress=progress, workers=workers)


@contextmanager
def landed(target: Path, files: tuple[Path, ...], *, workers: int) -> Iterator[tuple[Path, ...]]:
    """Check what a phantom is asked to be, and lend places for its files, which appear all at once or never.

    Raises
    ------
    SettingsError
        If the name is no TIFF name, or nobody works.
    RunFolderError
        If the files cannot be written.
    """
    if target.suffix.lower() not in (".tif", ".tiff"):
        raise SettingsError(f"phantom name {target.name!r} is no TIFF name", "end it in .tiff")
    if workers < 1:
        raise SettingsError(f"{workers} workers cannot paint", "give at least 1 worker")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with _all_or_nothing(files) as parts:
            yield parts
    except OSError as error:
        raise RunFolderError(
            f"cannot write the phantom {target}: {error}", "choose a folder that is writable and has room"
        ) from error


def _write(
    target: Path,
    settings: PhantomSettings,
    *,
    parts: tuple[Path, Path, Path],
    progress: Callable[[int, int], None] | None,
    workers: int,
) -> PhantomTruth:
    """Write table, summary and slide to the given places, for a slide that will be at ``target``."""
    from .file import BLOCK, PyramidWriter, SlidePlan, TileCodec
    from .paint import Canvas
    from .scanner import SCANNERS
    from .truth import TruthWriter, write_json

    table, summary, slide = parts
    canvas = Canvas(settings)
    scanner = SCANNERS[settings.scanner]
    codec = TileCodec.of(scanner, settings.compression)
    red, green, blue = (round(v) for v in scanner.white_point)
    plan = SlidePlan(
        width=settings.width,
        height=settings.height,
        mpp=settings.mpp,
        codec=codec,
        background=(red, green, blue),
        text=f"slidelab phantom|kind={settings.kind}|seed={settings.seed}|scanner={settings.scanner}",
    )
    addresses = [
        (row, column)
        for row in range(-(-settings.height // BLOCK))
        for column in range(-(-settings.width // BLOCK))
    ]
    truth = TruthWriter(table, canvas)
    try:
        painted = _blocks(canvas, addresses, codec=codec, workers=workers)
        with slide.open("wb") as file, closing(painted):
            writer = PyramidWriter(file, plan)
            for done, block in enumerate(painted, start=1):
                writer.write_block(block.row, block.column, block.encoded)
                for cells, means in block.nuclei:
                    truth.add(cells, means)
                if progress is not None:
                    progress(done, len(addresses))
            writer.close()
    finally:
        truth.close()
    found = truth.sum_up(target)
    write_json(summary, found, canvas)
    return found


def _assemble(windows: list[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Return the block that four windows make, row by row."""
    return np.vstack((np.hstack(windows[:2]), np.hstack(windows[2:])))


def _blocks(
    canvas: Canvas, addresses: list[tuple[int, int]], *, codec: TileCodec, workers: int
) -> Generator[_Block, None, None]:
    """Paint blocks in several threads; yield them in the order of their addresses."""
    from .file import encode_block

    glass = encode_block(_assemble([canvas.glass] * 4), codec, shared=True)

    def make(address: tuple[int, int]) -> _Block:
        row, column = address
        windows = tuple(canvas.paint(2 * row + i, 2 * column + j) for i in (0, 1) for j in (0, 1))
        if all(window.is_glass for window in windows):
            return _Block(row, column, glass, ())
        encoded = encode_block(_assemble([window.pixels for window in windows]), codec)
        nuclei = tuple((w.cells, w.means) for w in windows if w.cells is not None)
        return _Block(row, column, encoded, nuclei)

    with ThreadPoolExecutor(workers, thread_name_prefix="phantom") as pool:
        waiting: deque[Future[_Block]] = deque()
        try:
            for address in addresses:
                waiting.append(pool.submit(make, address))
                if len(waiting) >= QUEUE_PER_WORKER * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def _all_or_nothing(targets: tuple[Path, ...]) -> Iterator[tuple[Path, ...]]:
    """Lend one temporary name beside each target; rename all to the targets at the end, or remove them."""
    mark = f".{uuid.uuid4().hex[:12]}.partial"
    parts = tuple(target.with_name(f".{target.name}{mark}") for target in targets)
    try:
        yield parts
        for part, target in zip(parts, targets, strict=True):
            part.replace(target)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)
