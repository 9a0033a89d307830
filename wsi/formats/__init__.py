"""One reader per family of file formats, and the registry that decides who opens what."""

from .registry import list_readers, open_reader

__all__ = ["list_readers", "open_reader"]
