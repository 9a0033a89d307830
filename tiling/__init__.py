"""Decides where to look (tissue, quality, grid) and drives blocks through Dask into stores."""

from .engine import Engine, Job, JobResult
from .grid import Tile, TileGrid
from .store import ResultStore, atomic_file, stage_key, write_json

__all__ = [
    "Engine",
    "Job",
    "JobResult",
    "ResultStore",
    "Tile",
    "TileGrid",
    "atomic_file",
    "stage_key",
    "write_json",
]
