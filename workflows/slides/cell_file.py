"""The table of cells on disk: GeoParquet 1.1, written and read in streams."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray

from ...errors import InvalidTableError
from ...tiling import atomic_file

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CELL_COLUMNS",
    "CLASS_PROBABILITIES",
    "FURTHER_COLUMNS",
    "PROBABILITIES",
    "RING",
    "CellFileWriter",
    "cell_schema",
    "make_cell_ids",
    "polygons_to_wkb",
    "read_cells",
    "read_square",
    "ring_column",
    "write_cells",
]

CELL_COLUMNS = (
    ("cell_id", "string"),
    ("x", "float64"),
    ("y", "float64"),
    ("label", "dictionary"),
    ("excluded", "dictionary"),
    ("probability", "float32"),
    ("area_um2", "float32"),
    ("hematoxylin_od_mean", "float32"),
    ("dab_od_mean", "float32"),
    ("tile", "int32"),
    ("geometry", "binary"),
)
"""Name and Arrow type of the columns of every file, in their order."""

PROBABILITIES = ("tumour_probability", "positive_probability")
"""Further float32 columns, before ``tile``, of networks that tell them."""

CLASS_PROBABILITIES = ("epithelial_probability", "inflammatory_probability", "stromal_probability")
"""Further float32 columns of networks that tell kinds of nuclei; what is left to 1 is none of these."""

RING = "membrane_od"
"""Density of the membrane in 32 directions, hundredths of OD, 255 for 2.55 and more."""
RING_VALUES = 32
"""Directions: the vertices of an outline."""

FURTHER_COLUMNS: Mapping[str, str] = {
    **dict.fromkeys((*PROBABILITIES, *CLASS_PROBABILITIES), "float32"),
    "cytoplasm_dab_od_mean": "float32",
    "nucleus_elongation": "float32",
    RING: "ring",
}
"""Name and Arrow type of all columns that some detectors fill, before ``tile``, in their order."""

ROW_GROUP_SIZE = 65_536
"""Rows per Parquet row group: about 35 MB of outlines, what a reader must hold at once."""

BOX_SLICE = 8_192
"""Outlines looked at together for the bounding box."""

OUTLINE_STEPS = 64
"""Outlines lie on a grid of 1/64 px: finer than any detector, and a third of the size on disk.

A power of two leaves trailing zero bits in every double, which zstd removes; 0.01 px would not."""

WKB_POLYGON = 3
WKB_LITTLE_ENDIAN = 1


def cell_schema(probabilities: Sequence[str] = ()) -> pa.Schema:
    """Return the Arrow schema of ``cells.parquet`` with those of `FURTHER_COLUMNS` that the detector fills.

    ``cell_id`` is a UUID; ``x`` and ``y`` the centroid in level-0 px (origin top-left, centre of the first
    pixel at 0.5); ``label`` the class; ``excluded`` why the cell is not counted, empty when it is;
    ``probability`` 0-1; ``area_um2`` in square micrometres; the two densities are means inside the
    outline in base-10 units; ``tile`` the owning tile; ``geometry`` a WKB polygon in level-0 px.

    With ``membrane_od`` the geometry is the cell's outline, whose vertex k lies on the ray of value k, in
    hundredths of OD; ``cytoplasm_dab_od_mean`` is the mean between nucleus and membrane. Area and densities
    stay those of the nucleus; ``nucleus_elongation`` is its long over its short axis.
    """
    import pyarrow as pa

    kinds = {
        "string": pa.string(),
        "float64": pa.float64(),
        "float32": pa.float32(),
        "int32": pa.int32(),
        "dictionary": pa.dictionary(pa.int32(), pa.string()),
        "binary": pa.binary(),
        "ring": pa.list_(pa.field("element", pa.uint8(), nullable=False), RING_VALUES),
    }
    columns = list(CELL_COLUMNS)
    place = next(number for number, (name, _) in enumerate(columns) if name == "tile")
    columns[place:place] = [(name, FURTHER_COLUMNS[name]) for name in probabilities]
    return pa.schema([pa.field(name, kinds[kind], nullable=False) for name, kind in columns])


def polygons_to_wkb(outlines: NDArray[np.floating[Any]]) -> pa.BinaryArray:
    """Encode closed outlines as well-known binary polygons, without a loop over cells.

    Parameters
    ----------
    outlines : (N, V, 2) float array
        Corners x, y of N outlines in level-0 px, V >= 3 each, the first corner not repeated.

    Returns
    -------
    pyarrow.BinaryArray
        N polygons of one ring with V + 1 points each, rounded to 1/64 px.

    Raises
    ------
    InvalidTableError
        If the shape is not (N, V >= 3, 2), a coordinate is not finite, or the array would pass 2 GiB.
    """
    import pyarrow as pa

    if outlines.ndim != 3 or outlines.shape[1] < 3 or outlines.shape[2] != 2:
        raise InvalidTableError(
            f"outlines have shape {outlines.shape}", "Pass (cells, corners, 2) with at least three corners."
        )
    if not np.isfinite(outlines).all():
        raise InvalidTableError(
            "an outline has a corner that is not finite", "Drop such cells before writing."
        )
    count, corners, _ = outlines.shape
    dtype = np.dtype(
        [
            ("order", "u1"),
            ("type", "<u4"),
            ("rings", "<u4"),
            ("points", "<u4"),
            ("xy", "<f8", (corners + 1, 2)),
        ]
    )
    if count * dtype.itemsize >= 2**31:
        raise InvalidTableError(
            f"{count} outlines of {corners} corners pass 2 GiB in one array",
            "Encode them in smaller batches.",
        )
    wkb = np.empty(count, dtype)
    wkb["order"], wkb["type"], wkb["rings"], wkb["points"] = WKB_LITTLE_ENDIAN, WKB_POLYGON, 1, corners + 1
    wkb["xy"][:, :-1] = np.round(outlines * OUTLINE_STEPS) / OUTLINE_STEPS
    wkb["xy"][:, -1] = wkb["xy"][:, 0]
    offsets = np.arange(count + 1, dtype=np.int32) * np.int32(dtype.itemsize)
    return pa.Array.from_buffers(pa.binary(), count, [None, pa.py_buffer(offsets), pa.py_buffer(wkb)])


def ring_column(rings: NDArray[np.uint8]) -> pa.FixedSizeListArray:
    """Turn rings (N, 32), hundredths of OD, into a column of the type that the cell file has.

    Raises
    ------
    InvalidTableError
        If a ring has another number of values.
    """
    import pyarrow as pa

    if rings.ndim != 2 or rings.shape[1] != RING_VALUES:
        raise InvalidTableError(
            f"rings have shape {rings.shape}, expected (cells, {RING_VALUES})",
            f"Use a detector whose outlines have {RING_VALUES} vertices.",
        )
    values = pa.array(np.ascontiguousarray(rings).ravel(), pa.uint8())
    return pa.FixedSizeListArray.from_arrays(values, type=cell_schema((RING,)).field(RING).type)


def make_cell_ids(fingerprint: str, *, x: NDArray[np.float64], y: NDArray[np.float64]) -> pa.StringArray:
    """Name cells by slide and place, so that the same cell has the same name in every run.

    Parameters
    ----------
    fingerprint : str
        The slide's fingerprint.
    x, y : (N,) float64 arrays
        Centroids, level-0 px. Places equal to 1/64 px give equal names; the tile does not enter.

    Returns
    -------
    pyarrow.StringArray
        N UUIDs of version 8 (a hash of the maker's own, RFC 9562).
    """
    import pyarrow as pa

    seeds = np.frombuffer(hashlib.sha256(fingerprint.encode()).digest()[:16], "<u8")
    across = np.round(np.asarray(x) * OUTLINE_STEPS).astype(np.int64).view(np.uint64)
    down = np.round(np.asarray(y) * OUTLINE_STEPS).astype(np.int64).view(np.uint64)
    high = _mix(_mix(across ^ seeds[0]) ^ down)
    low = _mix(_mix(down ^ seeds[1]) ^ across)
    digest = np.stack([high, low], axis=1).astype(">u8").view(np.uint8).reshape(-1, 16)
    digest[:, 6] = digest[:, 6] & 0x0F | 0x80
    digest[:, 8] = digest[:, 8] & 0x3F | 0x80
    digits = np.frombuffer(b"0123456789abcdef", np.uint8)[np.stack([digest >> 4, digest & 15], axis=2)]
    text = np.insert(digits.reshape(-1, 32), (8, 12, 16, 20), ord("-"), axis=1)
    offsets = np.arange(len(text) + 1, dtype=np.int32) * np.int32(36)
    return pa.Array.from_buffers(
        pa.string(), len(text), [None, pa.py_buffer(offsets), pa.py_buffer(np.ascontiguousarray(text))]
    )


def _mix(value: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Scramble 64 bits so that near inputs give far outputs (the finaliser of splitmix64)."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(value ^ (value >> np.uint64(31)), np.uint64)


class CellFileWriter:
    """Writes ``cells.parquet`` as a stream; the file appears in one step when the block ends well.

    The bytes depend on the rows alone, not on how they were cut into batches, so an interrupted and
    resumed run ends with the same file.

    Parameters
    ----------
    path : Path
        The file to make; an older one is replaced at the end.
    probabilities : sequence of str
        Those of `FURTHER_COLUMNS` that the cells have.
    row_group_size : int
        Rows per row group; bounds the memory of writer and readers.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        probabilities: Sequence[str] = (),
        row_group_size: int = ROW_GROUP_SIZE,
    ) -> None:
        self._path = Path(path)
        self._row_group_size = row_group_size
        self._schema = cell_schema(probabilities)
        self._pending: list[pa.Table] = []
        self._pending_rows = 0
        self._box = np.array([np.inf, np.inf, -np.inf, -np.inf])
        self._writer: Any = None
        self.rows = 0
        """Rows taken so far."""

    def __enter__(self) -> Self:
        """Open the temporary file."""
        self._context = self._open()
        return self._context.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Finish and name the file, or leave no trace of it after an error."""
        self._context.__exit__(kind, error, trace)

    @contextmanager
    def _open(self) -> Iterator[Self]:
        """Hold the temporary file and the Parquet writer; finish both only after a good end."""
        import pyarrow.parquet as pq

        with (
            atomic_file(self._path) as temporary,
            pq.ParquetWriter(
                temporary, self._schema, compression="zstd", use_dictionary=["label", "excluded", "tile"]
            ) as self._writer,
        ):
            yield self
            if self._pending_rows:
                self._flush(self._pending_rows)
            self._writer.add_key_value_metadata({"geo": self._geo_metadata()})

    def write(self, cells: pa.Table | pa.RecordBatch) -> None:
        """Append cells, in their order.

        Parameters
        ----------
        cells : pyarrow.Table or pyarrow.RecordBatch
            The columns of `cell_schema`, in any order; plain strings are taken for dictionaries.

        Raises
        ------
        InvalidTableError
            If a column is missing, unknown, of a wrong type or has nulls.
        """
        table = _checked(cells, self._schema)
        self._widen_box(table["geometry"])
        self.rows += table.num_rows
        self._pending.append(table)
        self._pending_rows += table.num_rows
        while self._pending_rows >= self._row_group_size:
            self._flush(self._row_group_size)

    def _widen_box(self, wkb: pa.ChunkedArray) -> None:
        """Let the file's bounding box hold these outlines too, a slice at a time to spare memory."""
        import shapely

        for start in range(0, len(wkb), BOX_SLICE):
            box = shapely.total_bounds(shapely.from_wkb(wkb.slice(start, BOX_SLICE).to_numpy()))
            self._box[:2] = np.minimum(self._box[:2], box[:2])
            self._box[2:] = np.maximum(self._box[2:], box[2:])

    def _flush(self, rows: int) -> None:
        """Write one row group of the oldest pending rows."""
        import pyarrow as pa

        pending = pa.concat_tables(self._pending)
        group, rest = pending.slice(0, rows), pending.slice(rows)
        self._pending, self._pending_rows = ([rest] if rest.num_rows else []), rest.num_rows
        # One chunk, then encode: dictionaries in order of first appearance, however the rows arrived.
        group = group.combine_chunks().cast(self._schema)
        self._writer.write_table(group, row_group_size=rows)

    def _geo_metadata(self) -> str:
        """Return the ``geo`` entry that makes the file GeoParquet."""
        column: dict[str, Any] = {
            "encoding": "WKB",
            "geometry_types": ["Polygon"] if self.rows else [],
            "crs": None,  # not a place on Earth: level-0 pixels, origin top-left, y down
            "edges": "planar",
        }
        if self.rows:
            column["bbox"] = self._box.tolist()
        return json.dumps({"version": "1.1.0", "primary_column": "geometry", "columns": {"geometry": column}})


def write_cells(path: str | Path, batches: Iterable[pa.Table | pa.RecordBatch]) -> int:
    """Write a stream of cell batches to one file and return the number of rows."""
    with CellFileWriter(path) as writer:
        for batch in batches:
            writer.write(batch)
    return writer.rows


def read_cells(
    path: str | Path, columns: Sequence[str] | None = None, *, batch_size: int = ROW_GROUP_SIZE
) -> Iterator[pa.RecordBatch]:
    """Read cells batch by batch.

    Parameters
    ----------
    path : str or Path
        A file that `CellFileWriter` made.
    columns : sequence of str, optional
        The columns wanted, all by default; leaving ``geometry`` out is about twenty times faster.
    batch_size : int
        Most rows per batch.

    Yields
    ------
    pyarrow.RecordBatch
        Rows in the order of the file.

    Raises
    ------
    InvalidTableError
        If the file is no Parquet file or lacks a column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path, pre_buffer=False)
    except pa.ArrowInvalid as error:
        raise InvalidTableError(
            f"{Path(path).name} is not a Parquet file", "Run the slide again to make a new one."
        ) from error
    with file:
        wanted = [name for name, _ in CELL_COLUMNS] if columns is None else list(columns)
        if columns is None:
            wanted += [name for name in FURTHER_COLUMNS if name in file.schema_arrow.names]
        missing = sorted(set(wanted) - set(file.schema_arrow.names))
        if missing:
            raise InvalidTableError(
                f"{Path(path).name} lacks the columns {', '.join(missing)}",
                "Use a cells.parquet of slidelab.",
            )
        yield from file.iter_batches(batch_size=batch_size, columns=wanted)


def read_square(path: str | Path, x: float, y: float, side: float, *, columns: Sequence[str]) -> pa.Table:
    """Read the cells whose centroid lies in a square, and no more of the file than must be.

    Parameters
    ----------
    path : str or Path
        A file that `CellFileWriter` made.
    x, y, side : float
        Upper left corner and side, level-0 px.
    columns : sequence of str
        The columns wanted.
    """
    import pyarrow.parquet as pq

    # Row groups hold whole tiles, so their ranges of x and y rule most of them out.
    inside = [("x", ">=", x), ("x", "<=", x + side), ("y", ">=", y), ("y", "<=", y + side)]
    return pq.read_table(path, columns=list(columns), filters=inside)


def _checked(cells: pa.Table | pa.RecordBatch, schema: pa.Schema) -> pa.Table:
    """Return the cells as a table of plain columns in the schema's order, or say what is wrong."""
    import pyarrow as pa

    if sorted(cells.schema.names) != sorted(schema.names):
        odd = sorted(set(cells.schema.names) ^ set(schema.names))
        raise InvalidTableError(
            f"missing or unknown columns: {', '.join(odd)}", "Pass exactly the cell columns."
        )
    columns = []
    for field in schema:
        kind = pa.string() if pa.types.is_dictionary(field.type) else field.type
        column = cells[field.name]
        if column.null_count:
            raise InvalidTableError(f"column {field.name} has empty values", "Every cell needs every value.")
        try:
            columns.append(column.cast(kind))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InvalidTableError(
                f"column {field.name} is {column.type}, not {kind}", "Convert it before writing."
            ) from error
    return pa.table(columns, names=schema.names)
