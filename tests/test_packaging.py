"""The package holds what it should, and each face what it promises."""

import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
FACES = [
    "",
    ".wsi",
    ".wsi.formats",
    ".wsi.phantom",
    ".tiling",
    ".stain",
    ".models",
    ".quantify",
    ".workflows",
]


def test_every_package_folder_is_listed_for_the_wheel():
    listed = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    skipped = {"tests", "docs", "examples", "scripts", "build", "dist"}
    folders = {
        "slidelab" + "".join(f".{part}" for part in path.parent.relative_to(REPOSITORY).parts)
        for path in REPOSITORY.rglob("__init__.py")
        if not any(part.startswith(".") or part in skipped for part in path.relative_to(REPOSITORY).parts)
    }
    assert folders == set(listed)


def test_no_module_lives_under_two_names():
    by_file = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and Path(file).is_relative_to(REPOSITORY) and name.startswith("slidelab"):
            by_file.setdefault(file, set()).add(name)
    assert {file: names for file, names in by_file.items() if len(names) > 1} == {}


@pytest.mark.parametrize("face", FACES)
def test_every_promised_name_is_there_and_sorted(face):
    module = importlib.import_module("slidelab" + face)
    names = list(module.__all__)
    constants_first = sorted(names, key=lambda name: (not name.isupper(), not name[0].isupper(), name))
    assert names == constants_first
    for name in names:
        assert hasattr(module, name)


@pytest.mark.parametrize(
    "heavy", ["torch", "dask", "distributed", "matplotlib", "skimage", "openslide", "shapely"]
)
def test_importing_slidelab_loads_nothing_heavy(heavy):
    code = f"import sys, slidelab; sys.exit({heavy!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_errors_are_drawn_as_they_are():
    from slidelab import errors

    for name in errors.__all__:
        leaf = getattr(errors, name)
        assert issubclass(leaf, errors.SlidelabError)
        assert name in errors.__doc__
        if leaf is not errors.SlidelabError:
            builtin = leaf.__mro__[2]
            assert f"({builtin.__name__})" in next(
                line for line in errors.__doc__.splitlines() if name in line
            )


def test_errors_keep_their_advice_across_processes():
    import pickle

    from slidelab.errors import ResolutionError

    error = pickle.loads(pickle.dumps(ResolutionError("no mpp", "Give --mpp.")))
    assert (str(error), error.advice) == ("no mpp", "Give --mpp.")
