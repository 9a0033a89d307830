"""What is true of the kinds of phantom that grade their cells: columns of the table, counts, scores."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from .cells import LYMPHOCYTE, MACROPHAGE, TUMOUR, Cells
from .her2 import MEMBRANES

Scores = dict[str, float | int | None]

RECEPTORS = ("er", "pr")
COATED = ("her2", "pdl1")
CLEAR = "_outside_artefacts"
IMMUNE = {"lymphocyte": LYMPHOCYTE, "macrophage": MACROPHAGE}


def grade_schema(kind: str) -> list[tuple[str, pa.DataType]]:
    """Return names and types of the columns that a kind has beyond all others."""
    coats = [("completeness", pa.float32()), ("membrane_od", pa.float32()), ("cytoplasm_od", pa.float32())]
    if kind in RECEPTORS:
        return [("intensity", pa.uint8())]
    if kind == "her2":
        return [("membrane", pa.dictionary(pa.int32(), pa.string())), *coats]
    return coats if kind == "pdl1" else []


def grade_columns(kind: str, cells: Cells) -> dict[str, Any]:
    """Return the columns of ``grade_schema``."""
    columns: dict[str, Any] = {}
    if kind in RECEPTORS:
        columns["intensity"] = cells.grade
    if kind == "her2":
        names = np.array((*MEMBRANES, ""))
        classes = names[np.where(cells.kind == TUMOUR, cells.grade, len(MEMBRANES))]
        columns["membrane"] = pa.array(classes.tolist()).dictionary_encode()
    if kind in COATED:
        columns |= {
            name: getattr(cells.coats, name) for name in ("completeness", "membrane_od", "cytoplasm_od")
        }
    return columns


def count_grades(kind: str, cells: Cells, clear: NDArray[np.bool_]) -> Counter[str]:
    """Return the cells of each grade, all of them and those outside artefacts (``clear``)."""
    counts: Counter[str] = Counter()
    for name, rows in _groups(kind, cells).items():
        counts[name] = int(rows.sum())
        counts[f"{name}{CLEAR}"] = int((rows & clear).sum())
    return counts


def _groups(kind: str, cells: Cells) -> dict[str, NDArray[np.bool_]]:
    tumour = cells.kind == TUMOUR
    if kind in RECEPTORS:
        return {f"intensity_{k}": tumour & (cells.grade == k) for k in range(4)}
    if kind == "her2":
        return {f"membrane_{name}": tumour & (cells.grade == k) for k, name in enumerate(MEMBRANES)}
    if kind == "pdl1":
        return {f"positive_{name}": (cells.kind == k) & cells.positive for name, k in IMMUNE.items()}
    return {}


def scores_of(kind: str, counts: Mapping[str, int]) -> dict[str, Scores]:
    """Return what a reader would score, over all cells and over those outside artefacts."""
    make = {"er": _receptor, "pr": _receptor, "her2": _her2, "pdl1": _pdl1}.get(kind)
    return {} if make is None else {"all": make(counts, ""), CLEAR[1:]: make(counts, CLEAR)}


def _receptor(counts: Mapping[str, int], where: str) -> Scores:
    n = [counts[f"intensity_{k}{where}"] for k in range(4)]
    return {
        **{f"n{k}": count for k, count in enumerate(n)},
        "percent": _per(100 * sum(n[1:]), sum(n)),
        "h_score": _per(100 * (n[1] + 2 * n[2] + 3 * n[3]), sum(n)),
        "mean_intensity": _per(n[1] + 2 * n[2] + 3 * n[3], sum(n[1:])),
    }


def _her2(counts: Mapping[str, int], where: str) -> Scores:
    numbers = {name: counts[f"membrane_{name}{where}"] for name in reversed(MEMBRANES)}
    whole = sum(numbers.values())
    shares = {f"share_{name}": _per(number, whole) for name, number in numbers.items()}
    return {"tumour_cells": whole, **numbers, **shares}


def _pdl1(counts: Mapping[str, int], where: str) -> Scores:
    tumour, positive = counts[f"tumour{where}"], counts[f"positive{where}"]
    immune = {f"positive_{name}s": counts[f"positive_{name}{where}"] for name in IMMUNE}
    raw = _per(100 * (positive + sum(immune.values())), tumour)
    return {
        "tumour_cells": tumour,
        "positive_tumour_cells": positive,
        **immune,
        "tps": _per(100 * positive, tumour),
        "cps_raw": raw,
        "cps": None if raw is None else min(raw, 100.0),
    }


def _per(part: int, whole: int) -> float | None:
    return part / whole if whole else None
