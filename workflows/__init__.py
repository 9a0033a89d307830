"""One module per clinical question, the cohort runner, reports and exports."""

from .cohort import CohortRun, RunOptions, SlideOutcome, run_cohort, slides_to_retry
from .inputs import SlideInput, find_slides
from .ki67 import Ki67

__all__ = [
    "CohortRun",
    "Ki67",
    "RunOptions",
    "SlideInput",
    "SlideOutcome",
    "find_slides",
    "run_cohort",
    "slides_to_retry",
]
