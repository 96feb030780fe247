"""The AI reads an image: the champion's proposal is kept, and stored as DICOM where viewers find it."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breastlabel.catalog import ImageRecord, LabelVersion
from breastlabel.catalog.label_version import ORIGINAL
from breastlabel.errors import BreastLabelError, NotFoundError, StudiesError
from breastlabel.findings.dicom_identity import Algorithm
from breastlabel.findings.dicom_seg import segmentation_dataset
from breastlabel.findings.dicom_sr import ReportedImage, report_dataset
from breastlabel.imaging import read_mask
from breastlabel.label.errors import BadRequestError
from breastlabel.label.systems import MODELS, OUTLINER_OF

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.label.app import BreastLabelApp

__all__ = [
    "REPORT",
    "SEGMENTATION",
    "image_dataset",
    "model_for",
    "proposal_of",
    "read_image_by_ai",
    "report_of",
    "result_of",
    "segmentation_of",
    "store_results",
]

logger = logging.getLogger(__name__)

#: Under these names a proposal's info says where its DICOM objects are.
SEGMENTATION, REPORT = "segmentation", "report"
# What differs from run to run, or is said elsewhere; the objects' UIDs follow from all the rest.
_PASSING = ("latencies", "proposals", "image_id", "label_names")


def model_for(app: BreastLabelApp, record: ImageRecord, asked: str | None = None) -> str:
    """The system that outlines lesions in an image of its modality, or the one asked for.

    Raises:
        BadRequestError: the one asked for outlines nothing, or the server does not serve one that fits.
    """
    model = asked or OUTLINER_OF[record.modality]
    if model not in app.trainers() or not MODELS[model].outlines:
        served = ", ".join(name for name in app.trainers() if MODELS[name].outlines) or "none"
        raise BadRequestError(
            f"a served model that outlines lesions is required; got '{model[:32]}'; choose of: {served}"
        )
    return model


def read_image_by_ai(
    app: BreastLabelApp, image_id: str, *, model: str | None = None, store: bool = True
) -> LabelVersion:
    """Let the champion judge an image, with all that belongs to it, and keep what it says.

    A mammogram is judged with the other views of its breast; their proposals are kept with it.

    Args:
        model: None: that of the image's modality.
        store: put the outlines (SEG) and a report (SR) into the archive.

    Returns:
        The image's newest proposal.

    Raises:
        NotFoundError: unknown image.
        StudiesError: the proposal could not be kept.
        BadRequestError: see `model_for`.
        CheckpointError: nothing is trained yet; the message says how to.
        InvalidImageError: the image cannot be read or analysed.
        BusyError: too many inferences wait.
    """
    app.datastore().path(image_id)
    chosen = model_for(app, app.catalog.image(image_id), model)
    answer = app.infer({"model": chosen, "image": image_id})
    Path(answer["file"]).unlink(missing_ok=True)
    kept = app.catalog.labels.current(image_id, ORIGINAL)
    if kept is None or kept.model_version != answer["params"].get("checkpoint_version"):
        raise StudiesError(
            "a proposal that can be kept is required; this one could not be; look at the server's disk"
        )
    if store:
        store_results(app, [image_id, *answer["params"].get("proposals", ())])
    return proposal_of(app, image_id)


def proposal_of(app: BreastLabelApp, image_id: str) -> LabelVersion:
    """An image's newest proposal.

    Raises:
        NotFoundError: unknown image, or it has none.
    """
    app.catalog.image(image_id)
    proposal = app.catalog.labels.current(image_id, ORIGINAL)
    if proposal is None:
        raise NotFoundError("a proposal of the AI is required; the image has none; run the AI first")
    return proposal


def result_of(proposal: LabelVersion) -> dict[str, Any]:
    """The ``params`` that a model answered with a proposal; empty where a client sent the proposal."""
    params = proposal.info.get("params")
    return dict(params) if isinstance(params, Mapping) else {}


def store_results(app: BreastLabelApp, image_ids: Iterable[str]) -> None:
    """Put the newest proposals of images that were judged together into the archive, as SEG and SR.

    It may be repeated: the same proposal is the same object. What cannot be stored goes to the log, and the
    proposals stay what they are.
    """
    reported: dict[str, list[tuple[LabelVersion, ReportedImage]]] = {}
    for image_id in dict.fromkeys(image_ids):
        try:
            proposal = proposal_of(app, image_id)
            source = image_dataset(app, image_id)
            dataset = segmentation_of(app, proposal, source)
            app.archive.store(dataset, origin="ours")
            _note(app, proposal, SEGMENTATION, dataset)
            image = ReportedImage(_said(proposal), source, mask=_mask(app, proposal), segmentation=dataset)
            reported.setdefault(str(source.StudyInstanceUID), []).append((proposal, image))
        except (BreastLabelError, OSError) as error:
            # Not the message: it may name an image, and an image may be named after a patient.
            logger.warning("a proposal could not be stored as DICOM: %s", type(error).__name__)
    for images in reported.values():
        try:
            report = _report(app, [image for _, image in images], images[0][0])
            app.archive.store(report, origin="ours")
            for proposal, _ in images:
                _note(app, proposal, REPORT, report)
        except (BreastLabelError, OSError, KeyError, TypeError, ValueError) as error:
            logger.warning("a report could not be stored as DICOM: %s", type(error).__name__)


def image_dataset(app: BreastLabelApp, image_id: str) -> Dataset:
    """An image's DICOM header.

    Raises:
        NotFoundError: unknown image, or its file is gone or cannot be read.
    """
    instance = app.catalog.dicom.of_image(app.catalog.image(image_id).image_id)
    if instance is None:
        raise NotFoundError("an image that can be read is required; this one cannot; look at its file")
    return app.archive.dataset(instance.sop_instance_uid, pixels=False)


def segmentation_of(app: BreastLabelApp, version: LabelVersion, source: Dataset) -> Dataset:
    """A label version as DICOM SEG: a model's proposal, or a reader's reading with or without one before it.

    Raises:
        InvalidLabelError: the label map's file is damaged, or of another size than the image.
        InvalidImageError: the image lacks a UID.
        MissingDependencyError: highdicom is not installed.
    """
    proposed = version.tag == ORIGINAL
    made_by = None if version.model is None else _algorithm(version)
    said = result_of(version).get("malignancy_probability") if proposed else None
    return segmentation_dataset(
        _mask(app, version),
        source,
        algorithm=made_by,
        series_description=f"breastlabel {version.model}: proposal" if proposed else "breastlabel: reading",
        corrected=not proposed,
        creator=None if proposed else version.author or version.client_id,
        probability=float(said) if isinstance(said, int | float) else None,
        created=version.created_at,
    )


def report_of(app: BreastLabelApp, proposal: LabelVersion) -> Dataset:
    """What a model said of one image as DICOM SR.

    Raises:
        NotFoundError: the proposal came without what a report says (a client sent it).
        InvalidImageError: the image lacks a UID.
        MissingDependencyError: highdicom is not installed.
    """
    said = _said(proposal)
    if "findings" not in said or "malignancy_probability" not in said:
        raise NotFoundError(
            "a proposal of a model here is required; a client sent this one; run the AI first"
        )
    source = image_dataset(app, proposal.image_id)
    segmentation = segmentation_of(app, proposal, source)
    image = ReportedImage(said, source, mask=_mask(app, proposal), segmentation=segmentation)
    return _report(app, [image], proposal)


def _report(app: BreastLabelApp, images: list[ReportedImage], proposal: LabelVersion) -> Dataset:
    return report_dataset(
        images,
        algorithm=_algorithm(proposal),
        series_description=f"breastlabel {proposal.model}: report",
        others=_priors(app, proposal),
        created=proposal.created_at,
    )


def _priors(app: BreastLabelApp, proposal: LabelVersion) -> list[Dataset]:
    """The older images that a breast was compared with."""
    sequence = result_of(proposal).get("sequence")
    shown = sequence if isinstance(sequence, list) else []
    found = []
    for image_id in (entry["image_id"] for entry in shown if entry.get("role") == "prior"):
        try:
            found.append(image_dataset(app, image_id))
        except BreastLabelError:
            # It is evidence; a report without it is still true.
            logger.warning("an older image could not be named in a report")
    return found


def _said(proposal: LabelVersion) -> dict[str, Any]:
    return {name: value for name, value in result_of(proposal).items() if name not in _PASSING}


def _mask(app: BreastLabelApp, version: LabelVersion) -> Any:
    return read_mask(app.catalog.labels.path(version))


def _algorithm(version: LabelVersion) -> Algorithm:
    return Algorithm(name=str(version.model), version=str(version.model_version or "unknown"))


def _note(app: BreastLabelApp, proposal: LabelVersion, name: str, dataset: Dataset) -> None:
    """Say at the proposal where its object is; one of the same version that it replaces is listed no more."""
    uids = {
        "study_instance_uid": str(dataset.StudyInstanceUID),
        "series_instance_uid": str(dataset.SeriesInstanceUID),
        "sop_instance_uid": str(dataset.SOPInstanceUID),
    }
    if proposal.info.get(name) == uids:
        return
    app.catalog.labels.update_info(proposal.image_id, ORIGINAL, {name: uids})
    if app.pacs is None:
        replaced = {
            known["sop_instance_uid"]
            for version in app.catalog.labels.history(proposal.image_id)
            if (version.model, version.model_version) == (proposal.model, proposal.model_version)
            and version.label_id != proposal.label_id
            and isinstance(known := version.info.get(name), Mapping)
        }
        app.catalog.dicom.remove(replaced - set(uids.values()))
