"""Annotations written as labelling programs write them, and the places that are read back, for tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from slidelab.models.annotated import Annotation

SQUARE = [[10, 20], [14, 20], [14, 24], [10, 24]]
"""Centre (12, 22)."""


def put(path: Path, content: Any) -> Path:
    """Write text, bytes or JSON."""
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def places(annotation: Annotation) -> list[tuple[float, float]]:
    return list(zip(annotation.x.tolist(), annotation.y.tolist(), strict=True))


def feature(kind: str, coordinates: Any, **properties: Any) -> dict[str, Any]:
    geometry = {"type": kind, "coordinates": coordinates}
    return {"type": "Feature", "geometry": geometry, "properties": properties}
