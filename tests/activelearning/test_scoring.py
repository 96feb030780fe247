"""Scoring a studies folder with a tiny model."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from tests.activelearning.scored import VERSION, tiny_network, tiny_predictor, write_images

from breastlabel.activelearning import pool_reader, scores
from breastlabel.activelearning import scoring as module
from breastlabel.activelearning.method_scores import METHODS, REVISIT
from breastlabel.activelearning.pool_cache import PoolCache
from breastlabel.activelearning.scoring import ScoringResult, score_pool
from breastlabel.activelearning.sources import COLD_START, ModelSource
from breastlabel.catalog import Catalog
from breastlabel.datasets.phantoms import write_phantom_studies
from breastlabel.errors import CheckpointError, UnknownNameError
from breastlabel.imaging import Geometry, Modality, read_image, write_mask
from breastlabel.inference import Predictor
from breastlabel.inference.calibration import apply_temperature
from breastlabel.inference.passes import dropout_passes
from breastlabel.networks import UltrasoundHybrid, create_network
from breastlabel.training.checkpoint import load_checkpoint
from breastlabel.training.registry import ModelRegistry

N = 20


@pytest.fixture
def studies(tmp_path: Path) -> Path:
    write_images(tmp_path / "studies", N)
    return tmp_path / "studies"


@pytest.fixture
def catalog(studies: Path) -> Any:
    with Catalog.open(studies) as opened:
        yield opened


def score(catalog: Catalog, *methods: str, predictor: Any = None, **options: Any) -> ScoringResult:
    return score_pool(
        predictor or tiny_predictor(),
        catalog,
        methods or None,
        **{"model": "ultrasound", "passes": 3, "batch_size": 4, **options},
    )


def values(catalog: Catalog, method: str) -> dict[str, float]:
    """image id -> score."""
    found = (score for record in catalog.images() for score in catalog.scores.of(record.image_id))
    return {s.image_id: s.value for s in found if s.method == method}


def label(catalog: Catalog, image_id: str, mask: np.ndarray, folder: Path) -> None:
    file = folder / "mask.nii.gz"
    write_mask(file, mask, geometry=Geometry())
    catalog.labels.save(image_id, file.read_bytes())


def test_every_method_scores(catalog):
    result = score(catalog, batch=5)
    assert result.methods == METHODS
    assert (result.n_scored, result.n_read, result.n_unreadable, result.stopped) == (N, N, 0, False)
    assert result.images_per_second > 0
    runs = {run.method: run.n for run in catalog.scores.runs()}
    single = {"entropy", "margin", "least-confidence", "bald", "variation-ratio", "mask-disagreement"}
    single |= {"expected-edit", "entropy-and-edit", "bald-and-mask"}
    assert runs == {m: N if m in single else 5 for m in METHODS if m != REVISIT}


def test_each_image_is_read_once_and_encoded_once(catalog, monkeypatch):
    read, encoded = [], []

    def noting_read(path, **options):
        read.append(path.stem)
        return read_image(path, **options)

    def noting_encode(network, image):
        encoded.append(len(image))
        return encode(network, image)

    encode = UltrasoundHybrid.encode
    monkeypatch.setattr(pool_reader, "read_image", noting_read)
    monkeypatch.setattr(UltrasoundHybrid, "encode", noting_encode)
    score(catalog, "bald", "badge", "expected-edit", "mask-disagreement", passes=7)
    assert sorted(read) == [f"image-{i:03d}" for i in range(N)]
    assert sum(encoded) == N


def test_scores_are_those_of_the_checkpoints_own_answers(catalog):
    """Without dropout the passes are the plain answer, prepared and calibrated as the predictor does."""
    network = tiny_network(dropout=0.0, mask_dropout=0.0)
    predictor = tiny_predictor(network=network, calibration={"temperature": 3.0})
    score(catalog, "entropy", "bald", predictor=predictor)
    found = values(catalog, "entropy")
    for record in catalog.images():
        answer = predictor.predict(read_image(catalog.path(record))).class_probabilities
        expected = scores.entropy(np.array([list(answer.values())]))[0]
        # bfloat16, where the processor has it, keeps 8 bits.
        assert found[record.image_id] == pytest.approx(expected, abs=0.05)
    assert max(values(catalog, "bald").values()) == pytest.approx(0, abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("decoder_dropout", [0.0, 0.2])
def test_the_order_is_that_of_naive_passes(tmp_path, decoder_dropout):
    """Of the trained network, as near to naive passes as naive passes with other draws are to them."""
    trained = load_checkpoint(ModelRegistry(None).champion("ultrasound"))
    network = create_network("ultrasound", **trained.network.config() | {"decoder_dropout": decoder_dropout})
    network.load_state_dict(trained.network.state_dict())
    preparation = replace(trained.preparation, size=(128, 128))
    checkpoint = SimpleNamespace(
        network=network.eval(), preparation=preparation, version=VERSION, spec=trained.spec
    )
    predictor = Predictor(checkpoint, device="cpu")
    write_phantom_studies(tmp_path, exams=18, seed=2, shape=(160, 200), labelled=0.0, suffix=".png")
    with Catalog.open(tmp_path) as catalog:
        score(catalog, "entropy", "mask-disagreement", predictor=predictor, passes=10)
        records = catalog.images()
        ours = [[values(catalog, m)[r.image_id] for r in records] for m in ("entropy", "mask-disagreement")]
        images = [preparation(read_image(catalog.path(record)).pixels).image for record in records]

    def naive(seed: int) -> tuple[np.ndarray, np.ndarray]:
        answers = [
            dropout_passes(network, torch.from_numpy(image)[None, None], n=10, seed=seed + 100 * i)
            for i, image in enumerate(images)
        ]
        logits = np.stack([a.class_logits.numpy() for a in answers], axis=1)
        masks = [torch.sigmoid(a.mask_logits[:, 0]).numpy() for a in answers]
        classes = apply_temperature(logits, predictor.temperature)
        return scores.entropy(classes.mean(axis=0)), scores.mask_disagreements(
            masks, level=predictor.mask_threshold
        )

    # Three, because the agreement of a single pair is itself a matter of luck.
    for mine, *theirs in zip(ours, naive(1), naive(2), naive(3), strict=True):
        among = np.mean([spearmanr(one, other).statistic for one, other in combinations(theirs, 2)])
        assert among > 0.3, "the naive scores must tell the images apart"
        assert np.mean([spearmanr(mine, one).statistic for one in theirs]) >= among - 0.05


def test_a_scoring_that_was_stopped_goes_on_where_it_was(catalog, monkeypatch):
    asked = iter(range(100))
    stopped = score(catalog, "entropy", cancelled=lambda: next(asked) == 3)
    assert stopped.stopped
    assert stopped.methods == ()
    assert stopped.n_read == 12
    assert catalog.scores.runs() == []
    result = score(catalog, "entropy")
    assert (result.n_scored, result.n_read) == (N, N - 12)
    alone = values(catalog, "entropy")
    with Catalog.open(write_whole(catalog.studies)) as other:
        score(other, "entropy")
        assert values(other, "entropy") == alone


def write_whole(studies: Path) -> Path:
    """The same images in a folder that was never scored."""
    write_images(studies.with_name("whole"), N)
    return studies.with_name("whole")


def test_an_interruption_keeps_what_was_done(catalog):
    def interrupt(what: str, done: int, total: int) -> None:
        if done >= 8:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        score(catalog, "entropy", progress=interrupt)
    assert score(catalog, "entropy").n_read == N - 8


def test_scoring_again_reads_only_what_is_new_or_was_replaced(catalog, studies):
    score(catalog, "entropy")
    before = values(catalog, "entropy")
    assert score(catalog, "entropy", "bald").n_read == 0
    other = (studies / "image-005.png").read_bytes()
    (studies / "image-002.png").write_bytes(other)
    write_images(studies.with_name("more"), N + 1)
    (studies.with_name("more") / f"image-{N:03d}.png").rename(studies / "new.png")
    with Catalog.open(studies) as again:
        assert score(again, "entropy").n_read == 2
        after = values(again, "entropy")
    assert after["image-002"] == pytest.approx(before["image-005"])
    assert after["image-002"] != before["image-002"]
    assert "new" in after
    # Other passes are another question.
    assert score(catalog, "entropy", passes=4).n_read > 2


def test_unreadable_images_are_offered_no_more_until_they_are_replaced(catalog, studies):
    good = (studies / "image-004.png").read_bytes()
    (studies / "image-004.png").write_bytes(b"no picture")
    (studies / "image-006.png").unlink()
    result = score(catalog, "entropy")
    assert (result.n_scored, result.n_unreadable, result.n_skipped) == (N - 2, 1, 1)
    assert catalog.image("image-004").excluded == "unreadable"
    assert catalog.image("image-006").excluded is None, "it may be back in a moment"
    assert score(catalog, "entropy").n_unreadable == 0
    (studies / "image-004.png").write_bytes(good)
    assert score(catalog, "entropy").n_read == 1
    assert catalog.image("image-004").excluded is None
    assert "image-004" in values(catalog, "entropy")


def test_an_answer_that_is_no_number_is_that_images_alone(catalog, monkeypatch):
    arrays = ModelSource.arrays

    def broken(self, batch):
        answer = arrays(self, batch)
        first = next(iter(answer))
        answer[first] = answer[first].copy()
        answer[first][0] = np.nan
        return answer

    monkeypatch.setattr(ModelSource, "arrays", broken)
    result = score(catalog, "entropy")
    assert (result.n_scored, result.n_skipped) == (N - 5, 5), "one in each batch of four"
    assert len(values(catalog, "entropy")) == N - 5
    monkeypatch.undo()
    assert score(catalog, "entropy").n_read == 5


def test_scores_are_written_in_bulk(catalog, monkeypatch):
    written = []
    write = type(catalog.scores).write
    monkeypatch.setattr(
        type(catalog.scores), "write", lambda s, m, *a, **k: (written.append(m), write(s, m, *a, **k))[1]
    )
    score(catalog, "entropy", "bald", "core-set")
    assert written == ["entropy", "bald", "core-set"]


def test_a_set_that_is_chosen_anew_takes_the_place_of_the_last(catalog, tmp_path):
    score(catalog, "core-set", batch=4)
    first = values(catalog, "core-set")
    for image_id in first:
        label(catalog, image_id, np.zeros((24, 28), np.uint8), tmp_path)
    score(catalog, "core-set", batch=4)
    second = values(catalog, "core-set")
    assert len(second) == 4
    assert not first.keys() & second.keys(), "what is labelled is neither offered nor near what is"


def test_scores_of_the_version_before_stay_and_older_ones_go(catalog):
    versions = [f"2026112{i}-000000-0000000{i}" for i in range(3)]
    for version in versions:
        score(catalog, "entropy", "core-set", predictor=tiny_predictor(version=version))
    assert {run.model_version for run in catalog.scores.runs()} == set(versions[1:])
    folder = catalog.studies / ".breastlabel" / "scoring" / "ultrasound"
    assert sorted(path.name for path in folder.iterdir()) == versions[1:]


def test_memory_does_not_grow_with_the_images(tmp_path):
    """While images are read; what is chosen from at the end is a few kilobytes of each."""

    def peak(n: int) -> int:
        studies = tmp_path / f"{n}"
        write_images(studies, n, shape=(160, 200))
        with Catalog.open(studies) as catalog:
            predictor = tiny_predictor()
            tracemalloc.start()
            score(catalog, "entropy", predictor=predictor)
            size = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
        return size

    small, large = peak(40), peak(160)
    # An image is 128 kB as it is read, so 120 more of them would be 15 MB.
    assert large - small < 2_000_000


def test_revisit_puts_first_where_reader_and_model_differ(catalog, tmp_path):
    predictor = tiny_predictor(thresholds={"mask": 0.5, "normal": 1.1, "min_area_fraction": 0.0})
    ids = [record.image_id for record in catalog.images()][:3]
    masks = [predictor.predict(read_image(catalog.path(catalog.image(i)))).mask for i in ids]
    assert masks[0].any()
    assert masks[1].any()
    label(catalog, ids[0], masks[0], tmp_path)
    label(catalog, ids[1], np.zeros_like(masks[1]), tmp_path)
    result = score(catalog, REVISIT, predictor=predictor)
    assert result.methods == (REVISIT,)
    assert result.n_read == 0, "the waiting images are not asked for"
    found = values(catalog, REVISIT)
    assert found == {ids[0]: pytest.approx(0), ids[1]: pytest.approx(1)}
    label(catalog, ids[1], masks[1], tmp_path)
    score(catalog, REVISIT, predictor=predictor)
    assert values(catalog, REVISIT)[ids[1]] == pytest.approx(0), "a new label is compared anew"


def test_a_cold_start_chooses_different_images(tmp_path):
    """Of three kinds of image, of which one is rare, the first three chosen are one of each."""
    studies = tmp_path / "kinds"
    studies.mkdir()
    rng = np.random.default_rng(0)
    rows, cols = np.mgrid[:40, :50]
    kinds = [rows * 5, cols * 4, np.where((rows // 10 + cols // 10) % 2, 200, 20)]
    from PIL import Image

    for i, kind in enumerate([0] * 10 + [1] * 6 + [2]):
        pixels = kinds[kind] + rng.integers(0, 20, (40, 50))
        Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(studies / f"kind{kind}-{i:02d}.png")
    with Catalog.open(studies) as catalog:
        result = score_pool(None, catalog, ["entropy", "core-set", "badge"], model="ultrasound", batch=3)
        assert result.model_version == COLD_START
        for method in ("entropy", "core-set", "badge"):
            chosen = values(catalog, method)
            assert {image_id[:5] for image_id in chosen} == {"kind0", "kind1", "kind2"}
            assert sorted(chosen.values()) == [1, 2, 3]


def test_a_limit_reads_so_many_at_a_time(catalog):
    assert score(catalog, "entropy", limit=6).n_scored == 6
    assert len(values(catalog, "entropy")) == 6
    assert score(catalog, "entropy", limit=6).n_scored == 12


def test_images_that_cannot_be_analysed_or_are_of_another_modality_are_not_scored(catalog):
    first, second, *rest = (record.image_id for record in catalog.images())
    catalog.update_image(first, metadata={"not_analysable": "spot view"})
    catalog.update_image(second, modality=Modality.MG)
    assert score(catalog, "entropy").n_scored == len(rest)
    assert set(values(catalog, "entropy")) == set(rest)
    assert catalog.image(first).excluded is None, "a reader may look at it all the same"


def test_progress_is_told(catalog):
    told = []
    score(catalog, "entropy", progress=lambda *report: told.append(report))
    assert told == [("scoring", done, N) for done in (4, 8, 12, 16, 20)]


def test_an_empty_pool_is_no_error(tmp_path):
    (tmp_path / "empty").mkdir()
    with Catalog.open(tmp_path / "empty") as catalog:
        assert score(catalog).n_scored == 0


def test_unknown_methods_and_other_networks_are_refused(catalog):
    with pytest.raises(UnknownNameError, match="scoring method"):
        score(catalog, "chance")
    predictor = tiny_predictor()
    object.__setattr__(predictor.checkpoint, "network", torch.nn.Identity())
    with pytest.raises(CheckpointError, match=r"encode, decode and heads; this checkpoint's is a Identity"):
        score(catalog, "entropy", predictor=predictor)


def test_the_models_network_is_left_as_it_was(catalog):
    predictor = tiny_predictor()
    network = predictor.checkpoint.network
    before = {name: (value.stride(), value.clone()) for name, value in network.state_dict().items()}
    score(catalog, "bald", predictor=predictor)
    for name, value in network.state_dict().items():
        assert value.stride() == before[name][0]
        assert torch.equal(value, before[name][1])
    assert not any(layer.training for layer in network.modules())


def test_the_cache_lies_beside_the_catalog(catalog):
    score(catalog, "entropy")
    folder = catalog.studies / ".breastlabel" / "scoring" / "ultrasound"
    assert list(folder.rglob("chunk-*.npz"))
    assert module.site_folder(catalog.studies) in folder.parents
    assert isinstance(PoolCache(folder, {}).known({}), set)
