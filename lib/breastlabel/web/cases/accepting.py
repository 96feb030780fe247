"""A reader agrees: the AI's proposal becomes their final label."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from breastlabel.catalog import LabelVersion
from breastlabel.catalog.label_version import FINAL, ORIGINAL
from breastlabel.imaging import image_stem
from breastlabel.label.caller import caller
from breastlabel.label.errors import ConflictError
from breastlabel.label.options import Options
from breastlabel.web.cases.vocabulary import reader_notes

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["accept_proposal"]

_WEEK = 7 * 24 * 3600.0
_MOST_VERSIONS = 2**31 - 1


def accept_proposal(app: BreastLabelApp, image_id: str, said: Mapping[str, Any] | None) -> LabelVersion:
    """Save an image's newest proposal as the reader's final label; their lease on the image ends.

    Sent twice, it is saved once.

    Args:
        said: ``client_id``, ``author``, ``birads``, ``lesion_type``, ``seconds_spent``; with
            ``proposal_version`` the reader says which proposal they saw.

    Raises:
        NotFoundError: unknown image.
        ConflictError: the image has no proposal, or a newer one than the reader saw.
        BadRequestError: a field is of the wrong type.
        UnknownNameError: a category or type that there is not.
    """
    app.datastore().path(image_id)
    options = Options(said)
    notes, author, client_id = reader_notes(options), caller().author(said), caller().client_id(said)
    seconds = options.number("seconds_spent", low=0, high=_WEEK)
    seen = options.integer("proposal_version", 0, low=0, high=_MOST_VERSIONS)
    labels = app.catalog.labels
    proposal = labels.current(image_id, ORIGINAL)
    if proposal is None:
        raise ConflictError("a proposal of the AI is required; the image has none; run the AI first")
    if seen and seen != proposal.version:
        raise ConflictError(
            f"the newest proposal (version {proposal.version}) is required; the reader saw version {seen}; "
            "look at the new one and accept that"
        )
    final = labels.current(image_id, FINAL)
    if final is not None and _is_repeated(final, proposal, author, client_id, notes):
        return final
    saved = labels.save(
        image_id,
        labels.path(proposal).read_bytes(),
        suffix=_suffix(proposal.file),
        tag=FINAL,
        label=proposal.label,
        author=author,
        client_id=client_id,
        model=proposal.model,
        model_version=proposal.model_version,
        seconds_spent=seconds,
        proposal_id=proposal.label_id,
        info={**notes, "accepted": True},
    )
    app.corrections.submit(saved)
    return saved


def _is_repeated(
    final: LabelVersion,
    proposal: LabelVersion,
    author: str | None,
    client_id: str,
    notes: Mapping[str, str],
) -> bool:
    return (
        final.proposal_id == proposal.label_id
        and final.info.get("accepted") is True
        and (final.author, final.client_id) == (author, client_id)
        and all(final.info.get(name) == notes.get(name) for name in ("birads", "lesion_type"))
    )


def _suffix(file: str) -> str:
    name = PurePosixPath(file).name
    return name[len(image_stem(name)) :]
