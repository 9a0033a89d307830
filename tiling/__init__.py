"""Decides where to look (tissue, quality, grid) and drives blocks through Dask into stores."""

from .engine import Engine, Job, JobResult, available_cores
from .grid import Tile, TileGrid
from .ink import InkSettings
from .quality import QualityMap, QualitySettings, assess_quality
from .store import ResultStore, atomic_file, remove_leftovers, stage_key, write_json
from .tissue import TissueMask, TissueSettings, find_tissue
from .windows import halves, tissue_windows

__all__ = [
    "Engine",
    "InkSettings",
    "Job",
    "JobResult",
    "QualityMap",
    "QualitySettings",
    "ResultStore",
    "Tile",
    "TileGrid",
    "TissueMask",
    "TissueSettings",
    "assess_quality",
    "atomic_file",
    "available_cores",
    "find_tissue",
    "halves",
    "remove_leftovers",
    "stage_key",
    "tissue_windows",
    "write_json",
]
