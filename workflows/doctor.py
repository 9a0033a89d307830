"""Is this installation sound? A look at its parts and one slide read end to end."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from .runs.provenance import describe_software, package_version

__all__ = ["Check", "examine_installation"]


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    ok: bool
    finding: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return asdict(self)


def examine_installation() -> list[Check]:
    """Look at versions, machine and disk, and score a small phantom from file to report."""
    looks: list[tuple[str, Callable[[], str]]] = [
        ("python", _python),
        ("slidelab", _versions),
        ("openslide", _openslide),
        ("codecs", _codecs),
        ("machine", _machine),
        ("temporary disk", _disk),
        ("a slide end to end", _end_to_end),
    ]
    return [_look(name, look) for name, look in looks]


def _look(name: str, look: Callable[[], str]) -> Check:
    """Turn whatever goes wrong in a look into a failed check: this is the place that exists to tell it."""
    try:
        return Check(name, True, look())
    except Exception as error:
        return Check(name, False, f"{type(error).__name__}: {error}")


def _python() -> str:
    return f"{platform.python_version()} on {platform.platform()}"


def _versions() -> str:
    software = describe_software()
    return f"{software['slidelab']} ({software['git']})"


def _openslide() -> str:
    import openslide

    return f"library {openslide.__library_version__}, python {package_version('openslide-python')}"


def _codecs() -> str:
    import imagecodecs

    missing = [
        name for name in ("JPEG8", "JPEG2K", "LZW", "DEFLATE") if not getattr(imagecodecs, name).available
    ]
    if missing:
        raise RuntimeError(f"imagecodecs lacks {', '.join(missing)}: reinstall it")
    return f"imagecodecs {package_version('imagecodecs')}: JPEG, JPEG 2000, LZW, Deflate"


def _machine() -> str:
    import psutil

    from ..tiling import available_cores

    memory = psutil.virtual_memory().total / 1e9
    if memory < 4:
        raise RuntimeError(f"{memory:.1f} GB of memory: a worker may need 1.5 GB")
    return f"{available_cores()} of {os.cpu_count()} cores, {memory:.0f} GB of memory"


def _disk() -> str:
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free < 1:
        raise RuntimeError(f"{free:.1f} GB free in {tempfile.gettempdir()}")
    return f"{free:.0f} GB free in {tempfile.gettempdir()}"


def _end_to_end() -> str:
    from ..wsi import PhantomSettings, write_phantom
    from .ihc.ki67 import Ki67
    from .runs.cohort import run_cohort
    from .runs.inputs import find_slides
    from .runs.workflow import RunOptions

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "phantom.tiff"
        write_phantom(path, PhantomSettings(width=2048, height=2048, truth=25.0, seed=7, artefacts=False))
        options = RunOptions(Path(folder) / "results", scheduler="threads", workers=1)
        run = run_cohort(Ki67(), find_slides([path]), options=options)
        outcome = run.outcomes[0]
        if outcome.record is None:
            raise RuntimeError(outcome.failures[0].reason)
        row = outcome.to_json(None)
        return f"phantom with 25 % scored {row['value']:.1f} % over {row['denominator']} nuclei"
