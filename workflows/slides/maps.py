"""Maps of a slide as OME-Zarr 0.4, and the counts per field that the index map shows."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RegionError
from .cell_file import read_cells
from .cell_rule import CellClass, Role

if TYPE_CHECKING:
    import zarr

    from ...tiling import QualityMap, TissueMask

__all__ = ["FieldMap", "count_fields", "write_maps"]

FIELD_UM = 500.0
"""Side of a field, um: near to a high-power field, and 100 to 1000 nuclei of solid tumour."""
CHUNK = 1024
"""Side of a chunk, px: a whole map of a usual slide."""
NGFF_VERSION = "0.4"
"""The version that QuPath, napari and TIAToolbox read."""


@dataclass(frozen=True)
class FieldMap:
    """Counted nuclei in the square fields of a slide."""

    positive: NDArray[np.int64]
    """(rows, columns) positive nuclei."""
    counted: NDArray[np.int64]
    """(rows, columns) positive and negative nuclei."""
    side_px: float
    """Side of a field, level-0 px; the first field starts at the slide's corner."""
    mpp: float
    """um per level-0 px."""

    @property
    def side_um(self) -> float:
        """Side of a field, um."""
        return self.side_px * self.mpp

    def index(self, *, least: int = 1) -> NDArray[np.float64]:
        """Return the percentage of positive nuclei per field; NaN where fewer than ``least`` are counted."""
        index = np.full(self.counted.shape, np.nan)
        enough = self.counted >= max(1, least)
        index[enough] = 100.0 * self.positive[enough] / self.counted[enough]
        return index

    def density(self) -> NDArray[np.float64]:
        """Return counted nuclei per mm2."""
        return np.asarray(self.counted / (self.side_um / 1000) ** 2)


def count_fields(
    cells: str | Path,
    *,
    classes: Sequence[CellClass],
    width: int,
    height: int,
    mpp: float,
    side_um: float = FIELD_UM,
) -> FieldMap:
    """Count the nuclei of each field from ``cells.parquet``, in one stream.

    Parameters
    ----------
    cells : str or Path
        The slide's cells; excluded ones are not counted.
    classes : sequence of CellClass
        Their classes: those of role positive and negative are counted.
    width, height : int
        The slide, level-0 px.
    mpp : float
        um per level-0 px.
    side_um : float
        Side of a field, um.

    Returns
    -------
    FieldMap
        Fields that cover the slide; a nucleus belongs to the field that holds its centroid.
    """
    if not (width > 0 and height > 0 and mpp > 0 and side_um > 0):
        raise RegionError(
            f"fields of {side_um} um on {width} x {height} px at {mpp} um/px", "All must be positive."
        )
    side_px = side_um / mpp
    rows, columns = int(np.ceil(height / side_px)), int(np.ceil(width / side_px))
    positive, counted = np.zeros((2, rows * columns), np.int64)
    names = {role: [each.name for each in classes if each.role is role] for role in Role}
    for batch in read_cells(cells, ("x", "y", "label", "excluded")):
        label, excluded = (batch[name].dictionary_decode() for name in ("label", "excluded"))
        counts = _among(excluded, [""]) & _among(label, [*names[Role.POSITIVE], *names[Role.NEGATIVE]])
        column = np.clip(batch["x"].to_numpy() // side_px, 0, columns - 1)
        row = np.clip(batch["y"].to_numpy() // side_px, 0, rows - 1)
        field = (row * columns + column).astype(np.int64)
        counted += np.bincount(field[counts], minlength=rows * columns)
        positive += np.bincount(field[counts & _among(label, names[Role.POSITIVE])], minlength=rows * columns)
    shape = (rows, columns)
    return FieldMap(positive.reshape(shape), counted.reshape(shape), side_px=side_px, mpp=mpp)


def _among(values: Any, wanted: Sequence[str]) -> NDArray[np.bool_]:
    """Tell which Arrow strings are among some."""
    import pyarrow as pa
    import pyarrow.compute as pc

    return np.asarray(pc.is_in(values, pa.array(wanted, pa.string())).to_numpy(zero_copy_only=False), bool)


def write_maps(
    path: str | Path,
    *,
    fields: FieldMap,
    tissue: TissueMask | None = None,
    quality: QualityMap | None = None,
) -> None:
    """Write the index and density per field as an image, tissue and quality as its labels.

    Parameters
    ----------
    path : str or Path
        The folder to make, ``maps.zarr``; an older one is replaced.
    fields : FieldMap
        Becomes the image: float32 channels ``positive_percent`` (NaN without nuclei) and
        ``nuclei_per_mm2``.
    tissue : TissueMask, optional
        Becomes the label image ``tissue``: 0 or 1.
    quality : QualityMap, optional
        Becomes the label image ``quality``: its codes, their names in the label's properties.

    Notes
    -----
    All three have their own pixel size; scale and translation put each pixel's centre in um from the
    slide's upper-left corner. Equal maps give equal bytes.
    """
    import zarr

    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent) as folder:
        fresh = Path(folder) / "maps"
        root = zarr.open_group(fresh, mode="w", zarr_format=2)
        _write_fields(root, fields)
        labels: list[str] = []
        if tissue is not None:
            labels.append("tissue")
            _write_label(
                root,
                "tissue",
                values=tissue.mask.astype(np.uint8),
                um=tissue.downsample * fields.mpp,
                names=("background", "tissue"),
            )
        if quality is not None:
            labels.append("quality")
            _write_label(
                root,
                "quality",
                values=quality.codes,
                um=quality.downsample * fields.mpp,
                names=quality.reasons,
            )
        if labels:
            root["labels"].attrs["labels"] = labels
        fresh.chmod(0o755)
        if target.exists():
            shutil.rmtree(target)
        fresh.replace(target)


def _write_fields(root: zarr.Group, fields: FieldMap) -> None:
    """Write the two maps per field as the channels of the image."""
    values = np.stack([fields.index(), fields.density()]).astype(np.float32)
    _write_array(root, values)
    axes = [{"name": "c", "type": "channel"}, *_space_axes()]
    channels = [
        _channel("positive_percent", "FFA500", end=100.0),
        _channel("nuclei_per_mm2", "00A0FF", end=max(1.0, float(np.ceil(fields.density().max(initial=0.0))))),
    ]
    attributes: dict[str, Any] = {
        "multiscales": [_multiscale("fields", axes=axes, um=fields.side_um)],
        "omero": {"channels": channels, "rdefs": {"model": "color"}},
    }
    root.attrs.put(attributes)


def _write_label(
    root: zarr.Group, name: str, *, values: NDArray[np.uint8], um: float, names: Sequence[str]
) -> None:
    """Write one label image with the names of its values."""
    group = root.require_group("labels").create_group(name)
    _write_array(group, values)
    present = [(value, text) for value, text in enumerate(names) if value]
    properties = [{"label-value": value, "name": text or "counted"} for value, text in present]
    label = {"version": NGFF_VERSION, "properties": properties, "source": {"image": "../../"}}
    attributes: dict[str, Any] = {
        "multiscales": [_multiscale(name, axes=_space_axes(), um=um)],
        "image-label": label,
    }
    group.attrs.put(attributes)


def _write_array(group: zarr.Group, values: NDArray[Any]) -> None:
    """Write pixels as the only resolution of a group; zlib, whose bytes carry no time and no machine."""
    codec: dict[str, Any] = {"id": "zlib", "level": 6}
    array = group.create_array(
        "0",
        shape=values.shape,
        dtype=values.dtype,
        chunks=(*values.shape[:-2], min(CHUNK, values.shape[-2]), min(CHUNK, values.shape[-1])),
        compressors=codec,
        chunk_key_encoding={"name": "v2", "separator": "/"},
        fill_value=0,
    )
    array[:] = values


def _space_axes() -> list[Mapping[str, str]]:
    """Return the two axes of a plane, in micrometres."""
    return [{"name": name, "type": "space", "unit": "micrometer"} for name in ("y", "x")]


def _multiscale(name: str, *, axes: Sequence[Mapping[str, str]], um: float) -> dict[str, Any]:
    """Return the metadata of an image of one resolution whose pixels are ``um`` wide."""
    others = len(axes) - 2
    scale = {"type": "scale", "scale": [1.0] * others + [um, um]}
    half = {"type": "translation", "translation": [0.0] * others + [um / 2, um / 2]}
    datasets = [{"path": "0", "coordinateTransformations": [scale, half]}]
    return {"version": NGFF_VERSION, "name": name, "axes": list(axes), "datasets": datasets}


def _channel(label: str, color: str, *, end: float) -> dict[str, Any]:
    """Return how a viewer shows a channel."""
    window = {"min": 0.0, "max": end, "start": 0.0, "end": end}
    return {"label": label, "color": color, "active": True, "window": window}
