"""A folder of images as MONAI Label's datastore, over the catalog."""

from __future__ import annotations

import io
import os
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from monailabel.interfaces.datastore import Datastore

from breastlabel.catalog import Catalog, ImageRecord, LabelVersion, sync_folder
from breastlabel.catalog.folder import take_in
from breastlabel.catalog.label_version import FINAL, ORIGINAL, is_tag
from breastlabel.catalog.listing import image_ids, listed_images, waiting_ids
from breastlabel.catalog.models import FILE_MISSING, is_plain_name
from breastlabel.catalog.unreadable import UNREADABLE, keep_out
from breastlabel.errors import NotFoundError
from breastlabel.imaging import IMAGE_SUFFIXES, image_stem, read_image
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.imaging.stamps import stamp_of
from breastlabel.label.caller import caller
from breastlabel.label.dataset_export import dataset_archive, training_list
from breastlabel.label.described import label_info, listed_object
from breastlabel.label.errors import BadRequestError, ConflictError
from breastlabel.label.saving import free_notes, save_label_map
from breastlabel.label.served import ServedImages
from breastlabel.label.unreadable import UnreadableImages
from breastlabel.training.registry import site_folder

__all__ = ["FINAL", "ORIGINAL", "RECENT", "StudiesDatastore"]

#: File names have at most 255 bytes, and those of labels add to the id.
_LONGEST_ID = 200
_NAME, _DESCRIPTION = "datastore-name", "datastore-description"
#: Labels that `StudiesDatastore.json` goes back to: some kB each, in an answer often asked for.
RECENT = 100


class StudiesDatastore(Datastore):
    """The images and labels of a studies folder, as the catalog knows them.

    It differs from the stock folder datastore in this: every image type of this project counts; an image's
    id is its file's stem; a label is checked against its image and stored by segment *names*; every saved
    label is a version of its own, with who made it from what, and none is ever overwritten; what is
    acknowledged outlasts a kill; saving and counting take the same time however many images there are; and
    several servers may share a folder. No index file is kept beside the catalog.

    Args:
        catalog: of the folder; closed by whoever opened it.
    """

    def __init__(self, catalog: Catalog) -> None:
        if catalog.studies is None:
            raise ValueError("a catalog of a studies folder is required; got one without a folder")
        self.catalog = catalog
        self.studies = catalog.studies
        self.served = ServedImages(site_folder(self.studies) / "cache")
        self.unreadable = UnreadableImages(catalog)
        self._adding = threading.Lock()

    # Looking

    def path(self, image_id: str) -> Path:
        """Where the image's file lies.

        Raises:
            NotFoundError: the id is none of this folder's. A path is no id, so no other file can be had.
        """
        path = self.catalog.path(self._record(image_id))
        if not path.is_file():
            raise NotFoundError(
                f"the file of image '{image_id}' is gone; put it back into the studies folder"
            )
        return path

    def _record(self, image_id: str) -> ImageRecord:
        if is_plain_name(image_id):
            try:
                return self.catalog.image(image_id)
            except NotFoundError:
                # Put there a moment ago, and not noticed yet.
                if (name := self._lying_there(image_id)) is not None:
                    take_in(self.catalog, [name])
                    return self.catalog.image(image_id)
        raise NotFoundError(
            f"an image of the studies folder is required; '{str(image_id)[:80]}' is none; "
            "an image's id is its file's name without the suffix"
        )

    def _lying_there(self, image_id: str) -> str | None:
        names = (f"{image_id}{suffix}" for suffix in IMAGE_SUFFIXES)
        # Unlike `Path.is_file`, this answers for a name that is too long for any file, too.
        return next((name for name in names if os.path.isfile(self.studies / name)), None)

    def label(self, image_id: str, tag: str, version: int | None = None) -> LabelVersion:
        """The current label of a tag, or one version of any tag.

        Raises:
            NotFoundError: there is none.
        """
        found = None
        if is_plain_name(image_id) and is_tag(tag):
            if version is not None:
                return self.catalog.labels.get(image_id, version)
            found = self.catalog.labels.current(image_id, tag)
        if found is None:
            raise NotFoundError(f"image '{str(image_id)[:80]}' has no label '{tag[:80]}'; save one first")
        return found

    def label_file(self, image_id: str, tag: str, version: int | None = None) -> Path:
        """Where that label lies. The file never changes; a later label is another file.

        Raises:
            NotFoundError: there is none.
        """
        return self.catalog.labels.path(self.label(image_id, tag, version))

    def refresh(self) -> None:
        """Compare the catalog with the folder now, instead of when its files are seen to change."""
        sync_folder(self.studies, catalog=self.catalog, always=True)
        self.unreadable.look_again(now=True)

    def list_images(self) -> list[str]:
        """Ids of all images, sorted."""
        return image_ids(self.catalog.database)

    def get_labeled_images(self, label_tag: str | None = None, labels: Any = None) -> list[str]:
        """Ids of the images with a label, sorted."""
        return sorted(self.catalog.labels.ids(label_tag or FINAL))

    def get_unlabeled_images(self, label_tag: str | None = None, labels: Any = None) -> list[str]:
        """Ids of the images that wait for a label, sorted; of another tag than final, all without it."""
        tag = label_tag or FINAL
        if tag == FINAL:
            return waiting_ids(self.catalog.database)
        return sorted(set(self.list_images()) - set(self.catalog.labels.ids(tag)))

    def get_image(self, image_id: str, params: Any = None) -> io.BytesIO:
        """The image file's content."""
        return io.BytesIO(self.path(image_id).read_bytes())

    def get_image_uri(self, image_id: str) -> str:
        """Where the image's file lies."""
        return str(self.path(image_id))

    def get_label(self, label_id: str, label_tag: str, params: Any = None) -> io.BytesIO:
        """The label file's content."""
        return io.BytesIO(self.label_file(label_id, label_tag).read_bytes())

    def get_label_uri(self, label_id: str, label_tag: str) -> str:
        """Where the label's file lies."""
        return str(self.label_file(label_id, label_tag))

    def get_labels_by_image_id(self, image_id: str) -> dict[str, str]:
        """The tags under which the image has a label; the label's id is the image's."""
        self._record(image_id)
        return dict.fromkeys(self._tags(image_id), image_id)

    def get_label_by_image_id(self, image_id: str, tag: str) -> str:
        """The label's id, empty where there is none."""
        return self.get_labels_by_image_id(image_id).get(tag, "")

    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What a viewer needs to load the image, and what was noted on it.

        ``name`` is the name of the file that a download gives, and ``path`` the same: a path that
        exists on the viewer's machine would make Slicer load that file instead.
        """
        name = self.served.name(image_id, self.path(image_id))
        return {**self.catalog.image_info(image_id), "id": image_id, "name": name, "path": name}

    def history(self, image_id: str) -> list[LabelVersion]:
        """All readings of an image, oldest first, the rejected ones too.

        Raises:
            NotFoundError: unknown image.
        """
        return self.catalog.labels.history(self._record(image_id).image_id)

    def get_label_info(self, label_id: str, label_tag: str, version: int | None = None) -> dict[str, Any]:
        """What is known of a label: segments, client, author, time, the model that proposed it."""
        return label_info(self.label(label_id, label_tag, version))

    def status(self) -> dict[str, Any]:
        """How many images there are, and how many carry which label. It looks at nothing but counters."""
        counts = self.catalog.counts()
        tags = {tag: n for tag, n in sorted(counts.labelled.items()) if n}
        return {"total": counts.total - counts.missing, "completed": tags.get(FINAL, 0), "label_tags": tags}

    def json(self, limit: int | None = RECENT) -> dict[str, Any]:
        """The images that are being worked on or were labelled last, in the shape of the stock index.

        Slicer asks for it at every next sample, and reads only
        ``objects[id].labels.original.info.params.label_names`` of the image that it was just given.

        Args:
            limit: how many labels to go back to, beside those of images on lease; None: all.
        """
        return {
            "name": self.name(),
            "description": self.description(),
            "images_dir": ".",
            "labels_dir": "labels",
            "objects": {
                image.image_id: listed_object(image)
                for image in listed_images(self.catalog.database, limit=limit)
            },
        }

    def datalist(self, full_path: bool = True) -> list[dict[str, Any]]:
        """``image`` and ``label``: paths for training; see `training_list`."""
        return [dict(entry) for entry in training_list(self.catalog, self.studies if full_path else Path())]

    def get_dataset_archive(self, limit_cases: int | None = None) -> str:
        """A temporary ZIP file, which the caller removes; see `dataset_archive`."""
        return str(dataset_archive(self.catalog, name=self.name(), limit=limit_cases))

    def name(self) -> str:
        """A name for people."""
        return self.catalog.state(_NAME) or "breastlabel"

    def set_name(self, name: str) -> None:
        """Rename it."""
        self.catalog.set_state(_NAME, name)

    def description(self) -> str:
        """A description for people."""
        return self.catalog.state(_DESCRIPTION) or ""

    def set_description(self, description: str) -> None:
        """Describe it."""
        self.catalog.set_state(_DESCRIPTION, description)

    # Changing

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: Mapping[str, Any]
    ) -> str:
        """As `save`; the label's id, which is the image's."""
        self.save(image_id, Path(label_filename), label_tag, label_info)
        return image_id

    def save(
        self, image_id: str, file: Path, tag: str, info: Mapping[str, Any] | None = None
    ) -> LabelVersion:
        """Store a label map that a viewer or a model made, as the newest version of its tag.

        It is on the disk when this returns. Where ``info`` names no author or client, `caller` does.

        Args:
            file: a label map of the image's size.
            tag: ``final``; ``draft`` for one that is not finished; ``original`` for a model's proposal.
            info: ``label_info`` names its segments; ``client_id``, ``author``, ``model``,
                ``model_version`` and ``seconds_spent`` go into the version's own fields, the rest is kept.

        Raises:
            NotFoundError: unknown image.
            BadRequestError: the tag is no plain word, or a field is of the wrong type.
            InvalidLabelError: another size, unknown segments or unnamed values; nothing is stored.
        """
        return save_label_map(self.catalog, image_id, self.path(image_id), file, tag, info or {})

    def add_image(self, image_id: str, image_filename: str, image_info: Mapping[str, Any]) -> str:
        """Copy a new image into the folder.

        Raises:
            BadRequestError: the id is no plain name or too long, or the file's type is unknown.
            ConflictError: there is an image of that id.
            InvalidImageError: the file cannot be read as one breast image.
        """
        source = Path(image_filename)
        suffix = source.name[len(image_stem(source)) :]
        image_id = image_id or image_stem(source)
        if not is_plain_name(image_id) or image_stem(image_id) != image_id:
            raise BadRequestError(
                "an image id must be a plain name without a suffix; got another; rename the image"
            )
        if len(image_id.encode()) > _LONGEST_ID:
            raise BadRequestError(
                f"an image id of at most {_LONGEST_ID} bytes is required; got a longer one; rename the image"
            )
        if not suffix:
            raise BadRequestError(
                f"an image of type {', '.join(IMAGE_SUFFIXES)} is required; convert it first"
            )
        read_image(source)
        with self._adding:
            if self._is_taken(image_id):
                raise ConflictError(f"image '{image_id}' exists already; give the new one another id")
            write_bytes_atomically(self.studies / f"{image_id}{suffix}", source.read_bytes())
        take_in(self.catalog, [f"{image_id}{suffix}"])
        record = self.catalog.image(image_id)
        if record.file != f"{image_id}{suffix}":
            # One of this id was here before, in a file of another kind.
            excluded = None if record.excluded == FILE_MISSING else record.excluded
            self.catalog.update_image(image_id, file=f"{image_id}{suffix}", excluded=excluded)
        self.catalog.update_image_info(image_id, {**free_notes(image_info or {}), "ts": int(time.time())})
        return image_id

    def _is_taken(self, image_id: str) -> bool:
        return self._lying_there(image_id) is not None or (
            self.catalog.has_image(image_id) and self.catalog.path(self.catalog.image(image_id)).exists()
        )

    def remove_image(self, image_id: str) -> None:
        """Take an image out of the folder; its file and its labels are kept in ``.breastlabel``."""
        path, who = self.path(image_id), _who({})
        for tag in self._tags(image_id):
            self.catalog.labels.remove(image_id, tag, **who)
        removed = site_folder(self.studies) / "removed"
        removed.mkdir(parents=True, exist_ok=True)
        os.replace(path, removed / f"{time.time_ns()}-{path.name}")
        # Another reason outlasts the removal: a duplicate that comes back is a duplicate still.
        if self.catalog.image(image_id).excluded in (None, UNREADABLE):
            self.catalog.exclude(image_id, FILE_MISSING, **who)

    def set_state(self, image_id: str, version: int, state: str, info: Mapping[str, Any]) -> LabelVersion:
        """Accept a version, reject it, or call it a draft again; see `save` for who.

        Raises:
            NotFoundError: the image has no such version.
            UnknownNameError: no such state.
        """
        self._record(image_id)
        return self.catalog.labels.set_state(image_id, version, state, **_who(info))

    def restore(self, image_id: str, version: int, info: Mapping[str, Any]) -> LabelVersion:
        """Make an earlier version the newest final one again, as a version of its own; see `save` for who.

        Raises:
            NotFoundError: the image has no such version.
        """
        self._record(image_id)
        return self.catalog.labels.restore(image_id, version, **_who(info))

    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Take a label away; it is kept among the image's earlier versions."""
        self.label(label_id, label_tag)
        self.catalog.labels.remove(label_id, label_tag, **_who({}))

    def update_image_info(self, image_id: str, info: Mapping[str, Any]) -> None:
        """Note something on an image."""
        self._record(image_id)
        self.catalog.update_image_info(image_id, free_notes(info))

    def update_label_info(self, label_id: str, label_tag: str, info: Mapping[str, Any]) -> None:
        """Note something on a label."""
        self.label(label_id, label_tag)
        self.catalog.labels.update_info(label_id, label_tag, free_notes(info))

    def take_back(self, image_id: str, client_id: str, reason: Exception) -> None:
        """End a client's lease on an image that it cannot be shown, and keep the image from all others.

        Args:
            reason: `NotFoundError` where the file is gone; the image is back when the file is. Otherwise the
                file cannot be read, and the image is back when the file changes.
        """
        if isinstance(reason, NotFoundError):
            self.catalog.exclude(image_id, FILE_MISSING)
        else:
            # Stamped after the failure: one that was replaced within it is found at its next change.
            keep_out(self.catalog, image_id, stamp_of(self.catalog.path(self.catalog.image(image_id))))
        self.catalog.leases.release(image_id, client_id)

    def _tags(self, image_id: str) -> list[str]:
        """Tags under which the image has a label."""
        return sorted({tag for v in self.catalog.labels.history(image_id) if (tag := v.shown_as) is not None})


def _who(info: Mapping[str, Any]) -> dict[str, str | None]:
    return {"author": caller().author(info), "client_id": caller().client_id(info)}
