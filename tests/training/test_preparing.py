"""Images of a studies folder, put together as the breasts that they show."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path

import numpy as np
import pytest

from breastlabel.catalog import Catalog, ImageRecord
from breastlabel.datasets.phantoms import write_mammogram_phantoms
from breastlabel.datasets.sequences import BreastCase
from breastlabel.imaging import LesionClass, Modality
from breastlabel.imaging.context import CONTEXT_NAMES
from breastlabel.networks import create_network
from breastlabel.training import TrainingArrays
from breastlabel.training.preparing import in_breasts, prepare_split
from breastlabel.training.presets import PRESETS
from breastlabel.transforms import preparation_from_config

NORMAL, BENIGN, MALIGNANT, UNKNOWN = 0, 1, 2, -1


def _record(image_id: str, acquired: str) -> ImageRecord:
    return ImageRecord(
        image_id, f"{image_id}.png", "made-up", Modality.MG, "p", "p", metadata={"acquired": acquired}
    )


def _images(labels: Mapping[str, int], *, masks: tuple[str, ...] = ()) -> TrainingArrays:
    """One 4 x 4 image of each id, an outline of those in ``masks``."""
    n, ids = len(labels), np.asarray(list(labels))
    return TrainingArrays(
        np.zeros((n, 4, 4), np.float16),
        np.zeros((n, 4, 4), np.uint8),
        np.isin(ids, masks),
        np.asarray(list(labels.values())),
        ids,
        np.full(n, "p"),
    )


def _breast(key: str, *sequence: str, newest: tuple[str, ...], year: int = 2024) -> BreastCase:
    return BreastCase(key, sequence, newest, LesionClass.NORMAL, "p", "train", date(year, 1, 1))


RECORDS = {i: _record(i, "2022-01-01") for i in ("old-cc", "old-mlo")} | {
    i: _record(i, "2024-01-01") for i in ("cc", "mlo")
}
OLD = _breast("old-cc", "old-cc", "old-mlo", newest=("old-cc", "old-mlo"), year=2022)
NEW = _breast("cc", "old-cc", "old-mlo", "cc", "mlo", newest=("cc", "mlo"))


def test_the_class_of_a_breast_is_the_worst_of_its_newest_exam() -> None:
    images = _images({"old-cc": MALIGNANT, "old-mlo": NORMAL, "cc": BENIGN, "mlo": UNKNOWN})
    arrays = in_breasts(images, [NEW, OLD], RECORDS)
    assert arrays is not None
    assert arrays.keys.tolist() == ["cc", "old-cc"]
    assert arrays.labels.tolist() == [BENIGN, MALIGNANT]


def test_an_image_is_kept_once_and_is_a_prior_only_where_it_is_one() -> None:
    images = _images(dict.fromkeys(RECORDS, NORMAL))
    arrays = in_breasts(images, [OLD, NEW], RECORDS)
    assert arrays is not None
    assert len(arrays.images) == 4
    members = arrays.cases.members()
    assert arrays.ids[members.images].tolist() == ["old-cc", "old-mlo", "old-cc", "old-mlo", "cc", "mlo"]
    assert members.newest.tolist() == [True, True, False, False, True, True]
    prior, decades = (CONTEXT_NAMES.index(name) for name in ("is_prior", "years_before"))
    assert members.context[:, prior].tolist() == [0, 0, 1, 1, 0, 0]
    assert members.context[:, decades] == pytest.approx([0, 0, 0.2, 0.2, 0, 0], abs=0.001)


def test_a_breast_of_which_nothing_is_known_now_is_left_out_though_its_prior_is_labelled() -> None:
    images = _images({"old-cc": BENIGN, "old-mlo": UNKNOWN, "cc": UNKNOWN, "mlo": UNKNOWN})
    arrays = in_breasts(images, [OLD, NEW], RECORDS)
    assert arrays is not None
    assert arrays.keys.tolist() == ["old-cc"]
    assert arrays.ids.tolist() == ["old-cc", "old-mlo"]
    assert in_breasts(images, [NEW], RECORDS) is None


def test_a_breast_is_invasive_where_an_image_of_its_newest_exam_says_so() -> None:
    images = _images({"old-cc": MALIGNANT, "old-mlo": MALIGNANT, "cc": MALIGNANT, "mlo": MALIGNANT})
    images.invasive[:] = [1, -1, -1, 0]
    arrays = in_breasts(images, [NEW, OLD], RECORDS)
    assert arrays is not None
    assert dict(zip(arrays.keys.tolist(), arrays.invasive.tolist(), strict=True)) == {"cc": 0, "old-cc": 1}


def test_an_outline_is_enough_to_be_learned_from() -> None:
    images = _images(dict.fromkeys(RECORDS, UNKNOWN), masks=("mlo",))
    arrays = in_breasts(images, [NEW], RECORDS)
    assert arrays is not None
    assert arrays.labels.tolist() == [UNKNOWN]


def test_an_image_that_could_not_be_read_is_missed_by_its_breast_alone() -> None:
    images = _images({"old-mlo": NORMAL, "mlo": NORMAL})
    arrays = in_breasts(images, [NEW], RECORDS)
    assert arrays is not None
    assert arrays.ids[arrays.cases.images].tolist() == ["old-mlo", "mlo"]
    assert in_breasts(_images({"old-mlo": NORMAL}), [NEW], RECORDS) is None


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients, one with a prior, all in the train split."""
    folder = tmp_path_factory.mktemp("studies")
    write_mammogram_phantoms(
        folder, exams=2, seed=3, shape=(128, 104), priors=0.5, split="train", truth=False
    )
    return folder


def _prepared(studies: Path, **arguments: object) -> TrainingArrays | None:
    chosen = PRESETS["mammography"]["tiny"]
    network = create_network(**{**chosen.network, **arguments})
    preparation = preparation_from_config(chosen.preparation)
    return prepare_split(studies, "train", preparation, model="mammography", network=network)


def test_views_and_priors_are_what_the_network_uses(studies: Path) -> None:
    arrays = _prepared(studies)
    assert arrays is not None
    # Two breasts of two patients, and of one of them two older ones.
    assert sorted(arrays.cases.lengths.tolist()) == [2, 2, 2, 2, 4, 4]
    assert len(arrays.images) == 12
    alone = _prepared(studies, uses_views=False, uses_priors=False)
    assert alone is not None
    assert alone.cases.lengths.tolist() == [1] * 12
    assert alone.cases.context.any()
    now = _prepared(studies, uses_priors=False)
    assert now is not None
    assert now.cases.lengths.tolist() == [2] * 6


def test_what_is_not_analysable_or_no_breast_is_left_out(
    studies: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = _prepared(studies)
    assert whole is not None
    with Catalog.open(studies) as catalog:
        first, second = catalog.images(split="train")[:2]
        catalog.update_image(first.image_id, metadata={**first.metadata, "not_analysable": "spot view"})
    try:
        file = studies / second.file
        content = file.read_bytes()
        file.write_bytes(content[:300])
        arrays = _prepared(studies)
    finally:
        file.write_bytes(content)
        with Catalog.open(studies) as catalog:
            catalog.update_image(first.image_id, metadata=first.metadata)
    assert arrays is not None
    assert set(whole.ids) - set(arrays.ids) == {first.image_id, second.image_id}
    assert "1 images of the train split cannot be read or prepared" in caplog.text
    assert second.image_id not in caplog.text
