"""The command line: what it prints, where, and how it exits."""

import json
import subprocess
import sys

import pytest

from slidelab.cli import main
from slidelab.wsi import PhantomSettings, write_phantom


def run(*arguments, capsys):
    """Run the command line in this process; returns exit code, standard output and standard error."""
    with pytest.raises(SystemExit) as caught:
        main([str(argument) for argument in arguments])
    printed = capsys.readouterr()
    return caught.value.code, printed.out, printed.err


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli") / "case.tiff"
    write_phantom(path, PhantomSettings(width=2048, height=2048, truth=40.0, seed=5, tissue_fraction=0.5))
    return path


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["score"],
        ["score", "ki67"],
        ["inspect"],
        ["phantom"],
        ["demo"],
        ["doctor"],
        ["bench"],
        ["bench", "read"],
        ["bench", "engine"],
        ["bench", "memory"],
    ],
    ids=" ".join,
)
def test_every_command_explains_itself(arguments, capsys):
    code, out, _ = run(*arguments, "--help", capsys=capsys)
    assert code == 0
    assert "Usage: slidelab" in out


def test_help_imports_nothing_heavy():
    code = (
        "import sys\nfrom slidelab.cli import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "sys.exit(bool({'scipy', 'dask', 'matplotlib', 'openslide', 'pyarrow'} & set(sys.modules)))"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], check=False, stdout=subprocess.DEVNULL).returncode == 0
    )


def test_scoring_prints_one_json_line_per_slide_and_nothing_else(slide, tmp_path, capsys):
    out = tmp_path / "results"
    code, printed, _ = run(
        "score", "ki67", slide, "--out", out, "--scheduler", "threads", "--json", capsys=capsys
    )
    assert code == 0
    (line,) = printed.splitlines()
    row = json.loads(line)
    keys = [
        "slide",
        "status",
        "score",
        "value",
        "low",
        "high",
        "numerator",
        "denominator",
        "unit",
        "flags",
        "report",
    ]
    assert list(row)[: len(keys)] == keys
    assert row["low"] < row["value"] < row["high"]
    assert row["unit"] == "%"


def test_scoring_for_people_names_index_interval_and_report(slide, tmp_path, capsys):
    out = tmp_path / "results"
    arguments = ("score", "ki67", slide, "--out", out, "--scheduler", "threads", "--profile")
    code, printed, _ = run(*arguments, capsys=capsys)
    assert code == 0
    assert "95 % CI" in printed
    assert "bottleneck" in printed
    assert "report.html" in printed
    assert "Research use only" in printed


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["score", "ki67", "nowhere.svs"], "no such file or folder"),
        (["score", "ki67"], "no slides"),
        (["score", "ki67", "--retry-failed", "--out", "nowhere"], "holds no earlier run"),
        (["phantom", "out.tiff", "--kind", "lung"], "lung"),
        (["score", "ki67", ".", "--positive-od", "7"], "threshold"),
    ],
)
def test_wrong_use_gets_one_line_of_what_and_one_of_what_to_do(
    arguments, what, capsys, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    code, out, err = run(*arguments, capsys=capsys)
    assert code == 1
    assert out == ""
    first, second = err.strip().splitlines()
    assert first.startswith("error: ")
    assert what in first
    assert second.strip().startswith("do: ")


@pytest.mark.parametrize(
    "arguments", [["score", "ki67", "--nonsense"], ["sing"], ["score", "ki67", "--mpp", "x"]]
)
def test_wrong_options_exit_with_1_for_2_means_failed_slides(arguments, capsys):
    code, _, err = run(*arguments, capsys=capsys)
    assert code == 1
    assert err


def test_failed_slides_can_be_retried_with_a_resolution(tmp_path, capsys):
    import numpy as np
    from PIL import Image

    source = tmp_path / "field.png"
    random = np.random.default_rng(3)
    Image.fromarray(random.integers(180, 240, (600, 600, 3), dtype=np.uint8)).save(source)
    out = tmp_path / "results"
    code, printed, _ = run("score", "ki67", source, "--out", out, "--scheduler", "threads", capsys=capsys)
    assert code == 1
    assert "FAILED" in printed
    assert "--mpp" in printed
    arguments = ("score", "ki67", "--retry-failed", "--out", out, "--mpp", 0.5, "--scheduler", "threads")
    code, printed, _ = run(*arguments, capsys=capsys)
    assert code == 0
    assert "FAILED" not in printed


def test_inspect_as_json_has_the_promised_keys(slide, capsys):
    code, printed, _ = run("inspect", slide, "--json", capsys=capsys)
    assert code == 0
    value = json.loads(printed)
    keys = [
        "path",
        "vendor",
        "width",
        "height",
        "levels",
        "mpp",
        "objective_power",
        "readable",
        "verdict",
        "problems",
    ]
    assert list(value)[: len(keys)] == keys
    assert set(value["mpp"]) >= {"x", "y", "source", "trusted"}


def test_inspect_of_a_bad_file_says_so_and_exits_with_1(tmp_path, capsys):
    path = tmp_path / "broken.svs"
    path.write_bytes(b"not a slide")
    code, printed, _ = run("inspect", path, capsys=capsys)
    assert code == 1
    assert "broken.svs" in printed


def test_phantom_writes_slide_and_truth(tmp_path, capsys):
    path = tmp_path / "made.tiff"
    arguments = ("phantom", path, "--size", 1024, "--truth", 30, "--seed", 4, "--json")
    code, printed, _ = run(*arguments, capsys=capsys)
    assert code == 0
    assert json.loads(printed)["path"] == str(path)
    for suffix in (".tiff", ".truth.parquet", ".truth.json"):
        assert path.with_suffix(suffix).is_file()


def test_the_demo_takes_the_users_road_and_compares_with_the_truth(tmp_path, capsys):
    code, printed, _ = run("demo", "--out", tmp_path / "demo", "--size", 3000, "--workers", 2, capsys=capsys)
    assert code == 0
    measured = next(line for line in printed.splitlines() if "measured" in line)
    painted = next(line for line in printed.splitlines() if "painted" in line)
    assert float(measured.split()[4]) == pytest.approx(float(painted.split()[1]), abs=4.0)
    report = next(line for line in printed.splitlines() if line.startswith("report  ")).split()[-1]
    assert (tmp_path / "demo" / "results" / "slides" / "phantom-ki67" / "report.html").samefile(report)


def test_doctor_finds_this_installation_sound(capsys):
    code, printed, _ = run("doctor", capsys=capsys)
    assert code == 0, printed
    assert "a slide end to end" in printed


def test_bench_read_prints_its_figures_as_json(slide, capsys):
    code, printed, _ = run("bench", "read", slide, "--rounds", 1, "--json", capsys=capsys)
    assert code == 0
    value = json.loads(printed)
    assert {"native_mp_s", "openslide_mp_s", "ratio", "max_difference"} <= set(value)
    assert value["max_difference"] == 0
