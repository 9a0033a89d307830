"""Tumour buds and gland formation where the truth is painted."""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from scipy import ndimage

from slidelab import cli
from slidelab.errors import ModelNotFoundError, SettingsError
from slidelab.models import CellTable
from slidelab.workflows import SlideInput
from slidelab.workflows.colorectal.class_maps import SlideMaps, stitch_maps
from slidelab.workflows.colorectal.findings import examine
from slidelab.workflows.colorectal.gland_formation import find_lumens, gland_formation
from slidelab.workflows.colorectal.glands import find_glands
from slidelab.workflows.colorectal.plan import GradingSettings, load_grading_plan
from slidelab.workflows.colorectal.tile import (
    GradingStage,
    SignetCells,
    TileMaps,
    from_table,
    to_table,
)
from slidelab.workflows.colorectal.tumour_buds import find_buds, group_nuclei
from slidelab.workflows.colorectal.tumour_nuclei import TumourNuclei, choose_nuclei, tumour_nuclei
from slidelab.workflows.colorectal.workflow import ColorectalGrading
from slidelab.workflows.slides.zarr_maps import fresh_group

MPP = 1.3
CELL_UM = 5.2
SURE = (200, 60, 60)
LIKELY = (200, 60, 140)
"""Squares of these colours are nuclei."""
STEP = 14
"""px between nuclei of a group: 18 um."""
BUDS = [[(440, 300)], [(460, 480), (474, 480), (467, 492)], [(505 + STEP * n, 380) for n in range(4)]]
"""Truth: one, three and four nuclei; the last group lies across the border of tiles of 256 and 512 px."""
CLUSTER = [(330 + STEP * n, 620) for n in range(5)]
FAINT = [(640, 520), (654, 520)]
"""No nucleus of it is sure."""
ATTACHED = [(412, 400), (426, 400), (440, 400)]
"""The first touches the gland."""
INSIDE = [(300, 400), (330, 420)]
FAR = [(900, 200)]
"""More than 500 um from the carcinoma."""
NORMAL_SIDE = [(140, 150)]
"""Near enough, but where the class map gives no carcinoma."""


# ------------------------------------------------------------------ arithmetic


def nuclei_of(*groups: list[tuple[int, int]], sure: bool = True, downsample: float = 4.0) -> TumourNuclei:
    """Nuclei at cells of the gland map (x, y)."""
    points = np.array([each for group in groups for each in group], float).reshape(-1, 2)
    return TumourNuclei(
        points[:, 0] * downsample, points[:, 1] * downsample, np.full(len(points), sure, bool)
    )


def scene(mask: Any, nuclei: TumourNuclei, *, kind: int = 5) -> Any:
    """Glands of one class, with nuclei; a level-0 px is a quarter of a cell."""
    height, width = (side // 4 for side in mask.shape)
    classes = np.zeros((6, height, width), np.uint8)
    classes[kind] = 255
    glands = (mask * 255).astype(np.uint8)
    maps = SlideMaps(classes, glands, SignetCells.joined([]), mpp=CELL_UM, downsample=4.0, nuclei=nuclei)
    return maps, find_glands(maps, threshold=0.5, fragments=np.ones(mask.shape, np.int32))


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> Any:
    """A round mask, in cells."""
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows + 0.5 - y) ** 2 + (columns + 0.5 - x) ** 2 <= radius**2


def test_points_chain_into_groups():
    points = np.array([[0, 0], [20, 0], [40, 0], [100, 0], [100, 26]], float)
    assert group_nuclei(points, link_um=25).tolist() == [0, 0, 0, 1, 2]
    assert group_nuclei(np.empty((0, 2)), link_um=25).tolist() == []


@pytest.mark.parametrize(("size", "is_bud"), [(1, True), (4, True), (5, False), (9, False)])
def test_a_group_of_up_to_four_is_a_bud_and_a_larger_one_a_cluster(size, is_bud):
    shape = (160, 160)
    group = [(90 + 4 * number, 80) for number in range(size)]
    maps, glands = scene(disc(shape, 80, 40, 20), nuclei_of(group))
    found = find_buds(glands, maps, tissue=np.ones(shape, bool))
    assert found.cells.tolist() == [size]
    assert found.is_bud.tolist() == [is_bud]
    assert found.x[0] / 4 == pytest.approx(np.mean([x for x, _ in group]))
    assert (found.disc is not None) is is_bud


@pytest.mark.parametrize(("gap_um", "count"), [(8.0, 0), (32.0, 1)])
def test_a_group_at_a_gland_is_part_of_it(gap_um, count):
    shape = (160, 160)
    maps, glands = scene(disc(shape, 80, 40, 20), nuclei_of([(60 + gap_um / CELL_UM, 80)]))
    assert len(find_buds(glands, maps, tissue=np.ones(shape, bool))) == count


def test_only_groups_near_a_carcinoma_on_assessed_tissue_with_a_sure_nucleus_count():
    shape = (160, 240)
    mask = disc(shape, 80, 40, 20)
    one = [(100, 80)]
    tissue = np.ones(shape, bool)
    for nuclei, kind, kept, count in (
        (nuclei_of(one), 5, tissue, 1),
        (nuclei_of(one, sure=False), 5, tissue, 0),
        (nuclei_of(one), 3, tissue, 0),
        (nuclei_of([(180, 80)]), 5, tissue, 0),
        (nuclei_of(one), 5, tissue & (np.arange(240) < 90), 0),
    ):
        maps, glands = scene(mask, nuclei, kind=kind)
        assert len(find_buds(glands, maps, tissue=kept)) == count
    maps, glands = scene(mask, nuclei_of([(180, 80)]), kind=3)
    assert len(find_buds(glands, maps, tissue=tissue, everywhere=True)) == 1


def test_the_densest_field_holds_most_buds_and_knows_its_tissue():
    shape = (400, 400)
    crowd = [[(150 + 8 * column, 60 + 8 * row)] for column in range(4) for row in range(3)]
    lone = [[(60, 280)], [(100, 270)]]
    cluster = [[(170 + 4 * number, 110) for number in range(6)]]
    mask = disc(shape, 200, 60, 20) | disc(shape, 60, 110, 20)
    maps, glands = scene(mask, nuclei_of(*crowd, *lone, *cluster))
    found = find_buds(glands, maps, tissue=np.ones(shape, bool))
    assert (int(found.is_bud.sum()), len(found)) == (14, 15)
    away = np.mean(cluster[0], 0) * CELL_UM - (found.disc.x_um, found.disc.y_um)
    assert (found.disc.count, found.clusters_in_disc) == (12, int(np.hypot(*away) <= 500))
    assert found.disc.radius_um == pytest.approx(500)
    middle = np.mean([each[0] for each in crowd], 0) * CELL_UM
    assert (found.disc.x_um, found.disc.y_um) == pytest.approx(tuple(middle))
    on_map = (np.arange(400) + 0.5) * CELL_UM
    inside = (on_map[:, None] - found.disc.y_um) ** 2 + (on_map - found.disc.x_um) ** 2 <= 500**2
    assert found.tissue_mm2 == pytest.approx(inside.sum() * (CELL_UM / 1000) ** 2, rel=1e-3)


def test_nuclei_are_kept_if_epithelium_is_likeliest_and_sure_if_they_are_large_as_well():
    told, area = np.array([0.4, 0.5, 0.95, 0.95]), np.array([90, 90, 30, 60])
    cells = CellTable(
        x=np.arange(4.0),
        y=np.zeros(4),
        outlines=np.zeros((4, 4, 2)),
        area_um2=area.astype(np.float32),
        probability=np.ones(4, np.float32),
        labels=np.zeros(4, np.uint8),
        measurements={"epithelial_probability": told.astype(np.float32)},
    )
    found = tumour_nuclei(cells)
    assert found.x.tolist() == [1, 2, 3]
    assert found.sure.tolist() == [False, False, True]


def test_nuclei_come_back_from_disk_as_they_went():
    maps = np.zeros((6, 2, 2), np.uint8), np.zeros((8, 8), np.uint8), SignetCells.joined([])
    nuclei = TumourNuclei(np.array([1.5, 2.25]), np.array([3.0, 4.0]), np.array([True, False]))
    back = from_table(to_table(TileMaps(*maps, nuclei))).nuclei
    assert (back.x.tolist(), back.y.tolist(), back.sure.tolist()) == ([1.5, 2.25], [3, 4], [True, False])
    assert len(from_table(to_table(TileMaps(*maps, nuclei.select(np.zeros(2, bool))))).nuclei) == 0
    assert from_table(to_table(TileMaps(*maps))).nuclei is None


# ------------------------------------------------------------------ gland formation


def test_a_gland_around_a_lumen_is_formed_and_a_solid_nest_is_not():
    shape = (120, 240)
    lumen = disc(shape, 60, 60, 8)
    tumour = disc(shape, 60, 60, 18) | disc(shape, 60, 180, 18)
    found = gland_formation(tumour, lumen, um=CELL_UM)
    ring, nest = (tumour & ~lumen)[:, :120].sum(), tumour[:, 120:].sum()
    assert found.gland_forming_um2 == round(ring * CELL_UM**2)
    assert found.tumour_um2 == round((ring + nest) * CELL_UM**2)


def test_epithelium_far_from_the_lumen_is_solid():
    shape = (200, 200)
    lumen, tumour = disc(shape, 100, 100, 10), disc(shape, 100, 100, 60)
    found = gland_formation(tumour, lumen, um=CELL_UM)
    reach = 10 + 60 / CELL_UM
    assert float(found.share) == pytest.approx((reach**2 - 10**2) / (60**2 - 10**2), rel=0.05)


def test_cracks_and_specks_are_no_lumens():
    shape = (120, 120)
    tumour = disc(shape, 60, 60, 30)
    rows, columns = np.mgrid[:120, :120]
    crack = (np.abs(np.hypot(rows - 60, columns - 60) - 32) < 1.5) & (columns > 60)
    speck = disc(shape, 60, 60, 1.2)
    assert not find_lumens(tumour, crack | speck, um=CELL_UM).any()
    assert find_lumens(tumour, crack | disc(shape, 60, 60, 5), um=CELL_UM)[60, 60]
    assert gland_formation(tumour & False, crack, um=CELL_UM).tumour_um2 == 0


# ------------------------------------------------------------------ the road


@dataclass(frozen=True)
class PaintTissue:
    """Reads glands off the paint; all tissue right of the 200th px is carcinoma, left of it normal."""

    name: str = "painted-tissue.test"
    version: str = "1"
    mpp: float = MPP
    reach_px: int = 16
    gland_threshold: float = 0.5
    learnt_colours: str = "none"
    licence: str = "none"
    sha256: str = "0" * 64
    limits: tuple[str, ...] = ()
    mistakes: tuple[Any, ...] = ()
    runs_on_card: bool = False

    def read(self, image: Any, *, seconds: dict[str, float]) -> tuple[Any, Any]:
        height, width = image.shape[:2]
        is_gland = (image[..., 0] < 170).reshape(height // 4, 4, width // 4, 4).sum((1, 3))
        is_normal = (image[..., 2] < 180) & (image[..., 0] > 210)
        normal = is_normal.reshape(height // 16, 16, width // 16, 16).sum((1, 3)) > 0
        classes = np.zeros((6, *normal.shape), np.uint8)
        classes[0], classes[5] = 255 * normal, 255 * ~normal
        return classes, (is_gland * 255 // 16).astype(np.uint8)

    def facts(self) -> dict[str, Any]:
        return {"name": self.name}


@dataclass(frozen=True)
class PaintNuclei:
    """Finds squares of two colours."""

    name: str = "painted-nuclei.test"
    version: str = "1"
    mpp: float = MPP
    stride: int = 16
    reach_px: int = 16
    licence: str = "none"
    sha256: str = "1" * 64
    limits: tuple[str, ...] = ("It sees squares alone.",)
    false_buds: dict[str, tuple[float, float]] = field(default_factory=dict)
    found_share: float | None = None

    def find(self, image: Any, *, seconds: dict[str, float]) -> CellTable:
        places, told = [], []
        for color, chance in ((SURE, 0.95), (LIKELY, 0.6)):
            near = np.abs(image.astype(int) - color).max(-1) < 14
            labels, count = ndimage.label(near)
            places += ndimage.center_of_mass(near, labels, range(1, count + 1)) if count else []
            told += [chance] * count
        y, x = np.array(places, float).reshape(-1, 2).T + 0.5
        count = len(x)
        seconds["nuclei"] = seconds.get("nuclei", 0.0) + 0.001
        return CellTable(
            x=x,
            y=y,
            outlines=np.zeros((count, 4, 2)),
            area_um2=np.full(count, 60, np.float32),
            probability=np.full(count, 0.9, np.float32),
            labels=np.zeros(count, np.uint8),
            measurements={"epithelial_probability": np.array(told, np.float32)},
        )

    def facts(self) -> dict[str, Any]:
        return {"name": self.name, "false_buds": self.false_buds, "found_share": self.found_share}


@pytest.fixture(scope="module")
def slide(tmp_path_factory: pytest.TempPathFactory) -> SlideInput:
    """A piece of stroma with a gland of carcinoma, nuclei around it, and a strip of normal tissue."""
    image = np.full((800, 1060, 3), 245, np.uint8)
    image[40:760, 40:1020] = (222, 168, 196)
    image[40:760, 40:200] = (222, 168, 170)
    rows, columns = np.mgrid[:800, :1060]
    image[(rows - 400) ** 2 + (columns - 310) ** 2 <= 95**2] = (150, 150, 190)
    groups = [*BUDS, CLUSTER, ATTACHED, INSIDE, FAR, NORMAL_SIDE]
    for color, chosen in ((SURE, [one for group in groups for one in group]), (LIKELY, FAINT)):
        for x, y in chosen:
            image[y - 2 : y + 2, x - 2 : x + 2] = color
    path = tmp_path_factory.mktemp("painted") / "resection.tiff"
    resolution = (1e4 / MPP, 1e4 / MPP)
    tifffile.imwrite(
        path,
        image,
        tile=(256, 256),
        photometric="rgb",
        compression="deflate",
        resolution=resolution,
        resolutionunit="CENTIMETER",
    )
    return SlideInput(path, "resection")


def workflow(**given: Any) -> ColorectalGrading:
    """The workflow with readers of paint, for budding."""
    made = {"tissue": PaintTissue(), "signet": None, "kind": "resection", "nuclei": PaintNuclei()}
    return ColorectalGrading(**made | given)


def run(made: ColorectalGrading, slide: SlideInput, folder: Path) -> Any:
    """Walk the whole road in this process."""
    receipt = made.prepare(slide, folder)
    for index in receipt.todo:
        made.process(slide, folder, receipt.place, index)
    return made.finish(slide, folder, receipt.place, ())


@pytest.fixture(scope="module")
def finished(slide: SlideInput, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Any]:
    """A run with small tiles."""
    folder = tmp_path_factory.mktemp("finished")
    return folder, run(workflow(plan=GradingSettings(core_px=512)), slide, folder)


def scores_of(record: Any) -> dict[str, Any]:
    """Scores by name."""
    return {each["name"]: each for each in record["scores"]}


def test_the_road_finds_the_painted_buds_and_none_else(finished):
    folder, record = finished
    told = record["colorectal"]["buds"]
    assert (told["candidates"], told["clusters"]) == (len(BUDS), 1)
    middle = np.mean(CLUSTER, 0) * MPP / 1000 - (told["field"]["x_mm"], told["field"]["y_mm"])
    is_inside = np.hypot(*middle) <= told["field"]["radius_mm"]
    assert (told["field"]["buds"], told["field"]["clusters"]) == (len(BUDS), int(is_inside))
    objects = json.loads(gzip.decompress((folder / "glands.geojson.gz").read_bytes()))["features"]
    found = [
        (each["geometry"]["coordinates"], each["properties"]["measurements"]["Nuclei"])
        for each in objects
        if each["properties"].get("classification", {}).get("name") == "Tumour bud, candidate"
    ]
    truth = sorted((np.mean(group, 0).tolist(), len(group)) for group in BUDS)
    assert [count for _, count in sorted(found)] == [count for _, count in truth]
    for (place, _), (expected, _) in zip(sorted(found), truth, strict=True):
        assert place == pytest.approx(expected, abs=1.0)
    notes = json.loads((folder / "lesions.geojson").read_text())["features"]
    (marked,) = [each for each in notes if "Densest field" in each["properties"]["name"]]
    ring = np.array(marked["geometry"]["coordinates"][0])
    assert np.ptp(ring[:, 0]) * MPP == pytest.approx(1000, rel=0.01)
    assert marked["properties"]["measurements"]["Candidate buds"] == len(BUDS)


def test_candidates_are_no_count_and_a_carcinoma_has_no_grade(finished):
    folder, record = finished
    scores = scores_of(record)
    for name, flag in (
        ("Tumour budding", "BUDDING_NOT_COUNTED"),
        ("WHO grade, whole tumour", "GRADE_NOT_MEASURED"),
    ):
        assert (scores[name]["status"], scores[name]["value"]) == ("NOT_ASSESSABLE", None)
        assert scores[name]["category"] is None
        assert {flag, "COLORECTAL_EXPERIMENTAL"} <= set(scores[name]["flags"])
    assert scores["Tumour budding: candidates in the densest field"]["value"] == len(BUDS)
    assert "how many buds are missed, is not known." in record["methods"]
    assert "It sees squares alone." in record["limits"]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "tumour buds are not counted" in page
    assert page.count("not assessable") == 3  # grade, budding, and how many are false
    assert "the marked field holds most candidates" in page


def test_what_is_known_of_the_networks_stands_beside_the_count(slide, tmp_path):
    known = PaintNuclei(false_buds={"painted-tissue.test": (2.0, 3.0)}, found_share=0.95)
    made = workflow(nuclei=known, plan=GradingSettings(core_px=1024))
    plan, _, found = look(made, slide, tmp_path)
    result = made.score(plan, found, missing_mm2=0.0)
    scores = {each.name: each for each in result.scores}
    assert scores["Tumour budding"].value == len(BUDS)
    assert (scores["Tumour budding"].status, scores["Tumour budding"].category) == ("REVIEW", "Bd1")
    false = scores["Tumour budding: false candidates to expect in such a field"]
    assert false.value == pytest.approx(2.0 * np.pi / 4)


def look(made: ColorectalGrading, slide: SlideInput, folder: Path) -> Any:
    """Walk the road up to the findings; no report is written."""
    receipt = made.prepare(slide, folder)
    for index in receipt.todo:
        made.process(slide, folder, receipt.place, index)
    plan = load_grading_plan(receipt.place)
    store = GradingStage(folder / "work", made.tissue, made.signet, made.nuclei).store(plan)
    with fresh_group(folder / "maps.zarr") as root:
        maps = stitch_maps(plan, store, plan.tiles, root=root)
    return plan, maps, examine(plan, maps, threshold=0.5, kind=made.kind, signet_looked_for=False)


@pytest.mark.parametrize("core", [256, 1024])
def test_any_tile_size_gives_the_same_nuclei_and_buds_bit_for_bit(finished, slide, tmp_path, core):
    _, record = finished
    _, maps, found = look(workflow(plan=GradingSettings(core_px=core)), slide, tmp_path)
    _, again, _ = look(workflow(plan=GradingSettings(core_px=512)), slide, tmp_path / "again")
    for name in ("x", "y", "sure"):
        assert np.array_equal(getattr(maps.nuclei, name), getattr(again.nuclei, name))
    # the far nucleus is kept, as its surroundings are called carcinoma; the one on normal tissue is not
    painted = [*BUDS, CLUSTER, ATTACHED, INSIDE, FAR, FAINT]
    assert len(maps.nuclei) == sum(map(len, painted))
    field_told = record["colorectal"]["buds"]["field"]
    assert found.buds.disc.x_um / 1000 == field_told["x_mm"]
    assert found.buds.tissue_mm2 == field_told["tissue_mm2"]


def test_without_a_detector_nobody_looks_and_nothing_is_said_of_budding(slide, tmp_path):
    made = workflow(nuclei=None)
    plan, maps, found = look(made, slide, tmp_path)
    assert maps.nuclei is None
    assert found.buds is None
    names = {each.name for each in made.score(plan, found, missing_mm2=0.0).scores}
    assert "WHO grade, whole tumour" in names
    assert not any("budding" in name for name in names)


def test_a_scan_too_coarse_for_nuclei_is_not_searched(slide, tmp_path):
    _, maps, found = look(workflow(nuclei=PaintNuclei(mpp=0.5)), slide, tmp_path)
    assert maps.nuclei is None
    assert found.buds is None


def test_a_biopsy_has_no_invasive_front(slide, tmp_path, capsys):
    with pytest.raises(SettingsError, match="biopsy"):
        workflow(kind="biopsy")
    with pytest.raises(SystemExit) as end:
        cli.main(["grade", "colorectal", str(slide.path), "--budding", "--out", str(tmp_path)])
    assert end.value.code
    assert "--kind resection" in capsys.readouterr().err


# ------------------------------------------------------------------ the models


def test_the_packaged_detector_tells_epithelium_and_how_often_it_is_wrong():
    reader = choose_nuclei(device="cpu")
    assert reader.mpp <= 0.5
    assert reader.found_share is not None
    assert 0 < reader.found_share < 0.9  # too few for a count, so none is given
    assert reader.false_buds
    assert hashlib.sha256(reader.weights.read_bytes()).hexdigest() == reader.sha256
    assert choose_nuclei(policy="permissive").licence == "Apache-2.0"


def test_models_of_other_questions_are_refused(monkeypatch, tmp_path):
    with pytest.raises(SettingsError, match="epithelium"):
        choose_nuclei("colorectal-lite.ebhi-open")
    with pytest.raises(SettingsError, match="epithelium"):
        choose_nuclei("nuclei-fast.ihc-open")
    with pytest.raises(ModelNotFoundError):
        choose_nuclei("no-such-model")
    monkeypatch.setattr("slidelab.models.registry.Registry.ranked", lambda self, **_: ())
    with pytest.raises(ModelNotFoundError, match="tells nuclei of epithelium"):
        choose_nuclei()
