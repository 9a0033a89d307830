"""Real slides through the whole road."""

import csv
import shutil

import pytest

from slidelab.workflows import Ki67, RunOptions, find_slides, run_cohort

SOUND = ("OS-2-ndpi.ome.tif", "OS-2-vsi.ome.tif")
UNFIT = ("small_vectra.qptiff", "test3-dapi.ndpi", "gleason-label-mask-lzw.tif", "kidney-48-5.tif")


def test_a_folder_of_good_and_bad_slides_is_scored_and_the_failures_told(data_folder, tmp_path):
    folder = tmp_path / "scans"
    folder.mkdir()
    for name in (*SOUND, *UNFIT):
        shutil.copy(data_folder / "slides" / name, folder / name)
    bad = sorted(path for path in (data_folder / "slides" / "bad").iterdir() if path.is_file())
    for path in bad:
        shutil.copy(path, folder / path.name)
    slides = find_slides([folder])
    run = run_cohort(Ki67(), slides, options=RunOptions(tmp_path / "run", scheduler="threads", workers=2))
    assert run.exit_code == 2
    with (tmp_path / "run" / "failures.csv").open() as stream:
        failures = list(csv.DictReader(stream))
    scored = {outcome.slide.path.name for outcome in run.outcomes if outcome.record}
    failed = {outcome.slide.path.name for outcome in run.outcomes if outcome.failures}
    assert scored == set(SOUND)
    assert failed == {slide.path.name for slide in slides} - set(SOUND)
    assert {row["slide"] for row in failures} == {o.slide.slide_id for o in run.outcomes if o.failures}
    for row in failures:
        assert row["reason"]
        assert "\n" not in row["reason"]
        assert row["advice"]


def test_every_bad_file_alone_is_refused_with_one_clear_line(data_folder, tmp_path, capsys):
    from slidelab.cli import main

    bad = [path for path in sorted((data_folder / "slides" / "bad").iterdir()) if path.is_file()]
    bad += sorted((data_folder / "slides" / "bad" / "hamamatsu-vms-stub").glob("*.vms"))
    assert len(bad) >= 12
    for number, path in enumerate(bad):
        out = tmp_path / str(number)
        with pytest.raises(SystemExit) as caught:
            main(["score", "ki67", str(path), "--out", str(out), "--scheduler", "threads"])
        printed = capsys.readouterr().out
        assert caught.value.code == 1, path
        assert "FAILED" in printed
        assert "Traceback" not in printed
        assert "This looks like a fault of slidelab" not in printed, printed


def test_two_scanners_of_one_field_agree(data_folder, tmp_path, capsys):
    # The same tissue field from two scanners. The difference is printed, not tuned to: it is the next
    # detector's task to bring it to 2 points.
    slides = find_slides([data_folder / "slides" / name for name in SOUND])
    run = run_cohort(Ki67(), slides, options=RunOptions(tmp_path / "run", scheduler="threads", workers=2))
    first, second = (outcome.record["scores"][0]["value"] for outcome in run.outcomes)
    with capsys.disabled():
        print(f"\none field, two scanners: {first:.1f} % and {second:.1f} %, {abs(first - second):.1f} apart")
    assert run.exit_code == 0
    assert 5 < first < 60
    assert 5 < second < 60


def test_a_slide_without_resolution_is_scored_only_with_one_and_says_so(data_folder, tmp_path):
    path = data_folder / "ihc" / "ki67-bcdata-sample" / "images" / "0.jpg"
    refused = run_cohort(
        Ki67(), find_slides([path]), options=RunOptions(tmp_path / "a", scheduler="threads", workers=1)
    )
    assert refused.exit_code == 1
    assert "--mpp" in refused.outcomes[0].failures[0].advice
    scored = run_cohort(
        Ki67(),
        find_slides([path], mpp=0.25),
        options=RunOptions(tmp_path / "b", scheduler="threads", workers=1),
    )
    assert scored.exit_code == 0
    assert "RESOLUTION_BY_USER" in scored.outcomes[0].record["flags"]
