"""What a split gives to learn from."""

from __future__ import annotations

from pathlib import Path

from breastlabel.catalog import Catalog
from breastlabel.datasets.phantoms import write_phantom_studies
from breastlabel.imaging import Modality
from breastlabel.training.run import prepare_split
from breastlabel.transforms import preparation_from_config


def test_images_of_another_modality_are_not_learned_from(tmp_path: Path) -> None:
    write_phantom_studies(tmp_path, exams=6, seed=5, shape=(64, 80))
    with Catalog.open(tmp_path) as catalog:
        records = catalog.images(split="train")
        catalog.update_image(records[0].image_id, modality=Modality.MG)
    totals = []
    preparation = preparation_from_config({"name": "ultrasound", "size": [32, 32]})
    arrays = prepare_split(
        tmp_path, "train", preparation, progress=lambda what, done, total: totals.append(total)
    )
    assert arrays is not None
    assert len(arrays) == len(records) - 1 == totals[-1]
