"""Makes label versions of files that lie in a studies folder already, many in one transaction."""

from __future__ import annotations

import logging
import os
import shutil
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, insert, select

from breastlabel.catalog.audit import record_act
from breastlabel.catalog.images import lock_image
from breastlabel.catalog.label_effects import newest, settle
from breastlabel.catalog.label_files import LABEL_SUFFIXES, VERSIONS_FOLDER, sha256_of
from breastlabel.catalog.label_version import (
    DRAFT,
    FINAL,
    REJECTED,
    LabelVersion,
    shown_as,
    version_columns,
)
from breastlabel.catalog.tables import images_table, labels_table

if TYPE_CHECKING:
    from breastlabel.catalog.catalog import Catalog

__all__ = ["FoundLabel", "import_labels", "written_at"]

_log = logging.getLogger(__name__)

#: Images whose labels are recorded in one transaction, and whose files are synced in one go.
_CHUNK = 500
#: So few files are synced one by one; for more it takes less time to let the system sync all it holds.
_FEW = 8


@dataclass(frozen=True)
class FoundLabel:
    """A label file in a studies folder that may not be a version yet.

    Attributes:
        path: in ``labels/<tag>``, or already where versions are kept; there it is used as it lies.
        created_at: when it was made, as far as is known.
        accepted: False for one that no longer counts when it is found.
        info: what else is known of it, plain JSON values.
    """

    image_id: str
    tag: str
    path: Path
    created_at: datetime
    accepted: bool = True
    author: str | None = None
    client_id: str | None = None
    model: str | None = None
    model_version: str | None = None
    info: Mapping[str, Any] = field(default_factory=dict)

    @property
    def state(self) -> str:
        if not self.accepted:
            return REJECTED
        return DRAFT if self.tag == DRAFT else FINAL


def written_at(path: Path) -> datetime:
    """When a file was last written, in UTC; not in the future, whatever its time stamp says."""
    return min(datetime.fromtimestamp(path.stat().st_mtime, UTC), datetime.now(UTC))


def import_labels(catalog: Catalog, found: Iterable[FoundLabel]) -> int:
    """Record files as versions of their images, each image's in order of time.

    All labels of an image are recorded in one transaction, so that an import that was cut off goes on where
    it ended. Passed over are labels of images that the catalog does not know, contents that are recorded
    already, and files that are empty or cannot be read.

    Args:
        found: of one image and tag, in the order in which they were made.

    Returns:
        How many versions are new.
    """
    by_image: dict[str, list[FoundLabel]] = defaultdict(list)
    for label in found:
        by_image[label.image_id].append(label)
    ids = sorted(by_image)
    new = 0
    for start in range(0, len(ids), _CHUNK):
        chunk = {i: _in_order_of_time(by_image[i]) for i in ids[start : start + _CHUNK]}
        new += _import_chunk(catalog, chunk)
    return new


def _in_order_of_time(labels: Sequence[FoundLabel]) -> list[FoundLabel]:
    """One image's labels of several tags in one order, which is never against that of one tag."""
    ordered: list[FoundLabel] = []
    earliest: dict[str, datetime] = {}
    for label in reversed(labels):
        at = min(label.created_at, earliest.get(label.tag, label.created_at))
        earliest[label.tag] = at
        ordered.insert(0, replace(label, created_at=at))
    return sorted(ordered, key=lambda label: label.created_at)


@dataclass(frozen=True)
class _Stored:
    """A found label whose content lies in an immutable file."""

    label: FoundLabel
    sha256: str
    file: str

    def is_known(self, before: Sequence[LabelVersion], after: Sequence[LabelVersion]) -> bool:
        """Whether a version says all that this label would.

        Args:
            before: the image's versions before the import.
            after: with those that the import has added so far.
        """
        tag = self.label.tag
        if any((v.tag, v.sha256) == (tag, self.sha256) for v in before):
            return True
        if _lies_among_versions(self.label.path):
            return any(v.file == self.file for v in after)
        current = newest(after, tag)
        return current is not None and current.sha256 == self.sha256


def _import_chunk(catalog: Catalog, chunk: Mapping[str, list[FoundLabel]]) -> int:
    assert catalog.studies is not None
    known = _known(catalog, list(chunk))
    stored = {
        image_id: [one for label in chunk[image_id] if (one := _store(catalog.studies, label)) is not None]
        for image_id in known
    }
    _sync([catalog.studies / one.file for labels in stored.values() for one in labels])
    new = 0
    unused: list[_Stored] = []
    with catalog.database.write() as connection:
        images = {image_id: lock_image(connection, image_id) for image_id in sorted(stored)}
        # Asked again with the images held: another process may have imported them meanwhile.
        for image_id, before in _versions_of(connection, list(images)).items():
            after = list(before)
            for one in stored[image_id]:
                if one.is_known(before, after):
                    unused.append(one)
                else:
                    after.append(_record(connection, one, version=len(after) + 1))
            settle(connection, image_id, images[image_id], before=before, after=after)
            new += len(after) - len(before)
    for one in unused:
        if not _lies_among_versions(one.label.path):
            (catalog.studies / one.file).unlink(missing_ok=True)
    return new


def _known(catalog: Catalog, ids: Sequence[str]) -> list[str]:
    """Those of the images that the catalog knows."""
    with catalog.database.read() as connection:
        return list(
            connection.scalars(select(images_table.c.image_id).where(images_table.c.image_id.in_(ids)))
        )


def _versions_of(connection: Connection, ids: Sequence[str]) -> dict[str, list[LabelVersion]]:
    """The versions of images, oldest first."""
    versions: dict[str, list[LabelVersion]] = {image_id: [] for image_id in ids}
    rows = select(*version_columns()).where(labels_table.c.image_id.in_(ids))
    for row in connection.execute(rows.order_by(labels_table.c.image_id, labels_table.c.version)):
        versions[row.image_id].append(LabelVersion(*row))
    return versions


def _store(studies: Path, label: FoundLabel) -> _Stored | None:
    """Put the content where versions lie, not synced; a file that lies there already stays what it is."""
    try:
        return _stored(studies, label) if label.path.stat().st_size else None
    except OSError as error:
        # One file that nobody may read, or that is just being moved, must not close the folder.
        _log.warning("A label map could not be taken in: %s", error.strerror)
        return None


def _stored(studies: Path, label: FoundLabel) -> _Stored:
    if _lies_among_versions(label.path):
        return _Stored(label, sha256_of(label.path), label.path.relative_to(studies).as_posix())
    suffix = next(s for s in LABEL_SUFFIXES if label.path.name.endswith(s))
    file = VERSIONS_FOLDER / label.image_id / f"{label.tag}-{uuid.uuid4().hex}{suffix}"
    target = studies / file
    target.parent.mkdir(parents=True, exist_ok=True)
    # With the time stamp, by which the file that was found is recognised as this version's projection. Taken
    # before the content, so that an edit in between shows as one.
    found = label.path.stat()
    shutil.copyfile(label.path, target)
    os.utime(target, ns=(found.st_atime_ns, found.st_mtime_ns))
    return _Stored(label, sha256_of(target), file.as_posix())


def _lies_among_versions(path: Path) -> bool:
    return path.parent.parent.name == VERSIONS_FOLDER.name


def _sync(files: Sequence[Path]) -> None:
    """Bring files, and the folders that name them, onto the disk."""
    if len(files) > _FEW:
        os.sync()
        return
    for path in (*files, *{p for file in files for p in (file.parent, file.parent.parent)}):
        descriptor = os.open(path, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _record(connection: Connection, stored: _Stored, *, version: int) -> LabelVersion:
    label = stored.label
    row: dict[str, Any] = {
        "image_id": label.image_id,
        "version": version,
        "tag": label.tag,
        "state": label.state,
        "label": None,
        "file": stored.file,
        "sha256": stored.sha256,
        "author": label.author,
        "client_id": label.client_id,
        "created_at": label.created_at,
        "model": label.model,
        "model_version": label.model_version,
        "seconds_spent": None,
        "proposal_id": None,
        "agreement": None,
        "info": dict(label.info),
    }
    shown = {"shown_as": shown_as(label.tag, label.state)}
    label_id = connection.execute(insert(labels_table), row | shown).inserted_primary_key
    assert label_id is not None
    record_act(
        connection,
        "label.import",
        author=label.author,
        client_id=label.client_id,
        image_id=label.image_id,
        label_id=label_id[0],
        details={"version": version, "tag": label.tag},
    )
    return LabelVersion(label_id=label_id[0], **row)
