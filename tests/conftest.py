"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

# Read when torch is first imported. The networks of tests are small: on a busy machine several threads mostly
# wait for each other, and spin while they do. That nothing depends on their number has tests of its own.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# Machines differ in speed; no test may depend on it. Derandomised: what passed once passes again.
settings.register_profile("slidelab", deadline=None, derandomize=True)
settings.load_profile("slidelab")

REPOSITORY = Path(__file__).resolve().parents[1]
DATA_VARIABLE = "SLIDELAB_TEST_DATA"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """Folder of real slides and labelled images; the test skips where it is absent."""
    folder = Path(os.environ.get(DATA_VARIABLE, REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real slides not found at {folder}; set {DATA_VARIABLE} to their folder")
    return folder
