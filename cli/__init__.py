"""The command line: one module per kind of question, put together in `app`."""

from .app import app, main

__all__ = ["app", "main"]
