"""What the AI said of a case: the newest proposal of each image, and what it means for each breast."""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from breastlabel.catalog import LabelVersion
from breastlabel.catalog.cases import Case, CaseImage
from breastlabel.catalog.label_version import ORIGINAL
from breastlabel.imaging import Modality
from breastlabel.label.blinding import Blinding
from breastlabel.label.infer import plain
from breastlabel.web.reading import SEGMENTATION, result_of, store_results

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp
    from breastlabel.web.cases.worklist import Worklist

__all__ = ["Results", "breasts_of"]

#: Seconds until what could not be stored as DICOM is tried again.
_AGAIN = 60.0


class Results:
    """The proposals of an app's catalog, as readers are shown them.

    Attributes:
        blinding: what is withheld from whom.

    Args:
        app: whose champions serve.
        worklist: describes the cases.
    """

    def __init__(self, app: BreastLabelApp, worklist: Worklist) -> None:
        self._app = app
        self._worklist = worklist
        self.blinding = Blinding(app)
        self._lock = threading.Lock()
        self._tried: dict[int, float] = {}

    def case_json(self, case: Case, client_id: str | None = None) -> dict[str, Any]:
        """A case with ``result`` and ``segmentation`` of each image, ``breasts``, and what is ``withheld``.

        A proposal that is not in the archive yet, because another client asked for it, is put there.
        """
        described = self._worklist.describe(case)
        withheld = self.blinding.withheld([image.image_id for image in case.images], client_id)
        proposals = self._stored(case, self.proposals(case, withheld))
        for image in described["images"]:
            proposal = proposals.get(image["image_id"])
            image["result"] = None if proposal is None else self.result_json(proposal)
            image["segmentation"] = None if proposal is None else proposal.info.get(SEGMENTATION)
            image["withheld"] = image["image_id"] in withheld
        described["breasts"] = breasts_of(case, proposals, withheld)
        described["withheld"] = any(image.image_id in withheld for image in case.offered)
        return dict(plain(described))

    def image_json(self, image_id: str, client_id: str | None) -> dict[str, Any]:
        """``result`` and ``segmentation`` of one image."""
        if self.blinding.withheld([image_id], client_id):
            return {"result": None, "segmentation": None, "withheld": True}
        proposal = self._app.catalog.labels.current(image_id, ORIGINAL)
        return {
            "result": None if proposal is None else plain(self.result_json(proposal)),
            "segmentation": None if proposal is None else proposal.info.get(SEGMENTATION),
            "withheld": False,
        }

    def proposals(self, case: Case, withheld: Collection[str] = ()) -> dict[str, LabelVersion]:
        """The newest proposal of each image that has one, those withheld aside."""
        shown = [image.image_id for image in case.images if image.image_id not in withheld]
        found = {image_id: self._app.catalog.labels.current(image_id, ORIGINAL) for image_id in shown}
        return {image_id: version for image_id, version in found.items() if version is not None}

    def result_json(self, proposal: LabelVersion) -> dict[str, Any]:
        """What a model said with its proposal, and whether that model still serves."""
        model, version = proposal.model, proposal.model_version
        served = model is not None and model in self._app.trainers()
        serving = self._app.predictors.version(str(model)) if served else None
        return {
            **result_of(proposal),
            "model": model,
            "checkpoint_version": version,
            "of_older_model": serving is None or version != serving,
            "proposal_version": proposal.version,
            "proposed_at": proposal.created_at.isoformat(),
        }

    def _stored(self, case: Case, proposals: Mapping[str, LabelVersion]) -> dict[str, LabelVersion]:
        """The proposals, after those that are in no archive were put there, breast by breast."""
        missing = [i for i in case.images if self._is_to_store(proposals.get(i.image_id))]
        sides: dict[object, list[str]] = {}
        for image in missing:
            sides.setdefault(image.laterality or image.image_id, []).append(image.image_id)
        for image_ids in sides.values():
            store_results(self._app, image_ids)
        again = {i.image_id: self._app.catalog.labels.current(i.image_id, ORIGINAL) for i in missing}
        return dict(proposals) | {i: version for i, version in again.items() if version is not None}

    def _is_to_store(self, proposal: LabelVersion | None) -> bool:
        if proposal is None or SEGMENTATION in proposal.info or "findings" not in result_of(proposal):
            return False
        now = time.monotonic()
        with self._lock:
            due = self._tried.get(proposal.label_id, 0.0) <= now
            self._tried = {key: at for key, at in self._tried.items() if at > now}
            if due:
                self._tried[proposal.label_id] = now + _AGAIN
        return due


def breasts_of(
    case: Case, proposals: Mapping[str, LabelVersion], withheld: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Each breast of a mammography case that was judged, right before left, by its newest judgement.

    A breast of which an image is withheld is left out; images that name no side are a breast each.
    """
    sides: dict[str, list[tuple[CaseImage, LabelVersion]]] = {}
    hidden = {i.laterality for i in case.offered if i.image_id in withheld}
    for image in case.images:
        proposal = proposals.get(image.image_id)
        if image.modality is Modality.MG and proposal is not None and _breast(proposal):
            if image.laterality in hidden:
                continue
            sides.setdefault(image.laterality or f"? {image.image_id}", []).append((image, proposal))
    ordered = sorted(sides, key=lambda side: ({"R": 0, "L": 1}.get(side, 2), side))
    return [_breast_json(sides[side]) for side in ordered]


def _breast_json(judged: Iterable[tuple[CaseImage, LabelVersion]]) -> dict[str, Any]:
    pairs = list(judged)
    _, newest = max(pairs, key=lambda pair: pair[1].label_id)
    said = _breast(newest)
    return {
        **said,
        "laterality": pairs[0][0].laterality,
        "malignancy_probability": said.get("malignancy_probability"),
        "uncertainty": said.get("uncertainty"),
        "model": newest.model,
        "checkpoint_version": newest.model_version,
        "images": [image.image_id for image, _ in pairs],
    }


def _breast(proposal: LabelVersion) -> dict[str, Any]:
    said = result_of(proposal).get("breast")
    return dict(said) if isinstance(said, Mapping) else {}
