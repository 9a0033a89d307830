"""Runs a workflow over a cohort: inputs, folders, progress, failures, provenance."""
