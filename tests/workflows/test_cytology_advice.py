"""Every warning of cytology and blood smears tells its reader what it means and what to do."""

from __future__ import annotations

import pytest

from slidelab.quantify import Flag, explain_flag
from slidelab.workflows.report.cytology_advice import CYTOLOGY_ADVICE
from slidelab.workflows.report.flag_advice import _OTHER_ADVICE, explain

FLAGS = [flag for flag in Flag if flag.startswith(("CERVICAL_", "CYTOLOGY_", "SMEAR_", "TRIAGE_"))]


@pytest.mark.parametrize("flag", FLAGS)
def test_warning_has_words_and_advice_of_its_own(flag):
    note = explain(flag)
    assert note.words == explain_flag(flag) != flag
    assert note.advice != _OTHER_ADVICE
    assert note.words.endswith(".")
    assert note.advice.endswith(".")


def test_advice_is_for_warnings_that_exist():
    assert set(CYTOLOGY_ADVICE) == set(FLAGS)
