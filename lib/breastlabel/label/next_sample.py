"""The next image for an annotator: what a strategy chose, as far as it can be opened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from breastlabel.errors import InvalidImageError, NotFoundError
from breastlabel.label.datastore import StudiesDatastore

__all__ = ["MOST_UNREADABLE", "next_sample"]

#: So many images are tried in one request; more that cannot be opened are a fault of the folder.
MOST_UNREADABLE = 100


def next_sample(
    strategy: Callable[[dict[str, Any], StudiesDatastore], dict[str, Any] | None],
    request: Mapping[str, Any],
    store: StudiesDatastore,
) -> dict[str, Any]:
    """The image that a strategy gives on lease, with what a viewer needs to load it.

    Images whose file is gone or cannot be read are kept out, passed over, and named in ``unreadable``.

    Returns:
        Empty where no image waits: Slicer then says that there are none.

    Raises:
        InvalidImageError: `MOST_UNREADABLE` images in a row could not be read.
    """
    unreadable: dict[str, str] = {}
    store.unreadable.look_again()
    while len(unreadable) < MOST_UNREADABLE:
        chosen = strategy(dict(request), store)
        if chosen is None:
            return {}
        image_id = chosen["id"]
        try:
            info = store.get_image_info(image_id)
            checksum = store.served.checksum(image_id, store.path(image_id))
        except (InvalidImageError, NotFoundError) as error:
            store.take_back(image_id, chosen["lease"]["client_id"], error)
            unreadable[image_id] = str(error)
            continue
        found = {**info, **chosen, "checksum": checksum}
        return {**found, "unreadable": unreadable} if unreadable else found
    raise InvalidImageError(
        f"an image that can be read is required; {len(unreadable)} in a row cannot; check the folder, "
        "or ask again for the ones after them"
    )
