"""The face of the folder: what is promised, and how light it is."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

from slidelab import quantify


def test_face_promises_exactly_what_it_imports() -> None:
    public = {
        name
        for name, value in vars(quantify).items()
        if not name.startswith("_") and not isinstance(value, ModuleType) and name != "annotations"
    }
    assert sorted(public) == sorted(quantify.__all__)


def test_face_imports_nothing_heavy() -> None:
    code = (
        "import sys, slidelab.quantify; "
        "print([m for m in ('scipy', 'dask', 'torch', 'skimage', 'shapely') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
