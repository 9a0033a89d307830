"""The markers on H-DAB slides by the names of their workflows."""

from __future__ import annotations

from types import MappingProxyType

from ..immune import HeImmune, StainedImmune
from .her2 import Her2
from .hormone_receptor import EstrogenReceptor, ProgesteroneReceptor
from .ki67 import Ki67
from .pdl1 import Pdl1
from .workflow import IhcWorkflow

__all__ = ["MARKERS"]

SCORED = (Ki67, EstrogenReceptor, ProgesteroneReceptor, Her2, Pdl1)

MARKERS: MappingProxyType[str, type[IhcWorkflow]] = MappingProxyType(
    {each.name: each for each in (*SCORED, HeImmune, StainedImmune)}
)
"""Every workflow that leaves judged cells: what `slidelab score` and `slidelab measure immune` know."""
