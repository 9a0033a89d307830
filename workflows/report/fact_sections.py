"""Sections of facts that the views of all roads share: image, areas, networks, software and settings."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .figures import Figure, RecordWriter, Row, Section, words

__all__ = [
    "AREA_NAMES",
    "area_rows",
    "image_section",
    "network_rows",
    "normalisation_rows",
    "provenance_section",
    "settings_section",
]

AREA_NAMES: Mapping[str, str] = {
    "tissue": "Tissue found",
    "assessed": "Tissue assessed",
    "excluded": "Tissue excluded",
    "missing": "Tissue that could not be read",
}
"""Words for the areas of a result; others keep their own name."""


def image_section(writer: RecordWriter) -> Section:
    """Return file and resolution."""
    rows = [
        Row((words("File"), writer.text("image.file_name"))),
        Row((words("Format"), writer.text("image.vendor"))),
        Row((words("Width, px"), writer.count("image.width"))),
        Row((words("Height, px"), writer.count("image.height"))),
        Row((words("Resolution x, µm per px"), writer.number("resolution.x", places=4))),
        Row((words("Resolution y, µm per px"), writer.number("resolution.y", places=4))),
        Row((words("Resolution from"), writer.text("resolution.source"))),
        Row((words("Working resolution, µm per px"), writer.number("resolution.working_mpp", places=4))),
    ]
    if writer.get("resolution.is_override"):
        rows.append(Row((words("Set by the user"), words("yes: areas and distances rest on this value"))))
    problems = range(len(writer.get("resolution.problems")))
    rows += [Row((words("Note"), writer.text(f"resolution.problems.{number}"))) for number in problems]
    rows.append(Row((words("Fingerprint"), writer.text("image.fingerprint"))))
    return Section("Image", tuple(rows))


def area_rows(writer: RecordWriter, names: Mapping[str, str] = AREA_NAMES) -> list[Row]:
    """Return a line per area of the result, mm², by its name in ``names`` or else its own."""
    return [
        Row((words(names.get(name, name.capitalize())), writer.number(f"areas_mm2.{name}", places=2)))
        for name in writer.get("areas_mm2")
    ]


def network_rows(writer: RecordWriter) -> list[Row]:
    """Return the networks one after the other."""
    rows = []
    for number in range(len(writer.get("networks"))):
        path = f"networks.{number}"
        rows += [
            Row((words("Network"), writer.text(f"{path}.name"))),
            Row((words("Version"), writer.text(f"{path}.version"))),
            Row((words("Resolution, µm per px"), writer.number(f"{path}.mpp", places=2))),
            Row((words("Weights' licence"), writer.text(f"{path}.licence"))),
            Row((words("Weights, sha256"), writer.text(f"{path}.sha256"))),
        ]
    return rows


def normalisation_rows(writer: RecordWriter) -> tuple[Row, ...]:
    """Return what became of a normalisation that was asked for; nothing where none was."""
    told = writer.get("normalisation")
    if told is None:
        return ()
    changed = "yes, for the network alone" if told["changed"] else "no: pixels as scanned"
    rows = [
        Row((words("Normalisation"), writer.text("normalisation.method"))),
        Row((words("Pixels changed"), Figure(changed, "normalisation.changed"))),
    ]
    if told["flags"]:
        rows.append(Row((words("Noted"), Figure(", ".join(told["flags"]), "normalisation.flags"))))
    if told["profile"]:
        rows.append(Row((words("Profile"), writer.text("normalisation.profile"))))
    return tuple(rows)


def provenance_section(writer: RecordWriter, own: Iterable[Row] = ()) -> Section:
    """Return the software; lines of a road's own stand between slidelab and the packages."""
    names = sorted(name for name in writer.get("provenance.software") if "." not in name)
    packages = [
        Row((words(name), writer.text(f"provenance.software.{name}")))
        for name in names
        if name not in ("slidelab", "git")
    ]
    rows = (
        Row((words("slidelab"), writer.text("provenance.slidelab"))),
        Row((words("Commit"), writer.text("provenance.git"))),
        *own,
        *packages,
    )
    return Section("Provenance", rows)


def settings_section(writer: RecordWriter) -> Section:
    """Return every setting on a line of its own."""
    flat = _flatten(writer.get("provenance.settings"), "provenance.settings")
    return Section("Settings", tuple(Row((words(name), figure)) for name, figure in flat))


def _flatten(value: Any, path: str) -> list[tuple[str, Figure]]:
    """Return the leaves of nested settings with their dotted names."""
    if isinstance(value, Mapping):
        return [leaf for key in value for leaf in _flatten(value[key], f"{path}.{key}")]
    text = ", ".join(str(part) for part in value) if isinstance(value, list | tuple) else str(value)
    return [(path.removeprefix("provenance.settings."), Figure(text, path))]
