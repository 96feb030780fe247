"""Ultrasound phantoms: determinism, truth, appearance by class, studies, sample data."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from breastlabel.catalog import LABELS_FOLDER, Catalog
from breastlabel.datasets import class_of_mask, load_training_images
from breastlabel.datasets.phantoms import (
    Phantom,
    ScannerStyle,
    Style,
    ultrasound_phantom,
    write_phantom_studies,
)
from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.imaging import LesionClass, read_image, read_mask, write_mask

ROOT = Path(__file__).resolve().parents[2]
SMALL = (64, 80)
LESIONS = (LesionClass.BENIGN, LesionClass.MALIGNANT)


def phantoms(label: LesionClass, count: int = 16) -> list[Phantom]:
    return [ultrasound_phantom(seed, label=label, shape=(128, 160)) for seed in range(count)]


@pytest.mark.parametrize("label", list(LesionClass))
def test_equal_seeds_give_equal_phantoms(label: LesionClass) -> None:
    first, again = (ultrasound_phantom(5, label=label, shape=SMALL) for _ in range(2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    np.testing.assert_array_equal(first.mask, again.mask)
    other = ultrasound_phantom(6, label=label, shape=SMALL)
    assert (first.pixels != other.pixels).mean() > 0.5


def test_spacing_of_a_full_size_phantom_is_that_of_a_breast_scan() -> None:
    phantom = ultrasound_phantom(1, label=LesionClass.NORMAL)
    assert phantom.pixels.shape == phantom.mask.shape == (256, 320)
    assert phantom.pixels.dtype == phantom.mask.dtype == np.uint8
    assert 0.05 <= phantom.spacing_mm[0] <= 0.125
    assert phantom.spacing_mm[0] == phantom.spacing_mm[1]


def test_the_mask_is_one_lesion_of_the_class_within_the_picture() -> None:
    for label in LESIONS:
        for phantom in phantoms(label):
            assert set(np.unique(phantom.mask)) == {0, label}
            assert ndimage.label(phantom.mask)[1] == 1
            assert 0.003 < (phantom.mask > 0).mean() < 0.35
    assert not any(phantom.mask.any() for phantom in phantoms(LesionClass.NORMAL, 4))


def _medians(phantom: Phantom) -> tuple[float, float]:
    """Grey inside the lesion and in the tissue beside it, at the same depth."""
    inside = phantom.mask > 0
    rows = inside.any(axis=1)
    beside = rows[:, None] & ~ndimage.binary_dilation(inside, iterations=6)
    return float(np.median(phantom.pixels[inside])), float(np.median(phantom.pixels[beside]))


def test_lesions_are_darker_than_the_tissue_beside_them() -> None:
    for label in LESIONS:
        pairs = [_medians(phantom) for phantom in phantoms(label)]
        assert sum(inside < beside for inside, beside in pairs) >= 15


def _behind_over_beside(phantom: Phantom) -> float:
    """Mean grey below the lesion's middle columns less that of its neighbours at the same depth."""
    rows, cols = np.nonzero(phantom.mask)
    bottom, left, right = rows.max() + 2, cols.min(), cols.max()
    third = (right - left) // 3
    band = phantom.pixels[bottom : bottom + 16].astype(float)
    outside = np.ones(band.shape[1], bool)
    outside[max(0, left - 4) : right + 5] = False
    if band.size == 0 or not outside.any():
        return 0.0
    return float(band[:, left + third : right - third + 1].mean() - band[:, outside].mean())


def test_benign_lesions_enhance_and_malignant_ones_shadow() -> None:
    benign = np.mean([_behind_over_beside(p) for p in phantoms(LesionClass.BENIGN, 24)])
    malignant = np.mean([_behind_over_beside(p) for p in phantoms(LesionClass.MALIGNANT, 24)])
    assert benign > 10
    assert malignant < -10


def test_benign_lesions_are_wider_than_tall_and_smooth_and_malignant_ones_are_not() -> None:
    from skimage.measure import regionprops

    def shape(label: LesionClass) -> tuple[float, float]:
        regions = [regionprops(p.mask)[0] for p in phantoms(label)]
        boxes = [region.bbox for region in regions]
        aspect = np.mean([(b[3] - b[1]) / (b[2] - b[0]) for b in boxes])
        return float(aspect), float(np.mean([region.solidity for region in regions]))

    benign, malignant = shape(LesionClass.BENIGN), shape(LesionClass.MALIGNANT)
    assert benign[0] > 1.3 > malignant[0]
    assert benign[1] > 0.95 > malignant[1]


def test_speckle_of_one_look_has_rayleigh_contrast() -> None:
    """Mean over standard deviation of a Rayleigh amplitude is 1.91 (Goodman 1975)."""
    from breastlabel.datasets.phantom_scanner import _speckle
    from breastlabel.datasets.phantom_tissue import View

    view = View((200, 200), 0.1)
    even = np.ones(view.shape, np.float32)
    envelope = _speckle(np.random.default_rng(0), even, view, ScannerStyle(looks=1))
    assert float(envelope.mean() / envelope.std()) == pytest.approx(1.91, abs=0.12)


def test_images_of_one_patient_share_depth_and_differ_otherwise() -> None:
    first, second = (ultrasound_phantom(s, label=LesionClass.BENIGN, shape=SMALL, patient=7) for s in (0, 1))
    assert first.patient_key == second.patient_key
    assert first.spacing_mm == second.spacing_mm
    assert (first.pixels != second.pixels).any()


def test_styles_shift_the_pictures_and_not_the_outlines() -> None:
    reference, portable, bright = (
        [ultrasound_phantom(s, label=LesionClass.BENIGN, shape=(96, 128), style=style) for s in range(6)]
        for style in (Style.REFERENCE, Style.PORTABLE, Style.BRIGHT)
    )
    for first, other in zip(reference, portable, strict=True):
        np.testing.assert_array_equal(first.mask, other.mask)
    means = [np.mean([p.pixels.mean() for p in group]) for group in (portable, reference, bright)]
    assert means[0] < means[1] - 10
    assert means[1] < means[2] - 10


def test_shapes_too_small_and_negative_seeds_are_refused() -> None:
    with pytest.raises(StudiesError, match="at least 48 x 48 pixels is required; got 32 x 80"):
        ultrasound_phantom(0, label=LesionClass.NORMAL, shape=(32, 80))
    with pytest.raises(StudiesError, match="seeds of 0 or more"):
        ultrasound_phantom(-1, label=LesionClass.NORMAL)


def test_studies_hold_images_labels_patients_and_splits(tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    records = write_phantom_studies(
        tmp_path, exams=12, seed=3, shape=SMALL, progress=lambda done, total: seen.append((done, total))
    )
    assert seen == [(n, 24) for n in range(1, 25)]
    assert len({record.patient_key for record in records}) == 12
    assert {record.split for record in records} == {"train", "val", "test"}
    for record in records:
        same = {r.split for r in records if r.patient_key == record.patient_key}
        assert len(same) == 1
        image = read_image(tmp_path / record.file)
        assert image.spacing == pytest.approx(record.spacing)
        mask = read_mask(tmp_path / LABELS_FOLDER / f"{record.image_id}.nrrd", shape=image.shape)
        assert class_of_mask(mask).label == record.label
    for label in LesionClass:
        splits = {record.split for record in records if record.label == label.label}
        assert splits == {"train", "val", "test"}
    with Catalog.open(tmp_path) as catalog:
        assert catalog.images() == records
    assert len(list(load_training_images(tmp_path, split="val"))) == 6


def test_repeating_completes_and_changes_nothing_else(tmp_path: Path) -> None:
    records = write_phantom_studies(tmp_path, exams=3, seed=1, shape=SMALL)
    corrected = tmp_path / LABELS_FOLDER / f"{records[2].image_id}.nrrd"
    image = read_image(tmp_path / records[2].file)
    write_mask(corrected, np.full(SMALL, 2, np.uint8), geometry=image.geometry)
    (tmp_path / records[0].file).unlink()
    more = write_phantom_studies(tmp_path, exams=4, seed=1, shape=SMALL)
    assert [r.image_id for r in more[:6]] == [r.image_id for r in records]
    assert [r.split for r in more[:6]] == [r.split for r in records]
    assert len(more) == 8
    assert (tmp_path / records[0].file).exists()
    assert more[0].excluded is None
    assert read_mask(corrected).min() == 2


def test_a_killed_run_is_completed(tmp_path: Path) -> None:
    """Its files are there, but the catalog was never told what they are."""
    whole = write_phantom_studies(tmp_path / "whole", exams=2, seed=1, shape=SMALL)
    killed = tmp_path / "killed"
    shutil.copytree(tmp_path / "whole", killed)
    shutil.rmtree(killed / ".breastlabel")
    assert write_phantom_studies(killed, exams=2, seed=1, shape=SMALL) == whole


def test_another_site_joins_the_same_folder(tmp_path: Path) -> None:
    write_phantom_studies(tmp_path, exams=2, seed=1, shape=SMALL)
    shifted = write_phantom_studies(
        tmp_path,
        exams=2,
        seed=1,
        shape=SMALL,
        style=Style.PORTABLE,
        split="test",
        suffix=".png",
        images_per_exam=1,
        classes=[LesionClass.BENIGN],
        labelled=0.0,
    )
    assert [r.image_id for r in shifted] == ["phantom-portable-1-0001-a", "phantom-portable-1-0002-a"]
    assert {(r.split, r.label, r.reviewed, r.spacing, r.metadata["machine"]) for r in shifted} == {
        ("test", None, False, None, "portable")
    }
    with Catalog.open(tmp_path) as catalog:
        assert len(catalog) == 6


def test_impossible_studies_are_refused(tmp_path: Path) -> None:
    with pytest.raises(StudiesError, match=r"at least 1 exam, .*got 0, 2, 3 and 1"):
        write_phantom_studies(tmp_path, exams=0, seed=1)
    with pytest.raises(StudiesError, match=r"suffix must be one of .*got '\.jpg'"):
        write_phantom_studies(tmp_path, exams=1, seed=1, suffix=".jpg")
    with pytest.raises(StudiesError, match="a seed of 0 or more is required; got -1"):
        write_phantom_studies(tmp_path, exams=1, seed=-1)
    with pytest.raises(UnknownNameError, match="split must be one of test, train, val; got 'all'"):
        write_phantom_studies(tmp_path, exams=1, seed=1, split="all")
    assert not list(tmp_path.iterdir())


def test_sample_data_can_be_remade(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "make-sample-data"), str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    shipped = ROOT / "sample-data"
    assert (shipped / "samples.csv").read_text() == (tmp_path / "samples.csv").read_text()
    with (shipped / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 12
    assert {row["class"] for row in rows} == {"normal", "benign", "malignant"}
    assert sum(f.stat().st_size for f in shipped.rglob("*") if f.is_file()) < 10_000_000
    for row in rows:
        assert_remade(shipped, tmp_path, row)
    shipped, remade = shipped / "mammograms", tmp_path / "mammograms"
    assert (shipped / "samples.csv").read_text() == (remade / "samples.csv").read_text()
    with (shipped / "samples.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 16  # three patients, one of them with a prior
    assert {row["class"] for row in rows} == {"normal", "benign", "malignant"}
    assert sum(f.stat().st_size for f in shipped.rglob("*") if f.is_file()) < 2_000_000
    for row in rows:
        assert_remade(shipped, remade, row)
        name = Path(row["image"]).name
        assert (shipped / "truth" / name).exists() == (row["class"] != "normal")


def assert_remade(shipped: Path, remade: Path, row: dict[str, str]) -> None:
    ours, again = read_image(shipped / row["image"]), read_image(remade / row["image"])
    assert ours.geometry == again.geometry
    # Another CPU may round a pixel differently.
    assert np.abs(ours.pixels - again.pixels).max() <= (1 if ours.pixels.max() < 256 else 16)
    assert (ours.pixels != again.pixels).mean() < 0.01
    masks = [read_mask(folder / "labels" / f"{Path(row['image']).stem}.nrrd") for folder in (shipped, remade)]
    assert (masks[0] != masks[1]).sum() <= 2
    assert class_of_mask(masks[0]).label == row["class"]
