"""Scores for a whole studies folder: read each image once, choose by every method, write in bulk."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NamedTuple

from breastlabel.activelearning.acquisition import Need
from breastlabel.activelearning.labelled import LabelledImages, read_labelled
from breastlabel.activelearning.method_scores import (
    BATCH,
    REVISIT,
    ROUNDS,
    check_methods,
    method_scores,
    uses_labelled_features,
)
from breastlabel.activelearning.outputs import PASSES
from breastlabel.activelearning.pool_cache import PoolCache, remove_other_versions
from breastlabel.activelearning.pool_pass import PassCounts, load_pool, read_pool
from breastlabel.activelearning.pool_reader import ImageFile
from breastlabel.activelearning.registry import ACQUISITIONS
from breastlabel.activelearning.sources import ModelSource, Source, ThumbnailSource
from breastlabel.catalog import Catalog
from breastlabel.catalog.unreadable import keep_out, offer_changed_again
from breastlabel.datasets.sequences import NOT_ANALYSABLE
from breastlabel.errors import StudiesError
from breastlabel.imaging.stamps import Stamp, stamp_of
from breastlabel.inference import Predictor
from breastlabel.training.presets import MODALITIES
from breastlabel.training.registry import ModelRegistry, site_folder

__all__ = ["ScoringResult", "score_pool", "score_studies"]

#: Model versions whose scores and cached outputs stay: the one that serves, and the one before it.
_VERSIONS_KEPT = 2
_CPU_BATCH, _GPU_BATCH = 8, 32


@dataclass(frozen=True)
class ScoringResult:
    """What a scoring did.

    Attributes:
        model_version: whose scores they are; ``cold-start`` where there is no model.
        methods: what scores were written by, in order; none where it was stopped.
        n_scored: waiting images whose outputs are known now.
        n_read: of them, those that were read by this scoring; the others were known from before.
        n_unreadable: files that are no usable image; they are not offered any more.
        n_skipped: files that could not be reached, and answers that are no finite number; they are tried
            again next time.
        seconds: how long it took.
        images_per_second: how fast the waiting images were read and shown to the model.
        stopped: whether it was ended before all was done; the outputs so far are kept.
    """

    model: str
    model_version: str
    methods: tuple[str, ...]
    n_scored: int
    n_read: int
    n_unreadable: int
    n_skipped: int
    seconds: float
    images_per_second: float
    stopped: bool


#: Called with (what is being done, how many are done, of how many).
Report = Callable[[str, int, int], None]


def score_studies(
    studies: str | Path,
    model: str,
    *,
    methods: Sequence[str] | None = None,
    passes: int = PASSES,
    device: str | None = None,
    batch: int = BATCH,
    limit: int | None = None,
    progress: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ScoringResult:
    """Score the waiting images of a studies folder with the model that serves when this is called.

    Where there is none, images are chosen for their diversity (`ThumbnailSource`). The round of the learning
    loop, which ClaSP PE asks for, is the number of versions that were trained at this site.

    Args:
        model: the system's name.
        methods: and the following: see `score_pool`.
        device: a GPU where there is one, if None.

    Raises:
        StudiesError: there is no such folder.
        CheckpointError: the champion is damaged.
        UnknownNameError: no such method.
    """
    asked = check_methods(methods)
    registry = ModelRegistry(Path(studies))
    trained_here = sum(
        registry.root is not None and folder.is_relative_to(registry.root)
        for folder in registry.versions(model).values()
    )
    predictor = Predictor(registry.champion(model), device=device) if registry.has_champion(model) else None
    with Catalog.open(studies) as catalog:
        return score_pool(
            predictor,
            catalog,
            asked,
            model=model,
            passes=passes,
            batch=batch,
            round_index=trained_here,
            limit=limit,
            progress=progress,
            cancelled=cancelled,
        )


def score_pool(
    predictor: Predictor | None,
    catalog: Catalog,
    methods: Sequence[str] | None = None,
    *,
    model: str,
    passes: int = PASSES,
    batch_size: int | None = None,
    batch: int = BATCH,
    round_index: int = 0,
    n_rounds: int = ROUNDS,
    limit: int | None = None,
    progress: Report | None = None,
    cancelled: Callable[[], bool] | None = None,
) -> ScoringResult:
    """Score every waiting image of the model's modality by the methods, and write the scores.

    Each image is read once, while the ones before it are computed, and encoded once; see `NetworkOutputs`.
    What the model says of it is kept in small files beside the catalog, so that a scoring which was stopped,
    or killed, goes on, and one that is repeated reads only images that are new or were replaced. The scores
    are written when all images are known, each method's in bulk. Those of the version before stay, older
    ones go.

    Args:
        predictor: of the model; None for a cold start.
        methods: of `METHODS`; all where None. ``revisit`` scores labelled images instead of waiting ones.
        model: under whose name the scores are written.
        passes: stochastic passes.
        batch_size: images that are shown to the model at once; fits the device where None.
        batch: how many images a method chooses that chooses sets.
        round_index: see `method_scores`, and so ``n_rounds``.
        limit: read at most so many waiting images, to try things; the others go without scores.
        progress: called with "scoring" or "comparing", how many images are done and of how many.
        cancelled: asked before each batch; true ends the scoring.

    Raises:
        UnknownNameError: no such method.
        CheckpointError: the network is none that can be scored with.
        OSError: the disk is full; what was written before is kept.
    """
    if catalog.studies is None:
        raise StudiesError("a studies folder is required to read images; got none; open the catalog with one")
    asked = check_methods(methods)
    on_cpu = predictor is None or predictor.device.type == "cpu"
    scoring = _Scoring(
        catalog=catalog,
        model=model,
        predictor=predictor,
        source=ThumbnailSource() if predictor is None else ModelSource(predictor, passes=passes),
        folder=site_folder(catalog.studies) / "scoring" / model,
        batch_size=batch_size or (_CPU_BATCH if on_cpu else _GPU_BATCH),
        report=progress or (lambda what, done, total: None),
        stop=cancelled or (lambda: False),
    )
    started = time.perf_counter()
    waiting, labelled = scoring.files()
    acquisitions = [method for method in asked if method != REVISIT]
    pool = scoring.read_waiting(waiting if acquisitions else {}, limit)
    read_for = time.perf_counter() - started
    others = LabelledImages(None, {})
    if not pool.counts.stopped and (predictor is None or REVISIT in asked or uses_labelled_features(asked)):
        others = scoring.read_labelled(labelled)
    stopped = pool.counts.stopped or others.stopped
    if not stopped:
        outputs = load_pool(pool.cache, pool.stamps, _needs(acquisitions, scoring.source))
        choose = partial(
            method_scores,
            pool=outputs,
            version=scoring.source.version,
            labelled_features=others.features,
            batch=batch,
            round_index=round_index,
            n_rounds=n_rounds,
        )
        for method in acquisitions:
            scoring.write(method, choose(method) if len(outputs) else {}, of=len(outputs))
        if REVISIT in asked:
            scoring.write(REVISIT, others.disagreements, of=len(labelled))
        scoring.forget_old_versions()
    counts = pool.counts
    return ScoringResult(
        model=model,
        model_version=scoring.source.version,
        methods=() if stopped else asked,
        n_scored=pool.n_known + counts.read,
        n_read=counts.read,
        n_unreadable=len(counts.damaged),
        n_skipped=counts.unreached + counts.failed,
        seconds=round(time.perf_counter() - started, 3),
        images_per_second=round(counts.read / read_for, 2),
        stopped=stopped,
    )


class _Pool(NamedTuple):
    """The waiting images: how reading them went, and where their outputs are."""

    cache: PoolCache
    stamps: dict[str, Stamp | None]
    n_known: int
    counts: PassCounts


@dataclass(frozen=True)
class _Scoring:
    """The steps of one scoring, and what they have in common."""

    catalog: Catalog
    model: str
    predictor: Predictor | None
    source: Source
    folder: Path
    batch_size: int
    report: Report
    stop: Callable[[], bool]

    def files(self) -> tuple[dict[str, ImageFile], dict[str, ImageFile]]:
        """The images of the model's modality that wait for a label, and those that have one.

        Spot views, specimens and the like are neither: no answer is to be had for them.
        """
        waiting: dict[str, ImageFile] = {}
        labelled: dict[str, ImageFile] = {}
        offer_changed_again(self.catalog)
        for record in self.catalog.images():
            if record.modality is not MODALITIES[self.model] or record.metadata.get(NOT_ANALYSABLE):
                continue
            file = ImageFile(record.image_id, self.catalog.path(record), record.modality)
            if record.excluded is None:
                (labelled if record.reviewed else waiting)[record.image_id] = file
        return waiting, labelled

    def read_waiting(self, files: dict[str, ImageFile], limit: int | None) -> _Pool:
        """Ask the source about every waiting image that it was not asked about."""
        stamps = {image_id: stamp_of(file.path) for image_id, file in files.items()}
        cache = PoolCache(self.folder / self.source.version, self.source.settings)
        known = cache.known(stamps)
        unknown = [file for image_id, file in files.items() if image_id not in known][:limit]
        counts = read_pool(
            unknown,
            self.source,
            cache,
            batch_size=self.batch_size,
            progress=lambda done: self.report("scoring", done, len(unknown)),
            cancelled=self.stop,
        )
        for read in counts.damaged:
            keep_out(self.catalog, read.file.image_id, read.stamp)
        return _Pool(cache, stamps, len(known), counts)

    def read_labelled(self, files: dict[str, ImageFile]) -> LabelledImages:
        """Where the labelled images lie, and how far the model is from their labels."""
        return read_labelled(
            self.catalog,
            files,
            self.source,
            PoolCache(self.folder / self.source.version, {**self.source.settings, "labelled": True}),
            predictor=self.predictor,
            batch_size=self.batch_size,
            progress=lambda done, total: self.report("comparing", done, total),
            cancelled=self.stop,
        )

    def write(self, method: str, values: dict[str, float], *, of: int) -> None:
        """Write the method's scores of this version, in the place of those that it gave other images."""
        finite = {image_id: value for image_id, value in values.items() if math.isfinite(value)}
        scores = self.catalog.scores
        scores.write(method, self.model, self.source.version, finite, replace=len(finite) < of)
        scores.clear(method, self.model, self.source.version, keep_newest=_VERSIONS_KEPT - 1)

    def forget_old_versions(self) -> None:
        """Remove the outputs of versions that no score is of any more."""
        kept = {run.model_version for run in self.catalog.scores.runs() if run.model == self.model}
        remove_other_versions(self.folder, kept | {self.source.version})


def _needs(acquisitions: Sequence[str], source: Source) -> frozenset[Need]:
    if isinstance(source, ThumbnailSource):
        return frozenset({Need.FEATURES})
    return frozenset(need for method in acquisitions for need in ACQUISITIONS[method].needs)
