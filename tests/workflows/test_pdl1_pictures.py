"""Training pictures of PD-L1 SP142 with a known call: stained immune cells cover 1 % of the area, or less.

Their scale is not known; 0.5 um per px is assumed for all, though they were taken at several magnifications.
"""

import pytest

from slidelab.workflows import Pdl1, RunOptions, find_slides, run_cohort


def test_at_least_nine_of_eleven_pictures_get_the_right_call(data_folder, tmp_path):
    folder = data_folder / "ihc" / "pdl1-sp142-ic" / "raw_img"
    if not folder.is_dir():
        pytest.skip(f"{folder} is not at hand")
    options = RunOptions(tmp_path / "run", scheduler="threads", workers=1)
    run = run_cohort(Pdl1(assay="SP142", indication="tnbc"), find_slides([folder], mpp=0.5), options=options)
    right = []
    for outcome in run.outcomes:
        area = next(each for each in outcome.record["scores"] if each["name"] == "PD-L1 IC")
        assert "EXPERIMENTAL" in area["flags"]
        called = area["value"] is not None  # without a tumour cell nothing is called
        right.append(called and (area["value"] >= 1) == ("up1p" in outcome.slide.slide_id))
    assert len(right) == 11
    assert sum(right) >= 9
