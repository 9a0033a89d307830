"""Fixtures that every test folder shares."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

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
