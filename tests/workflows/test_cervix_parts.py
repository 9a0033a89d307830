"""The parts of cervical screening that need no slide."""

from __future__ import annotations

import numpy as np
import pytest

from slidelab.errors import SettingsError
from slidelab.workflows.cervix.call_reader import LearnedCalls, SizeRules, choose_calls, codes_of
from slidelab.workflows.cervix.evidence import likeliest, sound_chances
from slidelab.workflows.cervix.first_look import look_first
from slidelab.workflows.cervix.plan import ScreeningSettings, halo_of
from slidelab.workflows.cervix.planted import at_mpp, plant

CODES = ("NILM", "ASC-US", "HSIL", "TRICHOMONAS")


def _look(area: float, rays: float, *, x: float = 100.0, beside: float | None = None) -> bool:
    """Tell whether a nucleus is looked at; the hash of its place says no where it is at (100, 100)."""
    places = [x] if beside is None else [x, x + beside / 0.5]
    count = len(places)
    found = look_first(
        np.array(places),
        np.full(count, 100.0),
        area_um2=np.full(count, area, np.float32),
        rays_um=np.full((count, 32), rays, np.float32),
        mpp=0.5,
    )
    return bool(found[0])


@pytest.fixture
def unsampled() -> float:
    """A place whose plain nuclei are not among the sampled ones."""
    return next(x for x in np.arange(100.0, 900.0, 16) if not _look(35, 18, x=x))


def test_the_classifier_sees_all_that_may_be_a_lesion_and_few_of_the_rest(unsampled: float) -> None:
    assert not _look(35, 18, x=unsampled)  # an intermediate cell
    assert not _look(25, 5, x=unsampled)  # a neutrophil
    assert _look(70, 18, x=unsampled)  # a large nucleus
    assert _look(45, 6, x=unsampled)  # a small cell of high N:C
    assert _look(35, 18, x=unsampled, beside=8)  # one of a group
    sampled = [_look(35, 18, x=x) for x in np.arange(0.0, 16000.0, 16)]
    assert 0.15 < np.mean(sampled) < 0.35
    assert not any(_look(8, 3, x=x) for x in np.arange(0.0, 1600.0, 16))


def test_small_nuclei_are_no_lesions_whatever_the_network_says() -> None:
    chance = np.array([[0.1, 0.2, 0.6, 0.1], [0.1, 0.2, 0.6, 0.1]])
    found = sound_chances(chance, np.array([0.5, 1.4]), codes=CODES)
    assert found[0] == pytest.approx([0.9, 0, 0, 0.1])
    assert found[1] == pytest.approx(chance[1])
    assert chance[0, 2] == 0.6  # nothing is changed in place


def test_an_unlikely_organism_hides_no_lesion() -> None:
    chance = np.array([[0.2, 0.05, 0.35, 0.4], [0.1, 0.1, 0.2, 0.6], [0.55, 0.0, 0.05, 0.4]])
    assert [CODES[k] for k in likeliest(chance, codes=CODES)] == ["HSIL", "TRICHOMONAS", "NILM"]


def test_size_rules_follow_the_bethesda_sizes() -> None:
    rules = SizeRules()
    size = np.array([1.0, 2.7, 3.4, 1.8, 1.5, 1.5], np.float32)
    ratio = np.array([0.03, 0.10, 0.15, 0.45, 0.65, np.nan], np.float32)
    dark = np.array([1.0, 1.0, 1.2, 1.0, 1.6, 1.6], np.float32)
    chance, unknown = rules.judge(size, ratio, dark)
    named = [rules.codes[k] for k in chance.argmax(1)]
    assert named[:5] == ["NILM", "ASC-US", "LSIL", "ASC-H", "HSIL"]
    assert unknown.tolist() == [False] * 5 + [True]
    assert np.allclose(chance.sum(1), 1)
    assert isinstance(choose_calls("size-rules"), SizeRules)


def test_classes_of_networks_become_bethesda_codes() -> None:
    from slidelab.models.cell_classes import CERVICAL_CLASSES

    codes = codes_of(CERVICAL_CLASSES)
    assert codes[0] == "NILM"
    assert "AGC-NOS" in codes
    assert {"TRICHOMONAS", "CANDIDA", "FLORA", "HERPES", "ACTINOMYCES"} <= set(codes)
    with pytest.raises(SettingsError):
        codes_of(("NILM", "koilocyte"))
    assert LearnedCalls.__dataclass_fields__["codes"]


def test_planted_pictures_lie_where_they_say_without_a_frame() -> None:
    field = np.full((300, 400, 3), 230, np.uint8)
    field[:, :200] = (170, 180, 190)  # covered by cells
    picture = np.full((60, 60, 3), 245, np.uint8)
    picture[20:40, 20:40] = (120, 90, 160)
    image, groups = plant(field, [("HSIL", picture), ("LSIL", picture)], seed=4)
    assert [group.code for group in groups] == ["HSIL", "LSIL"]
    for group in groups:
        assert group.left >= 195  # on glass
        part = image[group.top : group.top + 60, group.left : group.left + 60].astype(int)
        assert abs(part[30, 30] - np.array([113, 85, 150])).max() < 4
        assert (part[:8] == 230).all()  # the picture's own glass is clear
        assert group.holds(group.left + 30, group.top + 30)
    assert (image[:, :190] == field[:, :190]).all()
    with pytest.raises(SettingsError):
        plant(field[:40, :40], [("HSIL", picture)], seed=1)
    assert at_mpp(picture, mpp=0.25, wanted=0.5).shape == (30, 30, 3)


def test_a_halo_below_the_reach_is_refused() -> None:
    assert halo_of(ScreeningSettings(), 100, 16) == 112
    with pytest.raises(SettingsError):
        halo_of(ScreeningSettings(halo_px=64), 100, 16)
