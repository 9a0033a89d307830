"""Pap phantoms: cytology slides of which every cell is known, with one or several focal planes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .pap_kinds import ABNORMAL, KINDS_OF_CELL, PapSettings
from .settings import KINDS, PhantomSettings

if TYPE_CHECKING:
    from .file import EncodedBlock
    from .pap_cells import PapCells
    from .pap_paint import PapCanvas
    from .truth import PhantomTruth

__all__ = ["PapSettings", "PapTruth", "paint_pap_phantom", "write_pap_phantom"]

FORMAT = "slidelab-phantom-pap-1"
SQUAMOUS = ("superficial", "intermediate", "ASC-US", "LSIL", "ASC-H", "HSIL", "SCC")


@dataclass(frozen=True)
class PapTruth:
    """What is true of a Pap phantom."""

    path: Path
    """The slide; with several planes the one in the middle."""
    planes: tuple[Path, ...]
    """All focal planes, from the lowest on."""
    cells_path: Path
    """Parquet table of all cells."""
    json_path: Path
    """Settings, counts and groups."""
    settings: PapSettings
    counts: dict[str, int]
    """Cells by kind; ``cells`` are all of them."""
    value: float | None
    """Abnormal cells in percent of the squamous ones; None without any."""


def write_pap_phantom(
    path: str | Path,
    settings: PapSettings,
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> PapTruth:
    """Write a Pap phantom and its truth.

    Beside ``OUT.tiff`` this writes ``OUT.truth.parquet``, one row per cell, and ``OUT.truth.json``: counts,
    groups and settings. With several focal planes the slides are ``OUT_z0.tiff``, ``OUT_z1.tiff``, ...

    Parameters
    ----------
    path : str or Path
        The slide, ending in ``.tif`` or ``.tiff``. Missing folders are made.
    settings : PapSettings
        What to paint.
    progress : callable, optional
        Called as ``progress(done, total)`` with counts of blocks.
    workers : int
        Painting threads, at least 1. The files do not depend on it.

    Returns
    -------
    PapTruth

    Raises
    ------
    SettingsError, RunFolderError
        As `write_phantom`.
    """
    from .truth import truth_paths
    from .write import landed

    target = Path(path)
    slides = _plane_paths(target, settings.planes)
    with landed(target, (*truth_paths(target), *slides), workers=workers) as parts:
        return _write(target, settings, parts=tuple(parts), progress=progress, workers=workers)


def paint_pap_phantom(
    path: Path, settings: PhantomSettings, *, progress: Callable[[int, int], None] | None, workers: int
) -> PhantomTruth:
    """Write the Pap phantom that the settings of any phantom ask for; what came out, in their words."""
    from .truth import PhantomTruth

    made = write_pap_phantom(path, PapSettings.of(settings), progress=progress, workers=workers)
    return PhantomTruth(
        path=made.path,
        cells_path=made.cells_path,
        json_path=made.json_path,
        settings=settings,
        value=made.value,
        value_outside_artefacts=made.value,
        counts=made.counts | {"nuclei": made.counts["cells"]},
        areas_mm2={"slide": made.settings.area_mm2},
        hot_spots=(),
        scores={},
    )


def _plane_paths(target: Path, planes: int) -> tuple[Path, ...]:
    """Return the file of each focal plane."""
    if planes == 1:
        return (target,)
    return tuple(target.with_name(f"{target.stem}_z{number}{target.suffix}") for number in range(planes))


def _write(
    target: Path,
    settings: PapSettings,
    *,
    parts: Sequence[Path],
    progress: Callable[[int, int], None] | None,
    workers: int,
) -> PapTruth:
    """Write table, summary and slides to the given places, for a slide that will be at ``target``."""
    from .pap_paint import PapCanvas
    from .truth import truth_paths

    canvas = PapCanvas.of(settings)
    blocks = len(_addresses(settings)) * settings.planes
    done = 0
    for part, height in zip(parts[2:], settings.plane_heights, strict=True):
        for _ in _paint_plane(canvas, part, height=height, workers=workers):
            done += 1
            if progress is not None:
                progress(done, blocks)
    _write_table(parts[0], canvas.cells, mpp=settings.mpp)
    counts = _counts(canvas.cells)
    squamous = sum(counts[name] for name in SQUAMOUS)
    abnormal = sum(counts[name] for name in ABNORMAL)
    planes = _plane_paths(target, settings.planes)
    cells_path, json_path = truth_paths(target)
    truth = PapTruth(
        path=planes[settings.planes // 2],
        planes=planes,
        cells_path=cells_path,
        json_path=json_path,
        settings=settings,
        counts=counts,
        value=100.0 * abnormal / squamous if squamous else None,
    )
    document = {
        "format": FORMAT,
        "slide": truth.path.name,
        "planes": [
            {"file": each.name, "height_um": height}
            for each, height in zip(planes, settings.plane_heights, strict=True)
        ],
        "cells": cells_path.name,
        "settings": asdict(settings) | {"lesions": dict(settings.lesions), "kind": "pap"},
        "truth": {"meaning": KINDS["pap"].truth, "value": truth.value},
        "counts": counts,
        "areas_mm2": {"slide": settings.area_mm2},
        "groups": _groups(canvas.cells, mpp=settings.mpp),
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
    parts[1].write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    return truth


def _addresses(settings: PapSettings) -> list[tuple[int, int]]:
    """Return row and column of all blocks of the file, row by row."""
    from .file import BLOCK

    rows, columns = (-(-side // BLOCK) for side in (settings.height, settings.width))
    return [(row, column) for row in range(rows) for column in range(columns)]


def _paint_plane(canvas: PapCanvas, part: Path, *, height: float, workers: int) -> Iterator[None]:
    """Write one focal plane; yields after each block."""
    from .file import PyramidWriter, SlidePlan, TileCodec, encode_block
    from .scanner import SCANNERS

    settings = canvas.settings
    scanner = SCANNERS[settings.scanner]
    codec = TileCodec.of(scanner, settings.compression)
    red, green, blue = (round(v) for v in scanner.white_point)
    plan = SlidePlan(
        width=settings.width,
        height=settings.height,
        mpp=settings.mpp,
        codec=codec,
        background=(red, green, blue),
        text=f"slidelab phantom|kind=pap|seed={settings.seed}|scanner={settings.scanner}|z={height:g}",
    )

    def make(address: tuple[int, int]) -> EncodedBlock:
        row, column = address
        windows = [
            canvas.paint(2 * row + i, 2 * column + j, height_um=height) for i in (0, 1) for j in (0, 1)
        ]
        pixels: NDArray[np.uint8] = np.vstack((np.hstack(windows[:2]), np.hstack(windows[2:])))
        return encode_block(pixels, codec)

    addresses = _addresses(settings)
    with part.open("wb") as file, ThreadPoolExecutor(workers, thread_name_prefix="phantom") as pool:
        writer = PyramidWriter(file, plan)
        for start in range(0, len(addresses), 2 * workers):  # a few at a time: bounds memory
            some = addresses[start : start + 2 * workers]
            for (row, column), block in zip(some, pool.map(make, some), strict=True):
                writer.write_block(row, column, block)
                yield
        writer.close()


def _counts(cells: PapCells) -> dict[str, int]:
    """Count the cells by kind."""
    found = Counter(list(KINDS_OF_CELL)[number] for number in cells.kind.tolist())
    return {"cells": len(cells)} | {name: found.get(name, 0) for name in KINDS_OF_CELL}


def _groups(cells: PapCells, *, mpp: float) -> list[dict[str, Any]]:
    """Return class, place (level-0 px) and size of each abnormal group."""
    names = list(KINDS_OF_CELL)
    rows = []
    for group in np.unique(cells.group[np.isin(cells.kind, [names.index(name) for name in ABNORMAL])]):
        own = np.flatnonzero(cells.group == group)
        x, y = float(cells.x[own].mean()) / mpp, float(cells.y[own].mean()) / mpp
        rows.append({"class": names[int(cells.kind[own[0]])], "x": x, "y": y, "cells": len(own)})
    return rows


def _write_table(path: Path, cells: PapCells, *, mpp: float) -> None:
    """Write one row per cell: place and outlines in level-0 px, areas in um2."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import shapely

    angle = np.arange(cells.nucleus.shape[1]) * (2 * np.pi / cells.nucleus.shape[1])
    rays = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    middle = np.stack([cells.x, cells.y], axis=1)
    nuclei = shapely.polygons(middle[:, None] + cells.nucleus[..., None] * rays)
    bodies = shapely.polygons((middle + cells.offset)[:, None] + cells.cell[..., None] * rays)
    names = pa.array(list(KINDS_OF_CELL))

    def scaled(shapes: Any) -> Any:
        return shapely.to_wkb(shapely.transform(shapes, lambda xy: xy / mpp))

    areas = shapely.area(nuclei), shapely.area(bodies)
    table = pa.table(
        {
            "x": cells.x / mpp,
            "y": cells.y / mpp,
            "class": pa.DictionaryArray.from_arrays(pa.array(cells.kind, pa.int32()), names),
            "group": cells.group,
            "area_um2": areas[0].astype(np.float32),
            "cell_area_um2": areas[1].astype(np.float32),
            "nc": (areas[0] / areas[1]).astype(np.float32),
            "hematoxylin_od": cells.hematoxylin,
            "depth_um": cells.depth,
            "geometry": pa.array(scaled(nuclei), pa.binary()),
            "cell_geometry": pa.array(scaled(bodies), pa.binary()),
        }
    )
    pq.write_table(table, path, compression="zstd")
