"""Cases as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from breastlabel.catalog import Catalog, Lease
from breastlabel.catalog.case_labels import ShownLabel, shown_labels
from breastlabel.catalog.case_order import CaseStatus
from breastlabel.catalog.cases import Case, CaseImage, prior_cases

if TYPE_CHECKING:
    from breastlabel.catalog.dicom_instance import DicomInstance

__all__ = ["Described", "describe", "image_url", "ohif_url"]

_OHIF = "/ohif/segmentation"


@dataclass(frozen=True)
class Described:
    """What is said of some cases, looked up for all of them at once.

    Attributes:
        leases: of any case, by its key.
        questions: ids of the open questions of each image that has any.
    """

    leases: Mapping[str, Lease] = field(default_factory=dict)
    priors: Mapping[str, Sequence[Case]] = field(default_factory=dict)
    labels: Mapping[str, ShownLabel] = field(default_factory=dict)
    instances: Mapping[str, DicomInstance] = field(default_factory=dict)
    questions: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def case_json(self, case: Case, score: Mapping[str, Any] | None) -> dict[str, Any]:
        """One case; `docs/reference/api.md` lists what it says."""
        lease = self.leases.get(case.key)
        priors = self.priors.get(case.key, ())
        status = self.status(case)
        return {
            "case_id": case.case_id,
            "modality": case.modality.value,
            "acquired": None if case.acquired is None else case.acquired.isoformat(),
            "status": status.value,
            "score": None if score is None or status is CaseStatus.READ else dict(score),
            "leased_to": None if lease is None else lease.client_id,
            "has_prior": bool(priors),
            "ohif": ohif_url(self._studies(case), self._studies(*priors)),
            "questions": len(self._questions(case)),
            "images": [self.image_json(image) for image in _in_hanging_order(case.images)],
            "priors": [
                {
                    "case_id": prior.case_id,
                    "acquired": None if prior.acquired is None else prior.acquired.isoformat(),
                    "images": [self.image_json(i) for i in _in_hanging_order(prior.images)],
                }
                for prior in priors
            ],
        }

    def status(self, case: Case) -> CaseStatus:
        """A question comes first, then who reads the case, then whether it is read."""
        if self._questions(case):
            return CaseStatus.QUESTION
        if case.key in self.leases:
            return CaseStatus.READING
        return CaseStatus.WAITING if case.is_open else CaseStatus.READ

    def image_json(self, image: CaseImage) -> dict[str, Any]:
        """One image; what only its DICOM instance knows is null where that cannot be read."""
        instance, label = self.instances.get(image.image_id), self.labels.get(image.image_id)
        rows, columns = (
            (None, None) if instance is None else (instance.value("Rows"), instance.value("Columns"))
        )
        return {
            "image_id": image.image_id,
            "modality": image.modality.value,
            "laterality": image.laterality,
            "view_position": image.view_position,
            "rows": rows,
            "columns": columns,
            "study_instance_uid": None if instance is None else instance.study_instance_uid,
            "series_instance_uid": None if instance is None else instance.series_instance_uid,
            "sop_instance_uid": None if instance is None else instance.sop_instance_uid,
            "thumbnail": image_url(image.image_id, "thumbnail.png"),
            "status": self._image_status(image),
            "label": None
            if label is None
            else {"version": label.version, "tag": label.tag, "state": label.state, "label": label.label},
        }

    def _image_status(self, image: CaseImage) -> str:
        """``excluded``, ``not-analysable``, ``read`` or ``waiting``."""
        if image.excluded is not None:
            return "excluded"
        if not image.waiting:
            return "read"
        return "waiting" if image.analysable else "not-analysable"

    def _questions(self, case: Case) -> set[int]:
        return {number for image in case.images for number in self.questions.get(image.image_id, ())}

    def _studies(self, *cases: Case) -> list[str]:
        ids = (image.image_id for case in cases for image in case.images)
        found = (self.instances[i].study_instance_uid for i in ids if i in self.instances)
        return list(dict.fromkeys(found))


def describe(catalog: Catalog, cases: Iterable[Case], leases: Mapping[str, Lease]) -> Described:
    """Look up what is to be said of cases: as many queries for many of them as for one."""
    shown = list(cases)
    with catalog.database.read() as connection:
        priors = prior_cases(connection, shown)
        every = [*shown, *(prior for own in priors.values() for prior in own)]
        image_ids = sorted({image.image_id for case in every for image in case.images})
        labels = shown_labels(connection, image_ids)
    return Described(
        leases=leases,
        priors=priors,
        labels=labels,
        instances=catalog.dicom.of_images(image_ids),
        questions=catalog.questions.open_of(image_ids),
    )


def image_url(image_id: str, what: str, **query: str) -> str:
    """Where the server offers something of an image, as a path."""
    asked = f"?{urlencode(query)}" if query else ""
    return f"/api/images/{quote(image_id, safe='')}/{what}{asked}"


def ohif_url(studies: Sequence[str], priors: Sequence[str] = ()) -> str | None:
    """The viewer with a case, and its priors after it; None where no study is known."""
    if not studies:
        return None
    named = dict.fromkeys((*studies, *priors))
    return f"{_OHIF}?{urlencode({'StudyInstanceUIDs': ','.join(named)}, safe=',')}"


def _in_hanging_order(images: Iterable[CaseImage]) -> list[CaseImage]:
    """Right before left, CC before MLO before all others, as mammograms are hung."""
    views = {"CC": 0, "MLO": 1}

    def place(image: CaseImage) -> tuple[int, int, str]:
        side = {"R": 0, "L": 1}.get(image.laterality or "", 2)
        return side, views.get(image.view_position or "", 2), image.image_id

    return sorted((image for image in images), key=place)
