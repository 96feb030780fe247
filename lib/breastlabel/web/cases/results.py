"""What the AI said of a case: the newest proposal of each image, and what it means for each breast."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from breastlabel.catalog import LabelVersion
from breastlabel.catalog.cases import Case, CaseImage
from breastlabel.catalog.label_version import ORIGINAL
from breastlabel.imaging import Modality
from breastlabel.label.infer import plain

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp
    from breastlabel.web.cases.worklist import Worklist

__all__ = ["SEGMENTATION", "Results", "result_of"]

#: Under this name a proposal's info says where its DICOM SEG is.
SEGMENTATION = "segmentation"


class Results:
    """The proposals of an app's catalog, as readers are shown them.

    Args:
        app: whose champions serve.
        worklist: describes the cases.
    """

    def __init__(self, app: BreastLabelApp, worklist: Worklist) -> None:
        self._app = app
        self._worklist = worklist

    def case_json(self, case: Case, client_id: str | None = None) -> dict[str, Any]:
        """A case with ``result`` and ``segmentation`` of each image, and ``breasts``."""
        described = self._worklist.describe(case)
        proposals = self.proposals(case)
        for image in described["images"]:
            proposal = proposals.get(image["image_id"])
            image["result"] = None if proposal is None else self.result_json(proposal)
            image["segmentation"] = None if proposal is None else proposal.info.get(SEGMENTATION)
        described["breasts"] = breasts_of(case, proposals)
        return dict(plain(described))

    def proposals(self, case: Case) -> dict[str, LabelVersion]:
        """The newest proposal of each image that has one."""
        found = {i.image_id: self._app.catalog.labels.current(i.image_id, ORIGINAL) for i in case.images}
        return {image_id: version for image_id, version in found.items() if version is not None}

    def result_json(self, proposal: LabelVersion) -> dict[str, Any]:
        """What a model said with its proposal, and whether that model still serves."""
        model, version = proposal.model, proposal.model_version
        serving = None if model is None else self._app.predictors.version(model)
        return {
            **result_of(proposal),
            "model": model,
            "checkpoint_version": version,
            "of_older_model": serving is not None and version != serving,
            "proposal_version": proposal.version,
            "proposed_at": proposal.created_at.isoformat(),
        }


def result_of(proposal: LabelVersion) -> dict[str, Any]:
    """The ``params`` that a model answered with a proposal; empty where a client sent the proposal."""
    params = proposal.info.get("params")
    return dict(params) if isinstance(params, Mapping) else {}


def breasts_of(case: Case, proposals: Mapping[str, LabelVersion]) -> list[dict[str, Any]]:
    """Each breast of a mammography case that was judged, right before left, by its newest judgement."""
    sides: dict[str | None, list[tuple[CaseImage, LabelVersion]]] = {}
    for image in case.images:
        proposal = proposals.get(image.image_id)
        if image.modality is Modality.MG and proposal is not None and _breast(proposal):
            sides.setdefault(image.laterality, []).append((image, proposal))
    ordered = sorted(sides.items(), key=lambda side: {"R": 0, "L": 1}.get(side[0] or "", 2))
    if None in sides:
        # Images that name no side are not of one breast.
        alone = [(None, [pair]) for pair in sides[None]]
        ordered = [*((side, own) for side, own in ordered if side is not None), *alone]
    return [_breast_json(side, own) for side, own in ordered]


def _breast_json(side: str | None, judged: Iterable[tuple[CaseImage, LabelVersion]]) -> dict[str, Any]:
    pairs = list(judged)
    _, newest = max(pairs, key=lambda pair: pair[1].label_id)
    said = _breast(newest)
    return {
        **said,
        "laterality": side,
        "malignancy_probability": said.get("malignancy_probability"),
        "uncertainty": said.get("uncertainty"),
        "model": newest.model,
        "checkpoint_version": newest.model_version,
        "images": [image.image_id for image, _ in pairs],
    }


def _breast(proposal: LabelVersion) -> dict[str, Any]:
    said = result_of(proposal).get("breast")
    return dict(said) if isinstance(said, Mapping) else {}
