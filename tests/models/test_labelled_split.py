"""The split of cases never changes, and no case is in two parts."""

from pathlib import Path

import numpy as np
import pytest

from slidelab.models.labelled import PARTS, LabelledImage, part_of_cases, split_images


def image(case, *, set_name="made-up", name=None):
    none = np.empty(0)
    return LabelledImage(
        set_name, name or case, case, Path("absent.png"), 0.5, x=none, y=none, labels=np.empty(0, "<U8")
    )


def test_the_parts_of_a_list_of_cases_are_pinned():
    parts = part_of_cases("made-up", [f"case-{number}" for number in range(12)])
    chosen = {part: sorted(case for case in parts if parts[case] == part) for part in PARTS}
    assert chosen["validation"] == ["case-3", "case-5", "case-6"]
    assert chosen["tuning"] == ["case-7"]
    assert len(chosen["training"]) == 8


def test_the_order_and_the_number_of_images_do_not_move_a_case():
    cases = [f"case-{number}" for number in range(12)]
    assert part_of_cases("made-up", reversed(cases)) == part_of_cases("made-up", [*cases, *cases])


def test_each_collection_is_divided_by_itself():
    cases = [f"case-{number}" for number in range(40)]
    first, second = (part_of_cases(name, cases) for name in ("made-up", "another"))
    assert first != second
    both = [image(case, set_name=name) for name in ("made-up", "another") for case in cases]
    parts = split_images(both)
    assert {one.case for one in parts["validation"] if one.set_name == "another"} == {
        case for case, part in second.items() if part == "validation"
    }


@pytest.mark.parametrize("count", [2, 3, 4, 9, 17, 50])
def test_a_quarter_of_the_cases_rounded_up_is_only_measured(count):
    parts = list(part_of_cases("made-up", [f"case-{number}" for number in range(count)]).values())
    assert parts.count("validation") == -(-count // 4)
    assert parts.count("tuning") == int(0.12 * count)
    assert parts.count("training") >= 1


def test_a_single_case_is_trained_on_and_not_measured():
    assert part_of_cases("made-up", ["only"]) == {"only": "training"}


def test_images_of_one_case_stay_together():
    images = [image(f"case-{number % 5}", name=f"image-{number}") for number in range(40)]
    parts = split_images(images)
    assert sum(len(members) for members in parts.values()) == 40
    cases = [{one.case for one in parts[part]} for part in PARTS]
    assert sum(len(members) for members in cases) == len(set().union(*cases)) == 5
