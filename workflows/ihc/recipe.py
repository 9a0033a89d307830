"""How a slide's report was made, kept beside its cells so that it can be made again from corrected ones."""

from __future__ import annotations

import json
from dataclasses import asdict, fields, is_dataclass
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args, get_type_hints

from ...errors import RunFolderError, SlidelabError
from ...tiling import write_json
from ..slides.tile_detector import TileDetector

if TYPE_CHECKING:
    from ..slides.tumour_region import TumourRegion
    from .workflow import IhcWorkflow

__all__ = ["Recipe", "read_recipe", "write_recipe"]

RECIPE_FILE = "recipe.json"
SHARED = frozenset({"plan", "detector", "tumour", "lab", "normalise"})
"""Fields of all workflows; the others are the marker's own."""


class Recipe:
    """What a slide's report was made with.

    Parameters
    ----------
    value : dict
        Content of the file.
    """

    def __init__(self, value: dict[str, Any]) -> None:
        self._value = value

    def workflow(self, detector: TileDetector) -> IhcWorkflow:
        """Return the workflow, with the detector fitted to the slide; fit to report, not to run again.

        Raises
        ------
        RunFolderError
            If this version knows no such marker or settings.
        """
        from .markers import MARKERS

        value, name = self._value, self._value["workflow"]
        if name not in MARKERS:
            raise RunFolderError(
                f"a run of {name}, which no version of a marker knows", f"Known are {', '.join(MARKERS)}."
            )
        marker = MARKERS[name]
        try:
            hints = get_type_hints(marker, localns={"LabProfile": object, "TumourRegion": object})
            own = {key: _revived(hints[key], each) for key, each in value["arguments"].items()}
            tumour = None if value["tumour"] is None else Path(value["tumour"])
            return marker(detector=detector, tumour=tumour, lab=_lab(value["lab"]), **own)
        except (LookupError, TypeError, ValueError) as error:
            if isinstance(error, SlidelabError):
                raise
            raise RunFolderError(
                f"the settings of this {name} run cannot be restored ({type(error).__name__}: {error})",
                "Run the same command again with this version; cells that were found are kept.",
            ) from error

    def region(self) -> TumourRegion | None:
        """Return the outline of the tumour that the run was given."""
        value = self._value["region"]
        if value is None:
            return None
        import shapely

        from ..slides.tumour_region import TumourRegion

        lists = {key: tuple(value[key]) for key in ("classes", "subtracted", "neutral", "flags")}
        outline = shapely.from_wkb(value["outline"])
        return TumourRegion(
            outline=outline, mpp=value["mpp"], file=value["file"], sha256=value["sha256"], **lists
        )


def write_recipe(work: Path, workflow: IhcWorkflow, *, region: TumourRegion | None) -> None:
    """Write what a report is made with into a slide's work folder."""
    own = [each.name for each in fields(workflow) if each.name not in SHARED]
    value = {
        "workflow": workflow.name,
        "arguments": {name: _plain(getattr(workflow, name)) for name in own},
        "tumour": None if workflow.tumour is None else workflow.tumour.name,
        "lab": None if workflow.lab is None else workflow.lab.to_json(),
        "region": None if region is None else _region_value(region),
    }
    write_json(work / RECIPE_FILE, value)


def read_recipe(work: Path) -> Recipe:
    """Read it again.

    Raises
    ------
    RunFolderError
        If the run left none.
    """
    path = work / RECIPE_FILE
    if not path.is_file():
        raise RunFolderError(
            f"{path} is gone, or an earlier version made this run",
            "Run the same command again into the same folder; cells that were found are kept.",
        )
    value: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return Recipe(value)


def _region_value(region: TumourRegion) -> dict[str, Any]:
    """Return an outline as plain JSON values, exact to the last bit."""
    kept = ("file", "sha256", "mpp", "classes", "subtracted", "neutral", "flags")
    return {**{name: _plain(getattr(region, name)) for name in kept}, "outline": region.outline.wkb_hex}


def _lab(value: dict[str, Any] | None) -> Any:
    """Return the profile of a laboratory."""
    if value is None:
        return None
    from ..lab_profile import LabProfile

    return LabProfile.from_json(value)


def _plain(value: Any) -> Any:
    """Return a setting as plain JSON values."""
    if is_dataclass(value) and not isinstance(value, type):
        return {key: _plain(each) for key, each in asdict(value).items()}
    if isinstance(value, dict):
        return {key: _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    return value.value if isinstance(value, Enum) else value


def _revived(hint: Any, value: Any) -> Any:
    """Return a setting as its type wants it: settings of settings, tuples, names of enumerations."""
    if value is None:
        return None
    for kind in (hint, *get_args(hint)):
        if isinstance(value, dict) and isinstance(kind, type) and is_dataclass(kind):
            hints = get_type_hints(kind)
            return kind(**{key: _revived(hints[key], each) for key, each in value.items()})
        if isinstance(kind, type) and issubclass(kind, Enum):
            return kind(value)
    return tuple(value) if isinstance(value, list) else value
