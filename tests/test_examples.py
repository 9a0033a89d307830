"""The examples run."""

import runpy
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def run(name, *arguments, monkeypatch):
    monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
    runpy.run_path(str(EXAMPLES / name), run_name="__main__")


def test_score_phantom(tmp_path, monkeypatch, capsys):
    run("score_phantom.py", tmp_path, monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    assert "95 % CI" in printed
    assert "Positive" in printed


def test_inspect_cohort(tmp_path, monkeypatch, capsys):
    (tmp_path / "broken.svs").write_bytes(b"no slide")
    run("inspect_cohort.py", tmp_path, monkeypatch=monkeypatch)
    assert "cannot be read" in capsys.readouterr().out


def test_detect_nuclei(tmp_path, monkeypatch, capsys):
    from slidelab import PhantomSettings, write_phantom

    path = tmp_path / "he.tiff"
    write_phantom(
        path, PhantomSettings(kind="he", width=1024, height=1024, seed=4, artefacts=False), workers=2
    )
    run("detect_nuclei.py", path, monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    assert "nuclei-fast.he" in printed
    assert "median area" in printed


def test_score_ihc_images(tmp_path, monkeypatch, capsys, data_folder):
    run("score_ihc_images.py", data_folder, tmp_path, monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    assert "ER positive nuclei" in printed
    assert "HER2 complete intense membrane stain" in printed
    assert "PD-L1 IC" in printed
    assert (tmp_path / "er" / "slides").is_dir()


def test_grade_biopsies(tmp_path, monkeypatch, capsys, data_folder):
    from slidelab.errors import ModelNotFoundError
    from slidelab.workflows.colorectal.tissue_reader import choose_tissue

    try:
        choose_tissue("auto")
    except ModelNotFoundError:
        pytest.skip("no model that grades colorectal tissue is packaged yet")
    images = sorted((data_folder / "he" / "glas" / "images").glob("*.jpg"))[:2]
    run("grade_biopsies.py", tmp_path / "run", 0.62, *images, monkeypatch=monkeypatch)
    printed = capsys.readouterr().out
    assert printed.count("outlines for QuPath") == 2
    assert (tmp_path / "run" / "slides" / images[0].stem / "lesions.geojson").is_file()


def test_classify_images(monkeypatch, capsys, data_folder):
    folder = data_folder / "he" / "ebhi-seg" / "images"
    images = sorted(folder.rglob("*.jpg"))[:2]
    run("classify_images.py", 1.3, *images, monkeypatch=monkeypatch)
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 2
    assert all("low_grade_in" in line and line.startswith(images[0].name[:3]) for line in printed)


def test_count_smear(tmp_path, monkeypatch, capsys):
    from slidelab.wsi.phantom.smear import SmearPhantom, write_smear_fields

    painted = SmearPhantom(width=512, height=512, white_per_mm2=300.0)
    write_smear_fields(tmp_path / "smear", painted, fields=2)
    run("count_smear.py", tmp_path / "run", 0.25, tmp_path / "smear", monkeypatch=monkeypatch)
    assert "counted in 2 fields" in capsys.readouterr().out


def test_screen_cervix(tmp_path, monkeypatch, capsys):
    from slidelab.wsi.phantom.pap import PapSettings, write_pap_phantom

    settings = PapSettings(width=700, height=700, lesions={"HSIL": 2})
    slide = write_pap_phantom(tmp_path / "pap.tiff", settings).path
    run("screen_cervix.py", tmp_path / "out", "size-rules", slide, monkeypatch=monkeypatch)
    assert "worklist" in capsys.readouterr().out


def test_every_example_is_run_here():
    tested = set(Path(__file__).read_text().split('"'))
    assert {path.name for path in EXAMPLES.glob("*.py")} <= tested
