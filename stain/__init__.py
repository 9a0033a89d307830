"""Optical density, unmixing and normalisation: functions on arrays."""
