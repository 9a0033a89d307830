"""slidelab: from scanner file to slide-level pathology report. Research use only."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from slidelab.errors import SlidelabError
    from slidelab.quantify import Interval, Score, SlideResult, Status
    from slidelab.workflows import (
        CohortRun,
        ColorectalGrading,
        EstrogenReceptor,
        Her2,
        Ki67,
        Pdl1,
        ProgesteroneReceptor,
        RunOptions,
        SlideInput,
        find_slides,
        run_cohort,
    )
    from slidelab.wsi import PhantomSettings, Region, Slide, inspect_slide, open_slide, write_phantom

__version__ = "0.1.0"

__all__ = [
    "CohortRun",
    "ColorectalGrading",
    "EstrogenReceptor",
    "Her2",
    "Interval",
    "Ki67",
    "Pdl1",
    "PhantomSettings",
    "ProgesteroneReceptor",
    "Region",
    "RunOptions",
    "Score",
    "Slide",
    "SlideInput",
    "SlideResult",
    "SlidelabError",
    "Status",
    "find_slides",
    "inspect_slide",
    "open_slide",
    "run_cohort",
    "write_phantom",
]

_FACES = ("slidelab.errors", "slidelab.wsi", "slidelab.quantify", "slidelab.workflows")


def __getattr__(name: str) -> Any:
    """Load a public name when it is first asked for: ``slidelab --help`` must not wait for numpy."""
    if name in __all__:
        for face in map(import_module, _FACES):
            if hasattr(face, name):
                return getattr(face, name)
    raise AttributeError(f"module 'slidelab' has no attribute {name!r}")
