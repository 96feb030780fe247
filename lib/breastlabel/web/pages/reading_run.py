"""Reads one image for the reading page: mask, class, uncertainty, heat map, pictures and report."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breastlabel.datasets.sequences import context_of
from breastlabel.errors import InvalidImageError
from breastlabel.evaluation.case_report import CaseForm, case_facts, write_case_report
from breastlabel.findings import result_json
from breastlabel.findings.result import NOTICE
from breastlabel.imaging import BreastImage, Modality, image_stem, write_mask
from breastlabel.imaging.dicom import header_facts
from breastlabel.imaging.files import IMAGE_SUFFIXES, is_dicom
from breastlabel.inference import Prediction, Predictor
from breastlabel.label.breasts import Breasts
from breastlabel.label.errors import BadRequestError, named
from breastlabel.label.explain import heat_map_params
from breastlabel.label.infer import plain
from breastlabel.label.systems import MODELS
from breastlabel.web.pages.case_codes import code_warning
from breastlabel.web.pages.reading_pictures import Picture, reading_pictures
from breastlabel.web.pages.reading_report import write_reading_report
from breastlabel.web.pages.readings import Reading

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["MASK_FILE", "PASSES", "Asked", "ReadingRun", "fitting_model", "modality_of_file"]

#: Stochastic passes for the uncertainty.
PASSES = 20
MASK_FILE = "mask.nrrd"
_REPORTED = "cad"


@dataclass(frozen=True)
class Asked:
    """What is to be read.

    Attributes:
        file: the upload, or the studies folder's file.
        model: of `MODELS`.
        form: what was typed; of an image of the studies folder only its code counts, for the catalog knows
            the rest.
        image_id: of the studies folder; None for an upload.
    """

    file: Path
    model: str
    form: CaseForm
    image_id: str | None = None


class ReadingRun:
    """Called in the readings' thread; see `Readings`."""

    def __init__(self, app: BreastLabelApp) -> None:
        self._app = app
        self._breasts = Breasts(app.catalog, app.images)

    def __call__(self, reading: Reading) -> Mapping[str, Any]:
        """What the page shows of it.

        Raises:
            BreastLabelError: the image cannot be analysed; the model is not trained; it was stopped.
        """
        asked: Asked = reading.asked
        reading.stage = "waiting for the model"
        with self._app.gate.enter():
            predictor = self._app.predictors.predictor(asked.model)
            reading.stage = "analysing"
            if asked.image_id is not None and MODELS[asked.model].modality is Modality.MG:
                image, prediction, params = self._breast(predictor, asked, reading)
            else:
                image, prediction, params = self._alone(predictor, asked, reading)
        form, notes = asked.form.filled(image)
        reading.stage = "drawing"
        preparation = predictor.checkpoint.preparation
        prepared = self._app.images.prepare(preparation, image)
        pictures = reading_pictures(image, prediction, preparation, prepared)
        for picture in pictures:
            (reading.folder / f"{picture.name}.png").write_bytes(picture.png)
        write_mask(reading.folder / MASK_FILE, prediction.mask, geometry=image.geometry)
        reading.stage = "writing the report"
        result = self._result(asked, form, notes, params, pictures, prediction)
        reports = self._report(asked, form, notes, image, prediction, predictor, pictures, result, reading)
        return {**result, "reports": reports, "downloads": _downloads(asked, reports)}

    def _alone(
        self, predictor: Predictor, asked: Asked, reading: Reading
    ) -> tuple[BreastImage, Prediction, dict[str, Any]]:
        """Nothing but the image, with what was typed beside what it knows."""
        image = self._app.images.read(asked.file, MODELS[asked.model].modality)
        form, _ = asked.form.filled(image)
        image = replace(
            image, age=form.age, laterality=form.side, view_position=form.view, density=form.density
        )
        answer = predictor.predict_sequence(
            [image],
            contexts=context_of(image)[None] if predictor.takes_sequences else None,
            uncertainty_passes=PASSES,
            explain=True,
            should_stop=reading.stop.is_set,
        )
        prediction = answer.images[0]
        return image, prediction, dict(result_json(prediction, image))

    def _breast(
        self, predictor: Predictor, asked: Asked, reading: Reading
    ) -> tuple[BreastImage, Prediction, dict[str, Any]]:
        """With the other views and the older exams that the catalog knows."""
        judged = self._breasts.judge(
            predictor,
            asked.file,
            asked.image_id,
            uncertainty_passes=PASSES,
            explain=True,
            should_stop=reading.stop.is_set,
        )
        return judged.image, judged.prediction, judged.params(judged.asked)

    def _result(
        self,
        asked: Asked,
        form: CaseForm,
        notes: tuple[str, ...],
        params: Mapping[str, Any],
        pictures: list[Picture],
        prediction: Prediction,
    ) -> dict[str, Any]:
        warning = code_warning(form.code)
        said: dict[str, Any] = plain(
            {
                "model": asked.model,
                "modality": MODELS[asked.model].modality.value,
                "outlines": MODELS[asked.model].outlines,
                "image_id": asked.image_id,
                "form": {
                    "code": form.code,
                    "age": form.age,
                    "side": form.side,
                    "view": form.view,
                    "density": form.density,
                },
                "notes": [*notes, *([warning] if warning else [])],
                "params": params,
                "above_operating_point": prediction.above_operating_point,
                "pictures": [{"name": p.name, "title": p.title, "explained": p.explained} for p in pictures],
                "heat": None
                if prediction.heat_map is None
                else heat_map_params(prediction.heat_map, prediction.mask),
            }
        )
        return said

    def _report(
        self,
        asked: Asked,
        form: CaseForm,
        notes: tuple[str, ...],
        image: BreastImage,
        prediction: Prediction,
        predictor: Predictor,
        pictures: list[Picture],
        result: Mapping[str, Any],
        reading: Reading,
    ) -> list[str]:
        """Write the report and return its files' names: P2's own for its system, else one like it."""
        fingerprint = hashlib.sha256(asked.file.read_bytes()).hexdigest()[:16]
        if asked.model != _REPORTED:
            path = reading.folder / "report.html"
            write_reading_report(path, result, pictures, fingerprint=fingerprint, written=date.today())
            return [path.name]
        facts = case_facts(
            image,
            prediction,
            form,
            checkpoint=predictor.checkpoint.spec,
            fingerprint=fingerprint,
            notes=notes,
            written=date.today(),
        )
        facts["notice"] = NOTICE
        return [path.name for path in write_case_report(reading.folder, facts, image, prediction)]


def _downloads(asked: Asked, reports: list[str]) -> list[dict[str, str]]:
    """What can be fetched below the reading's own address."""
    titles = {".html": "Report", ".pdf": "Report (PDF)"}
    found = [
        {"title": title, "href": f"/report?name={name}"}
        for name in reports
        if (title := titles.get(Path(name).suffix)) is not None
    ]
    if asked.image_id is not None or is_dicom(asked.file):
        found.append({"title": "DICOM SEG", "href": "/segmentation.dcm"})
        found.append({"title": "DICOM SR", "href": "/report.dcm"})
    return found


def modality_of_file(file: Path) -> Modality | None:
    """What a DICOM file says it is; None of other images, and where it says something else.

    Raises:
        InvalidImageError: a DICOM file that cannot be read, or a file of no type that can.
    """
    if not is_dicom(file):
        if image_stem(file) == file.name:
            raise InvalidImageError(
                f"a file of type {', '.join(IMAGE_SUFFIXES)} is required; this is none; convert it first"
            )
        return None
    facts = header_facts(file)
    return Modality.MG if facts.is_film else facts.keys.modality


def fitting_model(app: BreastLabelApp, model: str | None, modality: Modality | None) -> str:
    """The system to read with: the one asked for, else the first served one for the modality.

    Raises:
        BadRequestError: neither is known.
        NotFoundError: it is not served.
    """
    served = {name: name for name in app.trainers()}
    if model:
        return named("model", model, served)
    if modality is None:
        raise BadRequestError(
            "the kind of image must be known; this file does not say it; choose what to analyse it as"
        )
    fitting = [name for name in served if MODELS[name].modality is modality]
    if not fitting:
        raise InvalidImageError(
            f"a model for {modality.value} is required; none is served; choose others with --models"
        )
    # One that outlines says more than one that does not.
    return min(fitting, key=lambda name: not MODELS[name].outlines)
