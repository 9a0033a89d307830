"""What all maps of a slide share as OME-Zarr 0.4: metadata, label images, and a folder that lands whole."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import zarr

__all__ = [
    "CHUNK",
    "channel",
    "create_array",
    "fresh_group",
    "multiscale",
    "space_axes",
    "write_array",
    "write_label",
]

CHUNK = 1024
"""Side of a chunk, px: a whole map of a usual slide."""
NGFF_VERSION = "0.4"
"""The version that QuPath, napari and TIAToolbox read."""


@contextmanager
def fresh_group(path: str | Path) -> Iterator[zarr.Group]:
    """Give an empty group that takes the place of ``path`` when the block ends well.

    An older folder of that name is replaced; a killed process leaves a hidden folder ``*.tmp``.
    """
    import zarr

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent) as folder:
        fresh = Path(folder) / "maps"
        yield zarr.open_group(fresh, mode="w", zarr_format=2)
        fresh.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        fresh.replace(target)


def write_label(
    root: zarr.Group, name: str, *, values: NDArray[np.uint8], um: float, names: Sequence[str]
) -> None:
    """Write one label image with the names of its values; ``um`` is the width of a pixel."""
    group = root.require_group("labels").create_group(name)
    write_array(group, values)
    present = [(value, text) for value, text in enumerate(names) if value]
    properties = [{"label-value": value, "name": text or "counted"} for value, text in present]
    label = {"version": NGFF_VERSION, "properties": properties, "source": {"image": "../../"}}
    attributes: dict[str, Any] = {
        "multiscales": [multiscale(name, axes=space_axes(), um=um)],
        "image-label": label,
    }
    group.attrs.put(attributes)


def create_array(group: zarr.Group, shape: tuple[int, ...], dtype: Any, *, chunk: int = CHUNK) -> Any:
    """Make the only resolution of a group; zlib, whose bytes carry no time and no machine."""
    codec: dict[str, Any] = {"id": "zlib", "level": 6}
    return group.create_array(
        "0",
        shape=shape,
        dtype=dtype,
        chunks=(*shape[:-2], min(chunk, shape[-2]), min(chunk, shape[-1])),
        compressors=codec,
        chunk_key_encoding={"name": "v2", "separator": "/"},
        fill_value=0,
    )


def write_array(group: zarr.Group, values: NDArray[Any]) -> None:
    """Write pixels as the only resolution of a group."""
    create_array(group, values.shape, values.dtype)[:] = values


def space_axes() -> list[Mapping[str, str]]:
    """Return the two axes of a plane, in micrometres."""
    return [{"name": name, "type": "space", "unit": "micrometer"} for name in ("y", "x")]


def multiscale(name: str, *, axes: Sequence[Mapping[str, str]], um: float) -> dict[str, Any]:
    """Return the metadata of an image of one resolution whose pixels are ``um`` wide."""
    others = len(axes) - 2
    scale = {"type": "scale", "scale": [1.0] * others + [um, um]}
    half = {"type": "translation", "translation": [0.0] * others + [um / 2, um / 2]}
    datasets = [{"path": "0", "coordinateTransformations": [scale, half]}]
    return {"version": NGFF_VERSION, "name": name, "axes": list(axes), "datasets": datasets}


def channel(label: str, color: str, *, end: float) -> dict[str, Any]:
    """Return how a viewer shows a channel."""
    window = {"min": 0.0, "max": end, "start": 0.0, "end": end}
    return {"label": label, "color": color, "active": True, "window": window}
