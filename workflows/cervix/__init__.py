"""Cervical screening: from cytology slides to results by the Bethesda System."""
