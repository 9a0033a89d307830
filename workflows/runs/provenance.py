"""Which software made a result."""

from __future__ import annotations

import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["describe_software", "git_commit"]

PACKAGES = (
    "numpy",
    "scipy",
    "scikit-image",
    "openslide-python",
    "tifffile",
    "imagecodecs",
    "dask",
    "pyarrow",
)
"""Packages whose version may change a pixel or a number."""


def describe_software() -> dict[str, str]:
    """Return versions of slidelab, Python and the packages that may change a number."""
    facts = {
        "slidelab": package_version("slidelab"),
        "git": git_commit(),
        "python": platform.python_version(),
    }
    return facts | {name: package_version(name) for name in PACKAGES}


def package_version(name: str) -> str:
    """Return the installed version of a package, or ``unknown``."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "unknown"


@cache
def git_commit() -> str:
    """Return the commit of a source checkout, with ``+`` when files differ from it; else ``release``."""
    folder = Path(__file__).resolve().parents[2]
    if not (folder / ".git").exists():
        return "release"
    try:
        commit = _git(folder, "rev-parse", "--short=12", "HEAD")
        return commit + ("+" if _git(folder, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(folder: Path, *arguments: str) -> str:
    """Run git and return what it prints."""
    command = ["git", "--no-optional-locks", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=10, check=True)
    return done.stdout.strip()
