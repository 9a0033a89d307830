"""Writes what people and programs read of a slide and of a cohort: HTML, PDF, JSON, pictures, charts."""
