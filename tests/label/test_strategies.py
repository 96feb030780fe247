from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from breastlabel.activelearning import ACQUISITIONS
from breastlabel.catalog import Catalog
from breastlabel.errors import UnknownNameError
from breastlabel.imaging import Geometry, Modality, write_mask
from breastlabel.label.datastore import StudiesDatastore
from breastlabel.label.errors import BadRequestError
from breastlabel.label.strategies import (
    DEFAULT_STRATEGY,
    LEASE_SECONDS,
    LEASE_VARIABLE,
    create_strategies,
    lease_seconds,
)

SERVING = {"ultrasound": "v2", "mammography": None}


@pytest.fixture
def store(studies: Path) -> Iterator[StudiesDatastore]:
    with Catalog.open(studies) as catalog:
        yield StudiesDatastore(catalog)


def ask(store: StudiesDatastore, strategy: str, client: str = "slicer", **options: Any) -> dict[str, Any]:
    """What a client is answered; empty where there is nothing for it."""
    strategies = create_strategies(models=list(SERVING), version=SERVING.__getitem__, seconds=60)
    return strategies[strategy]({"client_id": client, **options}, store) or {}


def label(store: StudiesDatastore, image: str, folder: Path, **info: Any) -> None:
    write_mask(folder / "m.nii.gz", np.zeros((12, 16), np.uint8), geometry=Geometry())
    store.save(image, folder / "m.nii.gz", "final", info)


def test_the_default_is_listed_first_and_every_acquisition_is_there() -> None:
    names = list(create_strategies(models=["ultrasound"], version=lambda _: None))
    assert names[0] == DEFAULT_STRATEGY
    assert {"first", "random", "revisit", *ACQUISITIONS} == set(names)


def test_first_goes_by_the_alphabet(store: StudiesDatastore) -> None:
    sample = ask(store, "first")
    assert (sample["id"], sample["strategy"]) == ("a", "first")
    assert sample["lease"]["client_id"] == "slicer"
    left = datetime.fromisoformat(sample["lease"]["expires_at"]) - datetime.now(UTC)
    assert timedelta(seconds=50) < left <= timedelta(seconds=60)


@pytest.mark.parametrize("strategy", ["first", "random", "entropy"])
def test_no_two_clients_have_the_same_image(store: StudiesDatastore, strategy: str) -> None:
    given = {ask(store, strategy, client)["id"] for client in ("one", "two", "three")}
    assert given == {"a", "b", "c"}
    assert ask(store, strategy, "four") == {}
    assert ask(store, strategy, "one")["id"] in given, "its own comes again where nothing else is free"


def test_who_skips_an_image_gets_another(store: StudiesDatastore) -> None:
    assert [ask(store, "random")["id"] for _ in range(3)] != [ask(store, "random")["id"]] * 3
    assert {ask(store, "random", "other").get("id")} == {None}, "skipped images stay with who skipped them"


def test_clients_without_an_id_share_a_lease(store: StudiesDatastore) -> None:
    first = create_strategies(models=[], version=lambda _: None)["first"]
    answer = first({}, store)
    assert answer is not None
    assert answer["lease"]["client_id"] == "unknown-local"


def test_the_best_score_of_the_serving_version_comes_first(store: StudiesDatastore) -> None:
    store.catalog.scores.write("entropy", "ultrasound", "v2", {"a": 0.1, "b": 0.9, "c": 0.5})
    store.catalog.scores.write("entropy", "ultrasound", "v1", {"a": 0.9, "b": 0.1, "c": 0.5})
    store.catalog.scores.write("margin", "ultrasound", "v2", {"c": 0.9})
    sample = ask(store, "entropy")
    assert (sample["id"], sample["scored"], sample["score"]) == ("b", True, 0.9)
    assert sample["scored_by"] == {"model": "ultrasound", "model_version": "v2", "serving": True}
    assert [ask(store, "entropy")["id"] for _ in range(2)] == ["c", "a"]


def test_scores_of_an_older_version_serve_until_there_are_new_ones(store: StudiesDatastore) -> None:
    store.catalog.scores.write("bald", "ultrasound", "v0", {"a": 0.9})
    store.catalog.scores.write("bald", "ultrasound", "v1", {"c": 0.9})
    sample = ask(store, "bald")
    assert sample["id"] == "c"
    assert sample["scored_by"] == {"model": "ultrasound", "model_version": "v1", "serving": False}


def test_where_nothing_is_scored_the_answer_says_so(store: StudiesDatastore) -> None:
    sample = ask(store, "badge")
    assert (sample["scored"], sample["score"], sample["scored_by"]) == (False, None, None)
    store.catalog.scores.write("badge", "ultrasound", "v2", {"c": 1.0})
    given = [ask(store, "badge", f"reader-{i}") for i in range(2)]
    # Whatever was given before, an unscored image comes after all scored ones.
    assert [s["scored"] for s in given] in ([True, False], [False, False])
    assert all(s["scored_by"]["model_version"] == "v2" for s in given)


def test_a_request_may_name_the_model(store: StudiesDatastore) -> None:
    store.catalog.update_image("c", modality=Modality.MG)
    store.catalog.scores.write("entropy", "ultrasound", "v2", {"b": 0.9})
    store.catalog.scores.write("entropy", "mammography", "v1", {"c": 0.9})
    assert ask(store, "entropy", model="mammography")["id"] == "c"
    with pytest.raises(UnknownNameError, match="model must be one of mammography, ultrasound; got 'ct'"):
        ask(store, "entropy", model="ct")


def test_revisit_offers_labelled_images_only(store: StudiesDatastore, tmp_path: Path) -> None:
    assert ask(store, "revisit") == {}
    for image in "abc":
        label(store, image, tmp_path, client_id="first-reader")
    oldest = ask(store, "revisit")
    assert (oldest["id"], oldest["scored"]) == ("a", False)
    store.catalog.scores.write("revisit", "ultrasound", "v2", {"b": 0.2, "c": 0.8})
    worst = ask(store, "revisit", "second-reader")
    assert (worst["id"], worst["score"]) == ("c", 0.8)


def test_a_lease_lasts_as_configured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(LEASE_VARIABLE, raising=False)
    assert lease_seconds() == lease_seconds({}) == LEASE_SECONDS
    monkeypatch.setenv(LEASE_VARIABLE, "60")
    assert lease_seconds({"models": "all"}) == 60
    assert lease_seconds({"lease": "120"}) == 120
    with pytest.raises(BadRequestError, match="lease must be a number from 1 to 604800; got 'long'"):
        lease_seconds({"lease": "long"})


def test_nothing_is_offered_where_nothing_waits(tmp_path: Path) -> None:
    with Catalog.open(tmp_path / "empty", create=True) as catalog:
        for strategy in ("first", "random", "entropy", "revisit"):
            assert ask(StudiesDatastore(catalog), strategy) == {}


@pytest.fixture
def mixed(store: StudiesDatastore) -> StudiesDatastore:
    """b is a mammogram, a and c are ultrasound."""
    store.catalog.update_image("b", modality=Modality.MG)
    return store


@pytest.mark.parametrize("strategy", ["first", "random", "entropy"])
def test_a_model_is_offered_images_of_its_modality_only(mixed: StudiesDatastore, strategy: str) -> None:
    assert ask(mixed, strategy, model="mammography")["id"] == "b"
    assert ask(mixed, strategy, "another", model="mammography") == {}
    offered = {ask(mixed, strategy, f"client-{i}", model="ultrasound").get("id") for i in range(3)}
    assert offered == {"a", "c", None}


def test_without_a_model_every_image_is_offered(mixed: StudiesDatastore) -> None:
    assert {ask(mixed, "first", f"client-{i}")["id"] for i in range(3)} == {"a", "b", "c"}


def test_what_one_model_scored_is_no_order_for_another(mixed: StudiesDatastore) -> None:
    mixed.catalog.scores.write("entropy", "ultrasound", "v2", {"a": 0.1, "c": 0.9})
    assert ask(mixed, "entropy", "one", model="ultrasound")["id"] == "c"
    mammogram = ask(mixed, "entropy", "two", model="mammography")
    assert (mammogram["id"], mammogram["scored"]) == ("b", False)


def test_scores_of_another_modalitys_image_count_for_nothing(mixed: StudiesDatastore) -> None:
    """As of an image whose modality was corrected after it was scored."""
    mixed.catalog.scores.write("entropy", "mammography", "v1", {"a": 0.9, "b": 0.1})
    assert ask(mixed, "entropy", model="mammography")["id"] == "b"


def test_labelled_images_are_revisited_by_modality(mixed: StudiesDatastore, tmp_path: Path) -> None:
    for image in "abc":
        label(mixed, image, tmp_path)
    assert ask(mixed, "revisit", model="mammography")["id"] == "b"


@pytest.mark.parametrize("strategy", ["first", "revisit"])
def test_a_model_that_is_not_served_is_an_error(store: StudiesDatastore, strategy: str) -> None:
    with pytest.raises(UnknownNameError, match="model must be one of mammography, ultrasound; got 'ct'"):
        ask(store, strategy, model="ct")
