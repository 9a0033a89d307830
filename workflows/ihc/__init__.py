"""Markers scored on H-DAB slides: one module per marker, and what they share."""
