"""slidelab: from scanner file to slide-level pathology report. Research use only."""

from slidelab.errors import SlidelabError
from slidelab.quantify import Interval, Score, SlideResult, Status
from slidelab.workflows import CohortRun, Ki67, RunOptions, SlideInput, find_slides, run_cohort
from slidelab.wsi import PhantomSettings, Region, Slide, inspect_slide, open_slide, write_phantom

__version__ = "0.1.0"

__all__ = [
    "CohortRun",
    "Interval",
    "Ki67",
    "PhantomSettings",
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
