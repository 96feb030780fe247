"""The app class that MONAI Label finds and builds."""

from __future__ import annotations

import atexit
import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from monailabel.config import settings
from monailabel.interfaces.app import MONAILabelApp

import breastlabel
from breastlabel.catalog import Catalog
from breastlabel.catalog.dicom_indexer import DicomIndexer
from breastlabel.catalog.listing import waiting_modalities
from breastlabel.catalog.watch import FolderWatcher
from breastlabel.errors import BreastLabelError
from breastlabel.label.asked_modality import check_modality
from breastlabel.label.auto_scoring import AutoScoring
from breastlabel.label.batch import BatchInference
from breastlabel.label.breasts import Breasts
from breastlabel.label.caller import caller
from breastlabel.label.corrections import CorrectionMeasures
from breastlabel.label.datastore import ORIGINAL, StudiesDatastore
from breastlabel.label.errors import BadRequestError, named
from breastlabel.label.gate import InferenceGate
from breastlabel.label.held_images import HeldImages
from breastlabel.label.infers import OUTLINING, WITHOUT_OUTLINES, create_infers
from breastlabel.label.jobs import BackgroundJobs
from breastlabel.label.login import login_from_environment
from breastlabel.label.logs import configure_logging
from breastlabel.label.next_sample import next_sample
from breastlabel.label.on_arrival import reads_on_arrival
from breastlabel.label.options import Options
from breastlabel.label.predictors import ChampionPredictors
from breastlabel.label.proposals import keep_proposal, painted
from breastlabel.label.scoring import create_scoring_methods, scoring_job
from breastlabel.label.segments import LABELS
from breastlabel.label.strategies import (
    DEFAULT_STRATEGY,
    LeasingStrategy,
    create_strategies,
    lease_seconds,
)
from breastlabel.label.systems import MODELS, selected_models
from breastlabel.label.tools import put_tools_on_path
from breastlabel.label.train import Trainer
from breastlabel.training.registry import ModelRegistry, site_folder

if TYPE_CHECKING:
    from breastlabel.web.arrivals import Arrivals
    from breastlabel.web.dicomweb.archive import Archive
    from breastlabel.web.pacs.pacs import Pacs
    from breastlabel.web.pacs.settings import PacsSettings

__all__ = ["BreastLabelApp"]

logger = logging.getLogger(__name__)

#: In a request, these name what is analysed. Only the query may: not an option among others.
_RESERVED = ("image", "image_id", "model", "session", "label", "description")


class BreastLabelApp(MONAILabelApp):
    """breastlabel on a folder of images.

    Its direct base must be ``MONAILabelApp``: the loader looks for exactly that.
    """

    #: Reads what comes; None where that is turned off, and before the server has started.
    arrivals: Arrivals | None = None
    _pacs_settings: PacsSettings | None = None
    _watcher: FolderWatcher | None = None
    _indexer: DicomIndexer | None = None
    _auto_scoring: AutoScoring | None = None

    def __init__(self, app_dir: str, studies: str, conf: Mapping[str, str] | None) -> None:
        configure_logging()
        put_tools_on_path()
        try:
            self._models = selected_models((conf or {}).get("models"))
            self._lease_seconds = lease_seconds(conf)
            self._auto_score = bool(Options(conf).flag("auto_score", False))
            self._read_on_arrival = reads_on_arrival(conf)
            super().__init__(
                app_dir,
                str(self._prepare(studies)),
                dict(conf or {}),
                name="breastlabel",
                description="Breast imaging: segment, classify, correct, retrain. For research only",
                version=breastlabel.__version__,
                labels=list(LABELS),
            )
        except BreastLabelError as error:
            # The reason stands alone in its line; the traceback that the platform prints follows.
            logger.error("breastlabel cannot start: %s", error)
            raise
        self._auto_update_scoring = False

    def _prepare(self, studies: str) -> Path:
        """The studies folder, which for a PACS is the one that mirrors it."""
        folder = Path(studies).absolute()
        if studies.lower().startswith(("http://", "https://")):
            # Imported here: the pages and routes that come with it are the server's alone.
            from breastlabel.web.pacs.settings import mirror_folder, pacs_settings, require_another_server

            self._pacs_settings = pacs_settings(studies)
            require_another_server(self._pacs_settings, settings.MONAI_LABEL_SERVER_PORT)
            folder = mirror_folder(self._pacs_settings)
        registry = ModelRegistry(folder)
        self.login = login_from_environment(site_folder(folder))
        self.gate = InferenceGate()
        self.on_inference: list[Callable[[str, float], None]] = []
        self.on_close: list[Callable[[], None]] = []
        self.batch = BatchInference()
        self.jobs = BackgroundJobs(site_folder(folder) / "jobs")
        self.scoring_jobs = BackgroundJobs(
            site_folder(folder) / "scoring-jobs", module="breastlabel.activelearning.worker", noun="scoring"
        )
        self.images = HeldImages()
        self.predictors = ChampionPredictors(registry, prepare=self.images.prepare)
        return folder

    def init_datastore(self) -> StudiesDatastore:
        """The folder with its catalog, which stays open until `close`.

        Child processes build the app as well, so nothing is watched or started here.
        """
        self.catalog = Catalog.open(self.studies, create=True)
        self.corrections = CorrectionMeasures(self.catalog)
        return StudiesDatastore(self.catalog)

    @cached_property
    def archive(self) -> Archive:
        """The instances that viewers load and store. Made when first asked for: child processes never ask."""
        from breastlabel.web.dicomweb.archive import Archive

        return Archive(self.catalog) if self.pacs is None else self.pacs.archive

    @cached_property
    def pacs(self) -> Pacs | None:
        """The PACS whose studies these are; None for a folder. Made when first asked for, as `archive`."""
        if self._pacs_settings is None:
            return None
        from breastlabel.web.pacs.pacs import Pacs

        return Pacs(self._pacs_settings, self.catalog)

    def init_infers(self) -> dict[str, Any]:
        """The chosen systems, and ``explain``."""
        return create_infers(self._models, self.predictors, Breasts(self.catalog, self.images))

    def init_trainers(self) -> dict[str, Trainer]:
        """A trainer for each of the chosen systems."""
        folder, registry = Path(self.studies).absolute(), self.predictors.registry
        return {name: Trainer(name, folder, registry=registry, jobs=self.jobs) for name in self._models}

    def init_strategies(self) -> dict[str, Any]:
        """Each gives an image on lease; viewers choose the first by themselves."""
        return create_strategies(
            models=self._models, version=self.predictors.version, seconds=self._lease_seconds
        )

    def init_scoring_methods(self) -> dict[str, Any]:
        """One for each strategy that goes by scores."""
        return dict(
            create_scoring_methods(
                models=self._models, studies=Path(self.studies).absolute(), jobs=self.scoring_jobs
            )
        )

    def on_init_complete(self) -> None:
        """Put our routes in the place of the stock ones, and take up what was under way."""
        # Imported here so that the child processes that build the app as well do without it.
        from breastlabel.label.server import take_over
        from breastlabel.web.seg_folder import FolderSegmentations

        self.cleanup_sessions()
        try:
            take_over(self)
        except BreastLabelError as error:
            logger.error("breastlabel cannot start: %s", error)
            raise
        self.jobs.watch()
        self.scoring_jobs.watch()
        self.corrections.catch_up()
        self._watcher = FolderWatcher(self.catalog, on_look=FolderSegmentations(self).look)
        self._watcher.start()
        self._indexer = DicomIndexer(self.catalog)
        self._indexer.start()
        if self._auto_score:
            self._auto_scoring = AutoScoring(
                self.catalog,
                models=self._models,
                version=self.predictors.version,
                jobs=self.scoring_jobs,
                job=lambda model: self._scoring_job({"model": model}),
            )
            self._auto_scoring.start()
        # After the routes, of which some want to be told of what comes.
        if self.pacs is not None:
            self.pacs.start()
        if self._read_on_arrival:
            from breastlabel.web.arrivals import Arrivals

            self.arrivals = Arrivals(self)
            self.arrivals.start()
        atexit.register(self.close)

    def close(self) -> None:
        """End what the server started in this process, and close the catalog."""
        atexit.unregister(self.close)
        if self.arrivals is not None:
            self.arrivals.close()
        self.batch.stop(timeout=20.0)
        for close in self.on_close:
            close()
        if self.login is not None:
            self.login.close()
        if self._watcher is not None:
            self._watcher.stop()
        if self._indexer is not None:
            self._indexer.stop()
        if self._auto_scoring is not None:
            self._auto_scoring.close()
        if "pacs" in self.__dict__ and self.pacs is not None:
            self.pacs.close()
        self.corrections.close()
        self.catalog.close()

    def info(self) -> dict[str, Any]:
        """What the app offers. The figures of the newest training come first: Slicer shows only the first."""
        offered = dict(super().info())
        newest = ((self.jobs.latest() or {}).get("request") or {}).get("model")
        figures = sorted(offered["train_stats"].items(), key=lambda entry: entry[0] != newest)
        corrections = [asdict(summary) for summary in self.corrections.summary()]
        return {**offered, "train_stats": dict(figures), "corrections": corrections}

    def infer(self, request: Mapping[str, Any], datastore: Any = None) -> dict[str, Any]:
        """Run a model on an image of the folder. Its outlines are kept as the image's newest proposal.

        Args:
            request: ``model``, ``image`` (an id, never a path), options; ``save_label`` stores the mask
                under ``label_tag`` (``original``), whatever kind of model it is.

        Returns:
            ``file`` (temporary; the caller removes it), ``label``, ``tag`` and ``params``.

        Raises:
            NotFoundError: unknown model or image.
            CheckpointError: the model is not trained yet.
            InvalidImageError: the image is of another modality than the model's, or cannot be read.
        """
        image_id, model = str(request.get("image", "")), str(request.get("model", ""))
        store = datastore or self.datastore()
        save = Options(request).flag("save_label", False)
        if save and isinstance(named("model", model, self._infers), WITHOUT_OUTLINES):
            raise BadRequestError(
                f"a model that outlines lesions is required for save_label; {model} does not; leave it out"
            )
        path = store.path(image_id)
        # ``explain`` looks through the eyes of the system that its options name.
        asked = Options(request).text("explain_model", "") if model == "explain" else model
        # One that is not served is refused by the task, which lists those that are.
        if asked in self._models:
            check_modality(self.catalog.image(image_id), str(asked))
        result = self.infer_file(model, path, request, image_id=image_id)
        file, params = Path(result["file"]), result["params"]
        params["image_id"] = image_id
        if save:
            tag = Options(request).text("label_tag", ORIGINAL)
            try:
                store.save_label(image_id, str(file), tag, {"model": model, "params": params})
            except BaseException:
                file.unlink(missing_ok=True)
                raise
            result |= {"label": image_id, "tag": tag}
        elif isinstance(self._infers[model], OUTLINING):
            keep_proposal(self.catalog, image_id, file, model=model, params=params, label=painted(params))
        return result

    def infer_file(
        self, model: str, image: Path, options: Mapping[str, Any], *, image_id: str | None = None
    ) -> dict[str, Any]:
        """Run a model on a file that the server chose: of the folder (``image_id``), a session, an upload."""
        task = named("model", model, self._infers)
        with self.gate.enter():
            began = time.perf_counter()
            file, params = task({**options, "image": str(image), "image_id": image_id})
        for note in self.on_inference:
            note(model, time.perf_counter() - began)
        return {"file": file, "label": file, "tag": ORIGINAL, "params": params}

    def next_sample(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The image that the request's ``strategy`` gives on lease; see `next_sample`.

        Raises:
            NotFoundError: unknown strategy.
        """
        strategy = named("strategy", str(request.get("strategy") or DEFAULT_STRATEGY), self._strategies)
        return next_sample(strategy, request, self.datastore())

    def train(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Train and wait for the end."""
        trainer = named("trainer", str(request.get("model", "")), self._trainers)
        return dict(trainer(request, self.datastore()))

    def async_training(self, model: Any, params: Any = None, enqueue: bool = False) -> dict[str, Any]:
        """Begin one training, or one for each trainer; the tasks, or the one task."""
        models = list(self._trainers) if not model else [model] if isinstance(model, str) else list(model)
        who = caller()
        tasks = {}
        for name in models:
            trainer = named("trainer", name, self._trainers)
            own = {k: v for k, v in (params or {}).items() if k not in self._trainers}
            job = trainer.job({**own, **((params or {}).get(name) or {})})
            tasks[name] = self.jobs.start(job, enqueue=enqueue or len(models) > 1)
            self.catalog.audit.append(
                "model.train.request",
                author=who.author(params),
                client_id=who.client_id(params),
                details={"model": name, "job": tasks[name]["id"]},
            )
        return tasks[models[0]] if len(models) == 1 else tasks

    def async_scoring(self, method: Any, params: Any = None, enqueue: bool = False) -> dict[str, Any]:
        """Begin a scoring by one method, or by all in one look at each image; the task."""
        methods = None if not method else [method] if isinstance(method, str) else list(method)
        for name in methods or ():
            named("scoring method", name, self._scoring_methods)
        task = self.scoring_jobs.start(self._scoring_job(params, methods), enqueue=enqueue)
        who = caller()
        self.catalog.audit.append(
            "score.request",
            author=who.author(params),
            client_id=who.client_id(params),
            details={"model": task["request"]["model"], "methods": methods or "all", "job": task["id"]},
        )
        return task

    def _scoring_job(self, options: Any, methods: Sequence[str] | None = None) -> dict[str, Any]:
        waiting = waiting_modalities(self.catalog.database)
        # The first is scored with where a request names none.
        models = sorted(self._models, key=lambda name: MODELS[name].modality not in waiting)
        studies = Path(self.studies).absolute()
        return scoring_job(options, models=models, studies=studies, methods=methods)

    def trainers(self) -> list[str]:
        """Names of the trainers."""
        return list(self._trainers)

    def workers(self) -> dict[str, bool]:
        """Whether each background worker that this process started lives; empty before the server has."""
        started = {
            "folder-watcher": self._watcher,
            "dicom-indexer": self._indexer,
            "arrivals": self.arrivals,
            "auto-scoring": self._auto_scoring,
            "pacs-mirror": self.pacs if self._watcher is not None else None,
        }
        living = {thread.name for thread in threading.enumerate()}
        return {name: name in living for name, worker in started.items() if worker is not None}

    def strategies(self) -> dict[str, LeasingStrategy]:
        """The strategies by their names, the default one first."""
        return dict(self._strategies)

    @property
    def lease_seconds(self) -> float:
        """How long what a reader was given is kept for them."""
        return self._lease_seconds

    def checked_options(self, options: Any, *, image: str, model: str) -> dict[str, Any]:
        """A client's options, without what names the work itself.

        Raises:
            BadRequestError: they are no JSON object, or name another image or model than the request.
        """
        if not isinstance(options, dict):
            raise BadRequestError("params must be a JSON object; got something else; send {} for none")
        for name, wanted in (("image", image), ("model", model)):
            if name in options and options[name] != wanted:
                raise BadRequestError(
                    f"params may not name another {name} than the request does; leave it out"
                )
        return {k: v for k, v in options.items() if k not in _RESERVED and not str(k).startswith("_")}

    def _download_dcmqi_tools(self) -> None:
        """Nothing is fetched: the tools come with the environment (`put_tools_on_path`)."""
