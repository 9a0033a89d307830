"""Maps: counts per field by hand, and OME-Zarr 0.4 that stands in the right place."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pytest
import zarr

from slidelab.errors import RegionError
from slidelab.workflows.slides.cell_file import write_cells
from slidelab.workflows.slides.maps import FieldMap, count_fields, write_maps
from slidelab.workflows.slides.nuclear_rule import NuclearRule

CLASSES = NuclearRule.classes


def place(make_cells, cells):
    """A table of cells at given places: (x, y, label, excluded)."""
    table = make_cells(len(cells))
    for column, name in enumerate(("x", "y", "label", "excluded")):
        values = pa.array([cell[column] for cell in cells], table[name].type)
        table = table.set_column(table.schema.names.index(name), name, values)
    return table


@pytest.fixture
def fields():
    return FieldMap(np.array([[1, 0], [2, 30]]), np.array([[4, 0], [8, 60]]), side_px=1000.0, mpp=0.5)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def metadata(folder):
    return json.loads((folder / ".zattrs").read_text())


def test_nuclei_are_counted_in_the_field_that_holds_their_centroid(tmp_path, make_cells):
    # Fields of 500 um at 0.5 um per px are 1000 px wide: a slide of 2500 x 1800 px has 2 rows of 3.
    cells = [
        (0.5, 0.5, "Positive", ""),
        (999.9, 999.9, "Negative", ""),
        (1000.0, 0.5, "Positive", ""),  # half open: the border belongs to the right
        (2400.0, 1799.0, "Negative", ""),
        (2400.0, 1799.0, "Positive", "pen"),  # not counted
        (-3.0, 100.0, "Positive", ""),  # an outline may put a centroid just outside
    ]
    write_cells(tmp_path / "cells.parquet", [place(make_cells, cells)])
    counts = count_fields(tmp_path / "cells.parquet", classes=CLASSES, width=2500, height=1800, mpp=0.5)
    assert counts.counted.tolist() == [[3, 1, 0], [0, 0, 1]]
    assert counts.positive.tolist() == [[2, 1, 0], [0, 0, 0]]
    assert counts.side_um == 500


def test_all_counted_nuclei_are_in_some_field(tmp_path, make_cells):
    cells = make_cells(2000)
    write_cells(tmp_path / "cells.parquet", [cells])
    counts = count_fields(tmp_path / "cells.parquet", classes=CLASSES, width=20_000, height=20_000, mpp=0.25)
    assert counts.counted.sum() == cells["excluded"].to_pylist().count("")


def test_the_index_is_a_percentage_and_empty_fields_have_none(fields):
    index = fields.index()
    assert index[0, 0] == 25
    assert index[1].tolist() == [25, 50]
    assert np.isnan(index[0, 1])
    assert np.isnan(fields.index(least=10)).tolist() == [[True, True], [True, False]]
    assert fields.density()[1, 1] == 240  # 60 nuclei on a quarter of a square millimetre


def test_senseless_fields_are_refused(tmp_path):
    with pytest.raises(RegionError, match="fields of"):
        count_fields(tmp_path / "cells.parquet", classes=CLASSES, width=10, height=10, mpp=0.0)


def test_maps_are_ome_zarr_0_4(tmp_path, fields, tissue, quality):
    path = tmp_path / "maps.zarr"
    write_maps(path, fields=fields, tissue=tissue, quality=quality)
    assert json.loads((path / ".zgroup").read_text()) == {"zarr_format": 2}
    (image,) = metadata(path)["multiscales"]
    assert image["version"] == "0.4"
    assert [axis["name"] for axis in image["axes"]] == ["c", "y", "x"]
    assert {axis.get("unit") for axis in image["axes"][1:]} == {"micrometer"}
    assert image["datasets"][0]["coordinateTransformations"] == [
        {"type": "scale", "scale": [1, 500, 500]},
        {"type": "translation", "translation": [0, 250, 250]},
    ]
    array = json.loads((path / "0" / ".zarray").read_text())
    assert array["dimension_separator"] == "/"
    assert array["compressor"]["id"] == "zlib"
    assert metadata(path / "labels") == {"labels": ["tissue", "quality"]}
    for name in ("tissue", "quality"):
        label = metadata(path / "labels" / name)
        assert label["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [8, 8]
        assert label["image-label"]["version"] == "0.4"
    names = metadata(path / "labels" / "quality")["image-label"]["properties"]
    assert names == [{"label-value": 1, "name": "out_of_focus"}, {"label-value": 2, "name": "pen"}]


def test_maps_hold_the_values(tmp_path, fields, tissue, quality):
    write_maps(tmp_path / "maps.zarr", fields=fields, tissue=tissue, quality=quality)
    root = zarr.open_group(tmp_path / "maps.zarr", mode="r")
    np.testing.assert_array_equal(root["0"][0], fields.index().astype(np.float32))
    np.testing.assert_array_equal(root["0"][1], fields.density().astype(np.float32))
    np.testing.assert_array_equal(root["labels/tissue/0"][:], tissue.mask)
    np.testing.assert_array_equal(root["labels/quality/0"][:], quality.codes)
    assert root["labels/tissue/0"].dtype == np.uint8


def test_maps_repeat_byte_for_byte_and_replace_older_ones(tmp_path, fields, tissue, quality):
    write_maps(tmp_path / "a.zarr", fields=fields, tissue=tissue, quality=quality)
    (tmp_path / "b.zarr").mkdir()
    (tmp_path / "b.zarr" / "leftover").write_text("old")
    write_maps(tmp_path / "b.zarr", fields=fields, tissue=tissue, quality=quality)
    assert tree(tmp_path / "a.zarr") == tree(tmp_path / "b.zarr")
    assert {path.name for path in tmp_path.iterdir()} == {"a.zarr", "b.zarr"}


def test_maps_without_labels_are_an_image_alone(tmp_path, fields):
    write_maps(tmp_path / "maps.zarr", fields=fields)
    assert not (tmp_path / "maps.zarr" / "labels").exists()
