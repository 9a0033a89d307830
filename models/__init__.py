"""Detectors and classifiers, and the cell table they return."""
