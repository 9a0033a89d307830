"""Normalised pixels on the road: the same for any tiling, part of every key, told, and never measured."""

import json
import pickle
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import tifffile
from PIL import Image
from scipy import ndimage

from slidelab import cli
from slidelab.errors import SettingsError
from slidelab.models.labelled.colorectal import GradedImage
from slidelab.models.registry import Registry
from slidelab.quantify import Score, SlideResult, Status
from slidelab.stain import fit_normalizer, unmix
from slidelab.workflows import Ki67, SlideInput
from slidelab.workflows.colorectal.plan import make_grading_plan
from slidelab.workflows.colorectal.tile import GradingStage, read_tile
from slidelab.workflows.colorectal.tissue_reader import learned_tissue
from slidelab.workflows.colorectal.workflow import ColorectalGrading, GradingSettings
from slidelab.workflows.immune import HeImmune, StainedImmune
from slidelab.workflows.learning.field_colours import FieldColours, normalised_copies
from slidelab.workflows.slides.normalisation import (
    Normalisation,
    NormalisationFacts,
    doubt_colours,
    load_normalizer,
)
from slidelab.workflows.slides.normalised_plane import NormalisedPlane
from slidelab.workflows.slides.nuclei import find_nuclei, open_plane
from slidelab.workflows.slides.plan import PlanSettings, make_plan
from slidelab.workflows.slides.tile_detector import BaselineDetector, choose_detector
from slidelab.wsi import PhantomSettings, open_slide, write_phantom

MPP = 0.5
SIDE = 896
MACENKO = Normalisation("macenko")


@dataclass(frozen=True)
class Blurred:
    """Looks three pixels around, as a network does; white lies beyond what it is given."""

    method: str = "macenko"
    flags: tuple[str, ...] = ()
    halo: int = 3

    def apply(self, image):
        wide = ndimage.convolve1d(image.astype(np.int64), np.ones(7, int), 0, mode="constant", cval=255)
        wide = ndimage.convolve1d(wide, np.ones(7, int), 1, mode="constant", cval=255 * 7)
        return (wide // 49).astype(np.uint8)


def painted(folder, kind, **changes):
    path = folder / f"{kind}.tiff"
    given = {"kind": kind, "width": SIDE, "height": SIDE - 90, "mpp": MPP, "artefacts": False, "seed": 3}
    settings = PhantomSettings(**{**given, "compression": "none", "tissue_fraction": 0.6, **changes})
    write_phantom(path, settings)
    return path


@pytest.fixture(scope="module")
def he_slide(tmp_path_factory):
    return painted(tmp_path_factory.mktemp("he"), "he")


@pytest.fixture(scope="module")
def pale_slide(he_slide):
    """The same tissue, stained so faintly that an eighth of the density is left."""
    pixels = tifffile.imread(he_slide, level=0).astype(float)
    glass = np.percentile(pixels.reshape(-1, 3), 99.5, axis=0)
    faint = np.rint(glass * (np.maximum(pixels, 1) / glass).clip(max=1) ** 0.13).astype(np.uint8)
    path = he_slide.with_name("pale.tiff")
    tifffile.imwrite(
        path,
        faint,
        tile=(256, 256),
        photometric="rgb",
        resolution=(1e4 / MPP, 1e4 / MPP),
        resolutionunit="CENTIMETER",
    )
    return path


@pytest.mark.parametrize("halo", [0, 3])
def test_windows_of_a_normalised_plane_are_parts_of_one_picture(he_slide, halo):
    with open_slide(he_slide) as slide:
        plane = slide.plane(0.8)
        pixels = plane.read(0, 0, plane.width, plane.height)
        made = Blurred() if halo else fit_normalizer(pixels, "macenko", background=(240.0, 240.0, 240.0))
        seen = pickle.loads(pickle.dumps(NormalisedPlane(plane, made)))
        whole = seen.read(-20, -20, plane.width + 40, plane.height + 40)
        for x, y, width, height in [(-20, -20, 77, 50), (133, 201, 64, 3), (plane.width - 9, 5, 29, 300)]:
            part = seen.read(x, y, width, height)
            assert np.array_equal(part, whole[y + 20 : y + 20 + height, x + 20 : x + 20 + width])
        assert (whole[0] == 255).all()
        assert (seen.width, seen.height, seen.mpp) == (plane.width, plane.height, plane.mpp)
        source, shown = seen.read_both(40, 30, 50, 60)
        assert np.array_equal(source, plane.read(40, 30, 50, 60))
        assert not np.array_equal(source, shown)


@dataclass(frozen=True)
class Onlooker(BaselineDetector):
    """Keeps what it is shown, and finds what the baseline finds."""

    shown: list = field(default_factory=list, compare=False)
    fitted_to: list = field(default_factory=list, compare=False)

    sees_colours = True

    def fitted(self, images, densities, *, mpp):
        self.fitted_to.append((np.stack(images), np.stack(densities)))
        return self

    def detect(self, image, densities, *, mpp, seconds):
        self.shown.append((image, densities))
        return super().detect(image, densities, mpp=mpp, seconds=seconds)


@dataclass(frozen=True)
class Reading:
    """A plane that keeps what was read of it."""

    plane: object
    pixels: list = field(default_factory=list)

    def read(self, *window):
        self.pixels.append(self.plane.read(*window))
        return self.pixels[-1]


def plan_of(path, folder, *, stain="H&E", detector, normalise=MACENKO):
    settings = PlanSettings(stain=stain, core_px=512)
    slide = SlideInput(path, path.stem)
    return make_plan(slide, folder=folder, settings=settings, detector=detector, normalise=normalise)


def test_the_network_sees_other_colours_and_stain_is_measured_as_scanned(he_slide, tmp_path):
    onlooker, plane = Onlooker(), Reading(open_plane(str(he_slide), None, MPP, ""))
    plan = replace(plan_of(he_slide, tmp_path, detector=onlooker), detector=onlooker)
    find_nuclei(plane, plan, index=plan.tiles[0], seconds={})
    (image, densities), pixels = onlooker.shown[0], plane.pixels[0]
    assert plan.normalised.changed
    assert np.array_equal(image, load_normalizer(plan.folder).apply(pixels))
    assert not np.array_equal(image, pixels)
    assert np.array_equal(densities[0], unmix(pixels, plan.profile)[0])
    windows, measured = onlooker.fitted_to[0]
    assert not np.array_equal(unmix(windows[0], plan.profile), measured[0])


@pytest.fixture(scope="module")
def cells(he_slide, tmp_path_factory):
    """A plan with the shipped network and macenko, and the cells of one single tile."""
    detector = choose_detector("nuclei-fast.he-open", stain="H&E")
    plan = plan_of(he_slide, tmp_path_factory.mktemp("cells"), detector=detector)
    return plan, cells_of(he_slide, replace(plan, grid=replace(plan.grid, core=2048)))


def cells_of(path, plan):
    """All cells of a grid, sorted by place, every column as numbers."""
    plane = open_plane(str(path), None, plan.asked_mpp, plan.fingerprint)
    parts = []
    for index in range(len(plan.grid)):
        found = find_nuclei(plane, plan, index=index, seconds={})
        columns = [found.x, found.y, found.probability, found.measurements["hematoxylin_od_mean"]]
        parts.append(np.column_stack([*columns, found.outlines.reshape(len(found), 64)]))
    table = np.concatenate(parts)
    return table[np.lexsort(table.T[::-1])]


def test_tiled_equals_untiled_with_normalised_pixels(he_slide, cells):
    plan, untiled = cells
    assert len(untiled) > 100
    assert np.array_equal(cells_of(he_slide, replace(plan, grid=replace(plan.grid, core=416))), untiled)


def test_normalised_pixels_give_other_cells_than_pixels_as_scanned(he_slide, cells):
    plan, untiled = cells
    scanned = cells_of(he_slide, replace(plan, normalised=None))
    assert scanned.shape != untiled.shape or not np.array_equal(scanned, untiled)


def test_keys_know_the_method_and_the_profile_and_those_without_stay_as_they_were(he_slide, tmp_path):
    given = {"folder": tmp_path, "detector": Onlooker()}
    keys = [
        plan_of(he_slide, **given, normalise=Normalisation(name)).key
        for name in ("none", "macenko", "reinhard")
    ]
    stored = tmp_path / f"plan-{keys[1]}" / "stain.json"
    keys.append(plan_of(he_slide, **given, normalise=Normalisation.read("macenko", stored)).key)
    assert len(set(keys)) == 4
    slide = SlideInput(he_slide, "he")
    settings = PlanSettings(stain="H&E", core_px=512)
    assert keys[0] == make_plan(slide, folder=tmp_path, settings=settings, detector=Onlooker()).key
    assert Normalisation().facts() == {}


def test_a_profile_of_another_slide_is_told(he_slide, pale_slide, tmp_path):
    first = plan_of(he_slide, tmp_path / "1", detector=Onlooker())
    again = Normalisation.read("macenko", first.folder / "stain.json")
    own = plan_of(he_slide, tmp_path / "2", detector=Onlooker(), normalise=again)
    other = plan_of(pale_slide, tmp_path / "3", detector=Onlooker(), normalise=again)
    assert own.normalised.flags == ()
    assert "STAIN_PROFILE_OF_OTHER_SLIDE" in other.flags
    pixels = np.random.default_rng(1).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    made = [load_normalizer(plan.folder).apply(pixels) for plan in (first, own, other)]
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[0], made[2])


def test_a_pale_slide_stays_as_it_is_and_says_so(pale_slide, tmp_path):
    plan = plan_of(pale_slide, tmp_path, detector=Onlooker())
    assert not plan.normalised.changed
    assert {"NOT_NORMALISED", "STAIN_PALE"} <= set(plan.flags)
    plane = open_plane(str(pale_slide), None, plan.asked_mpp, plan.fingerprint)
    assert plan.seen(plane) is plane
    assert "as scanned" in plan.normalised.sentence()


@pytest.mark.parametrize("kind", ["brown", "blank"])
def test_what_is_no_h_e_stays_as_it_is(tmp_path, kind):
    path = painted(tmp_path, "ki67", truth=80.0)
    if kind == "blank":
        tifffile.imwrite(path, np.full((600, 600, 3), 243, np.uint8), tile=(256, 256), photometric="rgb")
    slide = SlideInput(path, "case", MPP)
    plan = make_grading_plan(
        slide, folder=tmp_path, settings=GradingSettings(), mpp=1.3, reach_px=64, normalise=MACENKO
    )
    assert not plan.normalised.changed
    assert {"brown": "STAIN_NOT_H_E", "blank": "STAIN_ABSENT"}[kind] in plan.flags


def test_what_cannot_be_meant_is_refused(tmp_path):
    with pytest.raises(SettingsError, match="no normalisation is called"):
        Normalisation("histogram")
    for made in (Ki67, StainedImmune):
        with pytest.raises(SettingsError, match="on H-DAB slides"):
            made(normalise=MACENKO)
    assert HeImmune(normalise=MACENKO).settings()["normalise"]["method"] == "macenko"
    with pytest.raises(SettingsError, match="not at colours"):
        Normalisation("macenko").check(stain="H&E", detector=BaselineDetector())
    with pytest.raises(SettingsError, match="no such profile"):
        Normalisation.read("macenko", tmp_path / "none.json")


@pytest.mark.parametrize("method", ["cyclegan", "distilled"])
def test_a_network_normalises_the_same_for_any_tiling_and_is_kept_with_the_plan(he_slide, tmp_path, method):
    asked = Normalisation(method)
    plan = plan_of(he_slide, tmp_path / "1", detector=Onlooker(), normalise=asked)
    assert plan.normalised.changed, plan.normalised
    assert asked.facts()["normalise"]["network"] == asked.generator.reference
    plane = open_plane(str(he_slide), None, MPP, plan.fingerprint)
    seen = plan.seen(plane)
    assert (seen.normalizer.halo > 0) == (method == "cyclegan")
    whole = seen.read(300, 300, 200, 180)
    assert np.array_equal(seen.read(391, 352, 60, 77), whole[52:129, 91:151])
    again = Normalisation.read(method, plan.folder / "stain.json")
    other = plan_of(he_slide, tmp_path / "2", detector=Onlooker(), normalise=again)
    assert other.key != plan.key
    assert np.array_equal(other.seen(plane).read(300, 300, 200, 180), whole)


def test_grading_maps_are_the_same_for_any_tiling(he_slide, tmp_path):
    made = ColorectalGrading(signet=None, normalise=MACENKO)
    maps = {}
    for core in (256, 1024):
        plan = make_grading_plan(
            SlideInput(he_slide, "he"),
            folder=tmp_path,
            settings=GradingSettings(core_px=core),
            mpp=made.tissue.mpp,
            reach_px=made.tissue.reach_px,
            normalise=MACENKO,
        )
        stage = GradingStage(tmp_path, made.tissue, None)
        with open_slide(he_slide) as slide:
            tiles = [
                read_tile(slide, plan, index=index, stage=stage, seconds={})
                for index in range(len(plan.grid))
            ]
        glands = np.zeros((4 * plan.map_shape[0], 4 * plan.map_shape[1]), np.uint8)
        for tile, found in zip(plan.grid, tiles, strict=True):
            rows, columns = found.glands.shape
            glands[tile.y // 4 : tile.y // 4 + rows, tile.x // 4 : tile.x // 4 + columns] = found.glands
        maps[core] = glands
    assert maps[1024].any()
    assert np.array_equal(maps[256], maps[1024])


@pytest.fixture(scope="module")
def graded(he_slide, tmp_path_factory):
    """A run of the command line with macenko."""
    out = tmp_path_factory.mktemp("graded") / "run"
    return out, grade(he_slide, out, "--normalise", "macenko")


def grade(path, out, *more):
    """Grade a slide from the command line, in this process."""
    options = ["--out", str(out), "--no-signet", "--workers", "1", "--scheduler", "threads", "--json"]
    with pytest.raises(SystemExit) as ended:
        cli.main(["grade", "colorectal", str(path), *options, *more])
    return ended.value.code


def record_of(out):
    return json.loads((out / "slides" / "he" / "report.json").read_text())


def test_a_report_tells_method_and_whether_pixels_were_changed(graded):
    out, code = graded
    assert code == 0
    record = record_of(out)
    told = {"method": "macenko", "changed": True, "flags": [], "profile": ""}
    assert record["normalisation"] == told
    assert "Macenko 2009, fitted once to this slide" in record["methods"]
    assert "macenko" in (out / "slides" / "he" / "report.html").read_text()
    assert record["provenance"]["settings"]["normalise"]["method"] == "macenko"
    assert record["status"] != "OK"
    assert "COLOURS_NOT_LEARNT" in record["flags"]
    profile = json.loads((out / "slides" / "he" / "stain.json").read_text())
    assert profile["changed"] is True
    assert profile["slide"]["source"] == "macenko"


def test_a_result_asks_for_review_unless_the_network_learnt_these_colours():
    score = Score("index", 10.0, "%", 10, 100, interval=None, status=Status.OK, category=None, rule="r")
    result = SlideResult("Marker", (score,), Status.OK)
    changed = NormalisationFacts("macenko", True, ())
    assert doubt_colours(result, None) is result
    assert doubt_colours(result, changed, learnt="macenko") is result
    for facts, learnt, flags in [
        (changed, "none", ("COLOURS_NOT_LEARNT",)),
        (None, "macenko", ("COLOURS_NOT_LEARNT",)),
        (replace(changed, changed=False), "none", ()),
    ]:
        doubted = doubt_colours(result, facts, learnt=learnt)
        assert (doubted.status, doubted.flags) == (Status.REVIEW, flags)


def test_a_run_goes_on_and_another_setting_begins_anew(he_slide, graded):
    out, _ = graded
    folder, slide = out / "slides" / "he", SlideInput(he_slide, "he")
    again = ColorectalGrading(signet=None, normalise=MACENKO).prepare(slide, folder)
    assert again.todo == ()
    assert again.record == record_of(out)
    plain = ColorectalGrading(signet=None).prepare(slide, folder)
    assert plain.record is None
    assert len(plain.todo) == plain.tiles > 0
    assert plain.place != again.place
    left = {path.name for path in folder.iterdir()}
    assert not {"report.json", "report.html", "report.pdf", "stain.json"} & left


def test_fields_for_training_are_kept_in_their_new_colours(he_slide, tmp_path):
    with open_slide(he_slide) as slide:
        field = slide.plane(MPP).read(250, 250, 300, 280)
    Image.fromarray(field).save(tmp_path / "field.png")
    image = GradedImage(
        "set", "1", "case/1", tmp_path / "field.png", MPP, "normal", mask=tmp_path / "mask.png"
    )
    (copy,) = normalised_copies([image], "macenko", tmp_path / "copies")
    assert replace(copy, path=image.path) == image
    with Image.open(copy.path) as opened:
        shown = np.asarray(opened)
    assert np.array_equal(shown, FieldColours("macenko").apply(field))
    assert not np.array_equal(shown, field)
    before = copy.path.stat().st_mtime_ns
    assert normalised_copies([image], "macenko", tmp_path / "copies") == [copy]
    assert copy.path.stat().st_mtime_ns == before


def test_a_model_says_in_which_colours_it_learnt():
    entry = Registry().find("colorectal-lite.ebhi-open")
    assert learned_tissue(entry.card, entry.weights).learnt_colours == "none"
    told = entry.card.training
    training = told.model_copy(update={"config": {**told.config, "normalise": "macenko"}})
    card = entry.card.model_copy(update={"training": training})
    assert learned_tissue(card, entry.weights).learnt_colours == "macenko"
