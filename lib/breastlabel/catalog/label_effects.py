"""What follows from a change of an image's label versions: the image's flags and the counts."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, RowMapping

from breastlabel.catalog.counts import WAITING, add_to_counts, labelled_count
from breastlabel.catalog.images import is_waiting, mark_image
from breastlabel.catalog.label_version import FINAL, LabelVersion
from breastlabel.catalog.scores import forget_revisit_score
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["newest", "settle"]


def newest(versions: Sequence[LabelVersion], tag: str) -> LabelVersion | None:
    """The version that counts for a tag, of one image's versions, oldest first; None where there is none."""
    return next((v for v in reversed(versions) if v.shown_as == tag), None)


def settle(
    connection: Connection,
    image_id: str,
    image: RowMapping,
    *,
    before: Sequence[LabelVersion],
    after: Sequence[LabelVersion],
) -> None:
    """Bring the image's row, its scores and the counts in line with its versions.

    Args:
        image: the row as `lock_image` gave it.
        before: the image's versions as they were, oldest first.
        after: as they are now.
    """
    had = {v.shown_as for v in before} - {None}
    has = {v.shown_as for v in after} - {None}
    counts = {labelled_count(str(tag)): (tag in has) - (tag in had) for tag in had ^ has}
    final = newest(after, FINAL)
    old_final = newest(before, FINAL)
    if final != old_final:
        reviewed = True
        if final is None:
            # As `sync_folder` has it: an image known to be normal needs no label map.
            reviewed = bool(image["reviewed"]) and image["label"] == LesionClass.NORMAL.label
        waits = is_waiting(reviewed=reviewed, excluded=image["excluded"])
        scored = mark_image(
            connection,
            image_id,
            scores=waits != image["waiting"],
            waiting=waits,
            reviewed=reviewed,
            labelled_at=final.created_at if final else None,
            labelled_by=(final.author or final.client_id) if final else None,
        )
        if scored:
            forget_revisit_score(connection, image_id)
        counts[WAITING] = int(waits) - int(image["waiting"])
    add_to_counts(connection, counts)
