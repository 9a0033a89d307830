"""slidelab: from scanner file to slide-level pathology report. Research use only."""

__version__ = "0.1.0"
