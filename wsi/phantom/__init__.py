"""Phantom slides: synthetic whole slides whose every nucleus is known."""

from .settings import KINDS, KindFacts, PhantomSettings
from .write import write_phantom

__all__ = ["KINDS", "KindFacts", "PhantomSettings", "write_phantom"]
