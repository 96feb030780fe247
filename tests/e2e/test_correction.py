"""Retraining learns what the reader's corrections have in common."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from breastlabel.catalog import Catalog, label_path
from breastlabel.imaging import LabelArray, read_image, read_mask, write_mask
from breastlabel.inference import Predictor
from breastlabel.training import ModelRegistry

KERNEL = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))


def correct(studies: Path, *, larger: bool) -> list[str]:
    """The reader grows or shrinks the outlines of 20 training images and all val images by four pixels.

    The val images too, because they choose the mask's threshold: against outlines as they were before, it
    would undo what was learned. Test images keep theirs.

    Returns:
        The ids of the corrected training images.
    """
    change = cv2.dilate if larger else cv2.erode
    with Catalog.open(studies) as catalog:
        images = [r for r in catalog.images() if r.split != "test"]
    corrected = []
    for record in images:
        labels = label_path(studies, record.image_id)
        assert labels is not None
        mask = read_mask(labels)
        if mask.any() and (record.split == "val" or len(corrected) < 20):
            new: LabelArray = np.asarray(change(mask, KERNEL), np.uint8)
            geometry = read_image(studies / record.file).geometry
            write_mask(labels, new, geometry=geometry)
            if record.split == "train":
                corrected.append(record.image_id)
    return corrected


def outlined(studies: Path) -> float:
    """Mean area in pixels of the masks that are served, on test images: no training has any use of those."""
    predictor = Predictor(ModelRegistry(studies).champion("ultrasound"), device="cpu")
    with Catalog.open(studies) as catalog:
        images = [r for r in catalog.images(split="test") if r.label != "normal"]
    assert len(images) >= 4
    masks = [predictor.predict(read_image(studies / r.file)).mask for r in images]
    return float(np.mean([np.count_nonzero(mask) for mask in masks]))


@pytest.mark.slow
def test_retraining_follows_a_systematic_correction(pristine: Path, tmp_path: Path) -> None:
    workers = {}
    for name in ("larger", "smaller"):
        studies = Path(shutil.copytree(pristine, tmp_path / name))
        assert len(correct(studies, larger=name == "larger")) == 20
        job = tmp_path / f"job-{name}"
        job.mkdir()
        # Whatever the figures say: what is asked here is what a correction teaches.
        asked = {"model": "ultrasound", "studies": str(studies), "preset": "tiny", "epochs": 12}
        (job / "job.json").write_text(json.dumps({**asked, "device": "cpu", "promote": "always"}))
        command = [sys.executable, "-m", "breastlabel.training.worker", "--job", str(job)]
        workers[name] = subprocess.Popen(command, env={**os.environ, "OMP_NUM_THREADS": "1"})
    try:
        for worker in workers.values():
            assert worker.wait(timeout=250) == 0
    finally:
        for worker in workers.values():
            worker.kill()
    before = outlined(pristine)
    larger, smaller = outlined(tmp_path / "larger"), outlined(tmp_path / "smaller")
    print(f"{larger=} {before=} {smaller=}")
    assert larger > 1.1 * before
    assert smaller < 0.9 * before
