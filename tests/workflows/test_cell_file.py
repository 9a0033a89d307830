"""The table of cells: valid GeoParquet, the same bytes however it arrives, nothing half-written."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import shapely

from slidelab.errors import InvalidTableError
from slidelab.workflows.slides.cell_file import (
    CellFileWriter,
    cell_schema,
    make_cell_ids,
    polygons_to_wkb,
    read_cells,
    write_cells,
)

DOCUMENTED = {
    "cell_id": "string",
    "x": "double",
    "y": "double",
    "label": "dictionary<values=string, indices=int32, ordered=0>",
    "excluded": "dictionary<values=string, indices=int32, ordered=0>",
    "probability": "float",
    "area_um2": "float",
    "hematoxylin_od_mean": "float",
    "dab_od_mean": "float",
    "tile": "int32",
    "geometry": "binary",
}


def test_wkb_is_what_shapely_reads_and_writes():
    outlines = np.array([[[0, 0], [10.25, 0], [10.25, 5.5]], [[-3, 7], [1e6, 7.125], [4, 9]]])
    wkb = polygons_to_wkb(outlines)
    polygons = shapely.from_wkb(wkb.to_pylist())
    assert [list(polygon.exterior.coords)[:-1] for polygon in polygons] == [
        [(0, 0), (10.25, 0), (10.25, 5.5)],
        [(-3, 7), (1e6, 7.125), (4, 9)],
    ]
    assert wkb.to_pylist() == [shapely.to_wkb(polygon, byte_order=1) for polygon in polygons]


def test_wkb_corners_are_moved_by_less_than_a_hundredth_of_a_pixel():
    outlines = np.random.default_rng(0).uniform(0, 2e5, (500, 32, 2))
    corners = shapely.get_coordinates(shapely.from_wkb(polygons_to_wkb(outlines).to_pylist()))
    kept = corners.reshape(500, 33, 2)[:, :-1]
    assert np.abs(kept - outlines).max() <= 1 / 128


@pytest.mark.parametrize("shape", [(4, 2), (4, 2, 2), (4, 8, 3)])
def test_wkb_refuses_what_is_no_outline(shape):
    with pytest.raises(InvalidTableError, match="shape"):
        polygons_to_wkb(np.zeros(shape))


def test_wkb_refuses_corners_that_are_no_numbers():
    outlines = np.zeros((2, 3, 2))
    outlines[1, 2, 0] = np.nan
    with pytest.raises(InvalidTableError, match="not finite"):
        polygons_to_wkb(outlines)


def test_wkb_of_no_cells_is_an_empty_column():
    assert len(polygons_to_wkb(np.zeros((0, 8, 2)))) == 0


def test_schema_is_the_documented_one():
    assert {field.name: str(field.type) for field in cell_schema()} == DOCUMENTED


def test_file_is_geoparquet_with_outlines_inside_its_box(tmp_path, make_cells):
    path = tmp_path / "cells.parquet"
    assert write_cells(path, [make_cells(700)]) == 700
    file = pq.read_metadata(path)
    geo = json.loads(file.metadata[b"geo"])
    column = geo["columns"]["geometry"]
    assert geo["version"] == "1.1.0"
    assert geo["primary_column"] == "geometry"
    assert column["encoding"] == "WKB"
    assert column["geometry_types"] == ["Polygon"]
    assert column["crs"] is None
    polygons = shapely.from_wkb(pq.read_table(path)["geometry"].to_numpy())
    assert shapely.is_valid(polygons).all()
    assert column["bbox"] == shapely.total_bounds(polygons).tolist()


def test_rows_come_back_as_they_went_in(tmp_path, make_cells):
    cells = make_cells(300)
    write_cells(tmp_path / "cells.parquet", [cells])
    back = pa.Table.from_batches(read_cells(tmp_path / "cells.parquet"))
    for name in cells.schema.names:
        assert back[name].to_pylist() == cells[name].to_pylist(), name


@pytest.mark.parametrize("step", [1, 37, 256, 1000])
def test_bytes_do_not_depend_on_how_rows_arrive(tmp_path, make_cells, step):
    cells = make_cells(1000)
    for name, size in (("whole", 1000), ("parts", step)):
        with CellFileWriter(tmp_path / name, row_group_size=256) as writer:
            for start in range(0, 1000, size):
                writer.write(cells.slice(start, size))
    assert (tmp_path / "whole").read_bytes() == (tmp_path / "parts").read_bytes()


def test_dictionary_columns_give_the_same_bytes_as_plain_strings(tmp_path, make_cells):
    cells = make_cells(200)
    encoded = cells.set_column(3, "label", cells["label"].dictionary_encode())
    write_cells(tmp_path / "plain", [cells])
    write_cells(tmp_path / "encoded", [encoded.select(encoded.schema.names[::-1])])
    assert (tmp_path / "plain").read_bytes() == (tmp_path / "encoded").read_bytes()


def test_row_groups_have_the_size_asked_for(tmp_path, make_cells):
    with CellFileWriter(tmp_path / "cells.parquet", row_group_size=100) as writer:
        writer.write(make_cells(250))
    file = pq.read_metadata(tmp_path / "cells.parquet")
    assert [file.row_group(index).num_rows for index in range(file.num_row_groups)] == [100, 100, 50]


def test_file_appears_only_when_it_is_whole(tmp_path, make_cells):
    path = tmp_path / "cells.parquet"
    with CellFileWriter(path) as writer:
        writer.write(make_cells(10))
        assert not path.exists()
    assert path.exists()


def fail_half_way(writer, cells):
    writer.write(cells)
    raise RuntimeError("power cut")


def test_an_error_leaves_the_older_file_and_no_litter(tmp_path, make_cells):
    path = tmp_path / "cells.parquet"
    write_cells(path, [make_cells(10)])
    before = path.read_bytes()
    with pytest.raises(RuntimeError, match="power cut"), CellFileWriter(path) as writer:
        fail_half_way(writer, make_cells(20))
    assert path.read_bytes() == before
    assert [each.name for each in tmp_path.iterdir()] == ["cells.parquet"]


def test_a_slide_without_cells_has_a_valid_empty_file(tmp_path):
    path = tmp_path / "cells.parquet"
    assert write_cells(path, []) == 0
    assert pq.read_table(path).num_rows == 0
    assert json.loads(pq.read_metadata(path).metadata[b"geo"])["columns"]["geometry"]["geometry_types"] == []


def test_wrong_tables_are_refused_with_the_column_named(tmp_path, make_cells):
    cells = make_cells(5)
    broken = {
        "missing or unknown columns: area_um2": cells.drop_columns(["area_um2"]),
        "missing or unknown columns: shoe_size": cells.append_column("shoe_size", pa.array(range(5))),
        "column label has empty values": cells.set_column(3, "label", pa.array(["Positive"] * 4 + [None])),
        "column x is string": cells.set_column(1, "x", pa.array(["a"] * 5)),
    }
    for message, table in broken.items():
        with pytest.raises(InvalidTableError, match=message):
            write_cells(tmp_path / "cells.parquet", [table])
    assert not list(tmp_path.iterdir())


def test_reader_gives_the_columns_asked_for_in_bounded_batches(tmp_path, make_cells):
    write_cells(tmp_path / "cells.parquet", [make_cells(250)])
    batches = list(read_cells(tmp_path / "cells.parquet", ("x", "label"), batch_size=100))
    assert all(batch.schema.names == ["x", "label"] for batch in batches)
    assert max(batch.num_rows for batch in batches) <= 100
    assert sum(batch.num_rows for batch in batches) == 250


def test_reader_refuses_other_files(tmp_path):
    (tmp_path / "notes.parquet").write_text("no table")
    with pytest.raises(InvalidTableError, match="not a Parquet file"):
        next(read_cells(tmp_path / "notes.parquet"))
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "other.parquet")
    with pytest.raises(InvalidTableError, match=r"lacks the columns .*geometry"):
        next(read_cells(tmp_path / "other.parquet"))


def test_cell_names_are_uuids_that_depend_on_slide_and_place_alone():
    random = np.random.default_rng(0)
    x, y = random.uniform(0, 1e5, (2, 5000))
    names = make_cell_ids("slide a", x=x, y=y).to_pylist()
    assert len({uuid.UUID(name) for name in names}) == 5000
    assert all(uuid.UUID(name).variant == uuid.RFC_4122 for name in names)
    order = random.permutation(5000)
    assert make_cell_ids("slide a", x=x[order], y=y[order]).to_pylist() == [names[index] for index in order]
    assert not set(names) & set(make_cell_ids("slide b", x=x, y=y).to_pylist())
    assert not set(names) & set(make_cell_ids("slide a", x=y, y=x).to_pylist())
