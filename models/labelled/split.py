"""Which cases are trained on, which choose settings, and which are only measured: fixed once and for ever."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from ...errors import InvalidTableError
from .image import LabelledImage

__all__ = ["PARTS", "part_of_cases", "split_images"]

PARTS = ("training", "tuning", "validation")
"""Networks learn from the first, thresholds and stopping come from the second, the third is measured."""
SPLIT_SALT = "slidelab-1"
"""Fixes which cases belong to which part for ever; changing it would leak validation cases."""
VALIDATION_SHARE = 0.25
"""Share of the cases of a collection, rounded up, that is only ever measured."""
TUNING_SHARE = 0.12
"""Share of the cases, rounded down, that chooses thresholds; small collections have none to spare."""


def part_of_cases(set_name: str, cases: Iterable[str]) -> dict[str, str]:
    """Return the part of each case of a collection.

    The order of cases is that of a digest of their names, so a part never depends on what the images show,
    and adding images of a known case never moves it. A collection of one case is never validation.
    """

    def digest(case: str) -> str:
        return hashlib.sha256(f"{SPLIT_SALT}:{set_name}:{case}".encode()).hexdigest()

    order = sorted(set(cases), key=digest)
    validation = -int(-VALIDATION_SHARE * len(order) // 1) if len(order) > 1 else 0
    tuning = int(TUNING_SHARE * len(order))
    numbers = (["validation"] * validation + ["tuning"] * tuning + ["training"] * len(order))[: len(order)]
    return dict(zip(order, numbers, strict=True))


def split_images(images: Sequence[LabelledImage]) -> dict[str, list[LabelledImage]]:
    """Divide the images of any collections into `PARTS`.

    A part that its owner has fixed for one image holds for all images of that case; the other cases of the
    collection are divided by `part_of_cases` among themselves.

    Raises
    ------
    InvalidTableError
        If images of one case are fixed to different parts: what is trained on would be measured.
    """
    parts: dict[str, list[LabelledImage]] = {part: [] for part in PARTS}
    for set_name in dict.fromkeys(image.set_name for image in images):
        members = [image for image in images if image.set_name == set_name]
        of_case = _fixed_parts(members)
        of_case |= part_of_cases(set_name, [image.case for image in members if image.case not in of_case])
        for image in members:
            parts[of_case[image.case]].append(image)
    return parts


def _fixed_parts(images: Sequence[LabelledImage]) -> dict[str, str]:
    """Return the parts that owners have fixed, by case."""
    fixed: dict[str, str] = {}
    for image in images:
        if image.part is None:
            continue
        if image.part not in PARTS:
            raise InvalidTableError(
                f"{image.set_name}: {image.name} is in the part {image.part!r}",
                f"Choose from {', '.join(PARTS)}.",
            )
        if fixed.setdefault(image.case, image.part) != image.part:
            raise InvalidTableError(
                f"{image.set_name}: case {image.case} is in {fixed[image.case]} and in {image.part}",
                "Keep all images of a case in one part, or what is measured was learnt from.",
            )
    return fixed
