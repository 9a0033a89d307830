"""Opens any slide or plain image and reads pixels at a physical resolution."""

from __future__ import annotations

from .benchmark import benchmark_reading
from .formats import list_readers
from .inspect import SlideInspection, inspect_slide, require_scorable
from .phantom import PhantomSettings, write_phantom
from .plane import Plane
from .reader import Level
from .region import Region
from .resolution import Candidate, Resolution
from .slide import Slide, open_slide

__all__ = [
    "Candidate",
    "Level",
    "PhantomSettings",
    "Plane",
    "Region",
    "Resolution",
    "Slide",
    "SlideInspection",
    "benchmark_reading",
    "inspect_slide",
    "list_readers",
    "open_slide",
    "require_scorable",
    "write_phantom",
]
