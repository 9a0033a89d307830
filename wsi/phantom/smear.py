"""Smear phantoms: blood smears of which every cell is known, as slides or as fields of view."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .settings import KINDS, PhantomSettings
from .smear_cells import KIND_NAMES, WHITE_KINDS, ZONES, SmearPhantom

if TYPE_CHECKING:
    from .file import EncodedBlock
    from .smear_cells import SmearCells
    from .smear_paint import SmearCanvas
    from .truth import PhantomTruth

__all__ = [
    "SmearPhantom",
    "SmearTruth",
    "paint_smear_field",
    "paint_smear_phantom",
    "write_smear_fields",
    "write_smear_phantom",
]

FORMAT = "slidelab-phantom-smear-1"
VERTICES = 48


@dataclass(frozen=True)
class SmearTruth:
    """What is true of a smear phantom."""

    path: Path
    cells_path: Path
    """Parquet table of all cells."""
    json_path: Path
    """Settings and counts."""
    settings: SmearPhantom
    counts: dict[str, int]
    """Cells by kind; ``cells`` are all of them."""
    zones: dict[str, dict[str, int]]
    """Cells by kind in each part of the smear."""
    value: float | None
    """Neutrophils in percent of the white cells; None without any."""


def write_smear_phantom(
    path: str | Path,
    settings: SmearPhantom,
    *,
    progress: Callable[[int, int], None] | None = None,
    workers: int = 1,
) -> SmearTruth:
    """Write a smear phantom as a slide, and its truth.

    Beside ``OUT.tiff`` this writes ``OUT.truth.parquet``, one row per cell (class, place and outline in
    level-0 px, diameter in um, part of the smear), and ``OUT.truth.json``: counts and settings.

    Raises
    ------
    SettingsError, RunFolderError
        As `write_phantom`.
    """
    from .truth import truth_paths
    from .write import landed

    target = Path(path)
    with landed(target, (*truth_paths(target), target), workers=workers) as parts:
        return _write(target, settings, parts=parts, progress=progress, workers=workers)


def paint_smear_phantom(
    path: Path, settings: PhantomSettings, *, progress: Callable[[int, int], None] | None, workers: int
) -> PhantomTruth:
    """Write the smear phantom that the settings of any phantom ask for; what came out, in their words."""
    from .truth import PhantomTruth

    made = write_smear_phantom(path, SmearPhantom.of(settings), progress=progress, workers=workers)
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


def paint_smear_field(settings: SmearPhantom) -> tuple[NDArray[np.uint8], SmearCells]:
    """Paint a smear of any size as one image, (height, width, 3), with its cells (places in um)."""
    from .smear_paint import WINDOW, SmearCanvas

    canvas = SmearCanvas.of(settings)
    rows, columns = (-(-side // WINDOW) for side in (settings.height, settings.width))
    image = np.vstack(
        [np.hstack([canvas.paint(row, column) for column in range(columns)]) for row in range(rows)]
    )
    return image[: settings.height, : settings.width], canvas.cells


def write_smear_fields(folder: Path, settings: SmearPhantom, *, fields: int) -> dict[str, int]:
    """Write fields of monolayer as PNG images without a scale, seeds following one another.

    Returns
    -------
    dict
        Cells by kind in all fields together. ``FOLDER/truth.json`` holds them by field.
    """
    from dataclasses import replace

    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    total: Counter[str] = Counter()
    told = {}
    for number in range(fields):
        one = replace(settings, seed=settings.seed + number, thick=0.0, thin=0.0)
        image, cells = paint_smear_field(one)
        name = f"field-{number:03d}.png"
        Image.fromarray(image).save(folder / name)
        told[name] = _counts(cells)
        total.update(told[name])
    (folder / "truth.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    return dict(total)


def _write(
    target: Path,
    settings: SmearPhantom,
    *,
    parts: tuple[Path, ...],
    progress: Callable[[int, int], None] | None,
    workers: int,
) -> SmearTruth:
    """Write table, summary and slide to the given places, for a slide that will be at ``target``."""
    from .smear_paint import SmearCanvas
    from .truth import truth_paths

    table, summary, slide = parts
    canvas = SmearCanvas.of(settings)
    _paint(canvas, slide, progress=progress, workers=workers)
    _write_table(table, canvas.cells, mpp=settings.mpp)
    counts = _counts(canvas.cells)
    zones = {
        name: _counts(canvas.cells.take(canvas.cells.zone == number)) for number, name in enumerate(ZONES)
    }
    white = sum(counts[name] for name in WHITE_KINDS)
    cells_path, json_path = truth_paths(target)
    truth = SmearTruth(
        path=target,
        cells_path=cells_path,
        json_path=json_path,
        settings=settings,
        counts=counts,
        zones=zones,
        value=100.0 * counts["neutrophil"] / white if white else None,
    )
    document: dict[str, Any] = {
        "format": FORMAT,
        "slide": target.name,
        "cells": cells_path.name,
        "settings": asdict(settings) | {"shares": dict(settings.shares), "kind": "smear"},
        "truth": {"meaning": KINDS["smear"].truth, "value": truth.value},
        "counts": counts,
        "zones": zones,
        "areas_mm2": {"slide": settings.area_mm2},
    }
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(value)}" for key, value in document.items())
    summary.write_text(f"{{\n{lines}\n}}\n", encoding="utf-8")
    return truth


def _paint(
    canvas: SmearCanvas, part: Path, *, progress: Callable[[int, int], None] | None, workers: int
) -> None:
    """Write the slide's pixels."""
    from .file import BLOCK, PyramidWriter, SlidePlan, TileCodec, encode_block
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
        text=f"slidelab phantom|kind=smear|seed={settings.seed}|scanner={settings.scanner}",
    )

    def make(address: tuple[int, int]) -> EncodedBlock:
        row, column = address
        windows = [canvas.paint(2 * row + i, 2 * column + j) for i in (0, 1) for j in (0, 1)]
        pixels: NDArray[np.uint8] = np.vstack((np.hstack(windows[:2]), np.hstack(windows[2:])))
        return encode_block(pixels, codec)

    rows, columns = (-(-side // BLOCK) for side in (settings.height, settings.width))
    addresses = [(row, column) for row in range(rows) for column in range(columns)]
    done = 0
    with part.open("wb") as file, ThreadPoolExecutor(workers, thread_name_prefix="phantom") as pool:
        writer = PyramidWriter(file, plan)
        for start in range(0, len(addresses), 2 * workers):  # a few at a time: bounds memory
            some = addresses[start : start + 2 * workers]
            for (row, column), block in zip(some, pool.map(make, some), strict=True):
                writer.write_block(row, column, block)
                done += 1
                if progress is not None:
                    progress(done, len(addresses))
        writer.close()


def _counts(cells: SmearCells) -> dict[str, int]:
    """Count the cells by kind."""
    found = np.bincount(cells.kind, minlength=len(KIND_NAMES)).tolist()
    return {"cells": len(cells)} | dict(zip(KIND_NAMES, found, strict=True))


def _write_table(path: Path, cells: SmearCells, *, mpp: float) -> None:
    """Write one row per cell: place and outline in level-0 px, diameter in um."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    import shapely

    turn = np.arange(VERTICES) * (2 * np.pi / VERTICES)
    long = np.sqrt(cells.stretch)[:, None] * cells.radius[:, None]
    short = cells.radius[:, None] ** 2 / long
    along, across = long * np.cos(turn), short * np.sin(turn)
    cosine, sine = np.cos(cells.angle)[:, None], np.sin(cells.angle)[:, None]
    outline = np.stack(
        [
            cells.x[:, None] + along * cosine - across * sine,
            cells.y[:, None] + along * sine + across * cosine,
        ],
        axis=2,
    )
    dictionaries = [pa.array(names) for names in (KIND_NAMES, ZONES)]
    table = pa.table(
        {
            "x": cells.x / mpp,
            "y": cells.y / mpp,
            "class": pa.DictionaryArray.from_arrays(pa.array(cells.kind, pa.int32()), dictionaries[0]),
            "zone": pa.DictionaryArray.from_arrays(pa.array(cells.zone, pa.int32()), dictionaries[1]),
            "diameter_um": (2 * cells.radius).astype(np.float32),
            "geometry": pa.array(shapely.to_wkb(shapely.polygons(outline / mpp)), pa.binary()),
        }
    )
    pq.write_table(table, path, compression="zstd")
