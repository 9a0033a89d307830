"""Results land whole or not at all."""

import json

import pyarrow as pa
import pytest

from slidelab.tiling import ResultStore, atomic_file, remove_leftovers, stage_key, write_json


def test_a_landed_tile_is_read_back(tmp_path):
    store = ResultStore(tmp_path / "cells-abc")
    assert store.finished() == frozenset()
    store.write(7, pa.table({"x": [1.0, 2.0]}))
    assert store.finished() == {7}
    assert store.read(7).to_pydict() == {"x": [1.0, 2.0]}


def test_half_written_and_foreign_files_are_not_results(tmp_path):
    store = ResultStore(tmp_path)
    (tmp_path / ".part-0000003.arrow.x1.tmp").write_bytes(b"half")
    (tmp_path / "part-three.arrow").write_bytes(b"")
    (tmp_path / "notes.txt").write_text("mine")
    assert store.finished() == frozenset()


def test_an_error_while_writing_leaves_the_old_file_and_no_trace(tmp_path):
    path = tmp_path / "value.json"
    write_json(path, {"a": 1})

    def fail_half_way():
        with atomic_file(path) as temporary:
            temporary.write_text("{")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert json.loads(path.read_text()) == {"a": 1}
    assert [entry.name for entry in tmp_path.iterdir()] == ["value.json"]


def test_the_key_depends_on_every_fact_and_not_on_their_order():
    facts = {"mpp": 0.5, "model": {"sha256": "ab", "version": 1}}
    assert stage_key(facts) == stage_key(dict(reversed(facts.items())))
    assert stage_key(facts) != stage_key({**facts, "mpp": 0.25})
    assert stage_key(facts) != stage_key({**facts, "model": {"sha256": "ab", "version": 2}})


def test_leftovers_of_a_killed_process_are_removed_and_nothing_else(tmp_path):
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / ".part-0000001.arrow.x9.tmp").write_bytes(b"half")
    (tmp_path / ".maps.zarr.abc.tmp").mkdir()
    (tmp_path / ".maps.zarr.abc.tmp" / "0").write_bytes(b"half")
    (tmp_path / "mine.tmp").write_text("kept")
    write_json(tmp_path / "value.json", {})
    remove_leftovers(tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")}
    assert left == {"work", "mine.tmp", "value.json"}
