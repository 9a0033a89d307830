"""Maps of a slide as OME-Zarr 0.4, and the counts per field that the index map shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ...errors import RegionError
from .cell_file import read_cells
from .cell_rule import CellClass, Role
from .zarr_maps import channel, fresh_group, multiscale, space_axes, write_array, write_label

if TYPE_CHECKING:
    import zarr

    from ...tiling import QualityMap, TissueMask

__all__ = ["FieldMap", "count_fields", "write_maps"]

FIELD_UM = 500.0
"""Side of a field, um: near to a high-power field, and 100 to 1000 nuclei of solid tumour."""


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
    with fresh_group(path) as root:
        _write_fields(root, fields)
        labels: list[str] = []
        if tissue is not None:
            labels.append("tissue")
            write_label(
                root,
                "tissue",
                values=tissue.mask.astype(np.uint8),
                um=tissue.downsample * fields.mpp,
                names=("background", "tissue"),
            )
        if quality is not None:
            labels.append("quality")
            write_label(
                root,
                "quality",
                values=quality.codes,
                um=quality.downsample * fields.mpp,
                names=quality.reasons,
            )
        if labels:
            root["labels"].attrs["labels"] = labels


def _write_fields(root: zarr.Group, fields: FieldMap) -> None:
    """Write the two maps per field as the channels of the image."""
    values = np.stack([fields.index(), fields.density()]).astype(np.float32)
    write_array(root, values)
    axes = [{"name": "c", "type": "channel"}, *space_axes()]
    channels = [
        channel("positive_percent", "FFA500", end=100.0),
        channel("nuclei_per_mm2", "00A0FF", end=max(1.0, float(np.ceil(fields.density().max(initial=0.0))))),
    ]
    attributes: dict[str, Any] = {
        "multiscales": [multiscale("fields", axes=axes, um=fields.side_um)],
        "omero": {"channels": channels, "rdefs": {"model": "color"}},
    }
    root.attrs.put(attributes)
