"""A folder of images as MONAI Label's datastore."""

from __future__ import annotations

import functools
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar

from filelock import FileLock
from monailabel.datastore.local import DataModel, ImageLabelModel, LocalDatastore
from monailabel.interfaces.datastore import DefaultLabelTag

from breastlabel.catalog import LABEL_SUFFIXES
from breastlabel.catalog.models import is_plain_name
from breastlabel.errors import NotFoundError
from breastlabel.findings import LABEL_NAMES
from breastlabel.imaging import IMAGE_SUFFIXES, LabelArray, image_stem, read_image, write_mask
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.label.errors import BadRequestError, ConflictError
from breastlabel.label.segments import read_segments
from breastlabel.label.served import ServedImages
from breastlabel.label.versions import LabelVersions
from breastlabel.training.registry import site_folder

__all__ = ["StudiesDatastore"]

P = ParamSpec("P")
T = TypeVar("T")
FINAL, ORIGINAL = DefaultLabelTag.FINAL.value, DefaultLabelTag.ORIGINAL.value

# What the datastore itself says of an image or label; a client cannot set it.
_OWN_KEYS = ("name", "path", "ts", "checksum", "id")
# A tag is the name of a folder.
_TAG = re.compile(r"[A-Za-z0-9_-]{1,32}")
#: A folder that changed this recently may change again without its time stamp moving.
_SETTLED_NS = 2_000_000_000


def _locked(
    method: Callable[Concatenate[StudiesDatastore, P], T],
) -> Callable[Concatenate[StudiesDatastore, P], T]:
    """Routes run in threads, and the stock class iterates over a dictionary that others change."""

    @functools.wraps(method)
    def guarded(self: StudiesDatastore, *args: P.args, **kwargs: P.kwargs) -> T:
        with self.mutex:
            return method(self, *args, **kwargs)

    return guarded  # type: ignore[return-value]  # mypy names the first parameter


class StudiesDatastore(LocalDatastore):
    """The stock folder datastore, made safe for threads, kills and every image type of this project.

    It differs from the stock one in this: DICOM, BMP, PGM and upper-case suffixes count; an image's id is
    its file's stem; files that come and go are noticed without a watcher thread; the index and every
    label appear whole or not at all; a label is checked against its image and stored by segment *names*;
    an earlier label is kept in ``.breastlabel/label-versions``. What it shares with the stock one: the
    index is one JSON file (``datastore_v2.json``) that is written anew on every change, so saving takes
    longer the more images there are (8 ms at 1,000, half a second at 50,000).
    """

    def __init__(self, studies: str | Path) -> None:
        self.mutex = threading.RLock()
        self.studies = Path(studies).absolute()
        self._seen: tuple[int, ...] | None = None
        self._unreadable: dict[str, int] = {}
        self.versions = LabelVersions(site_folder(self.studies) / "label-versions")
        self.served = ServedImages(site_folder(self.studies) / "cache")
        super().__init__(str(self.studies), extensions=[f"*{suffix}" for suffix in IMAGE_SUFFIXES])

    # Looking

    def path(self, image_id: str) -> Path:
        """Where the image's file lies.

        Raises:
            NotFoundError: the id is none of this folder's. A path is no id, so no other file can be had.
        """
        with self.mutex:
            if image_id not in self._datastore.objects:
                self.sync()
            entry = self._datastore.objects.get(image_id)
        if entry is None:
            raise NotFoundError(
                f"an image of the studies folder is required; '{str(image_id)[:80]}' is none; "
                "GET /activelearning or the folder itself says which there are"
            )
        path = self.studies / f"{image_id}{entry.image.ext}"
        if not path.is_file():
            raise NotFoundError(
                f"the file of image '{image_id}' is gone; put it back into the studies folder"
            )
        return path

    def label_file(self, image_id: str, tag: str) -> Path:
        """Where the image's label of a tag lies.

        Raises:
            NotFoundError: there is none.
        """
        with self.mutex:
            self.sync()
            entry = self._datastore.objects.get(image_id)
            label = entry.labels.get(tag) if entry else None
        if label is None:
            raise NotFoundError(f"image '{str(image_id)[:80]}' has no label '{tag[:80]}'; save one first")
        return self.studies / "labels" / tag / f"{image_id}{label.ext}"

    @_locked
    def sync(self) -> None:
        """Take in what was put into or taken from the folder since the last time.

        A listing is made only where a folder's time stamp says that something changed.
        """
        seen = self._stamps()
        if seen != self._seen or max(seen) > time.time_ns() - _SETTLED_NS:
            self._reconcile_datastore()
            self._seen = seen

    def _stamps(self) -> tuple[int, ...]:
        folders = (self.studies, *(self.studies / "labels" / tag for tag in (FINAL, ORIGINAL)))
        return tuple(folder.stat().st_mtime_ns if folder.is_dir() else 0 for folder in folders)

    @_locked
    def refresh(self) -> None:
        """Compare the index with the folder now."""
        self._seen = None
        self.sync()

    @_locked
    def list_images(self) -> list[str]:
        """Ids of all images, sorted."""
        self.sync()
        return sorted(self._datastore.objects)

    @_locked
    def get_labeled_images(self, label_tag: str | None = None, labels: Any = None) -> list[str]:
        """Ids of the images with a label, sorted."""
        tag = label_tag or FINAL
        self.sync()
        return sorted(k for k, v in self._datastore.objects.items() if tag in v.labels)

    @_locked
    def get_unlabeled_images(self, label_tag: str | None = None, labels: Any = None) -> list[str]:
        """Ids of the readable images without a label, sorted."""
        tag = label_tag or FINAL
        self.sync()
        waiting = (k for k, v in self._datastore.objects.items() if tag not in v.labels)
        return sorted(k for k in waiting if not self._known_unreadable(k))

    def mark_unreadable(self, image_id: str) -> None:
        """Offer the image to no annotator any more until its file changes."""
        self._unreadable[image_id] = self.path(image_id).stat().st_mtime_ns

    def _known_unreadable(self, image_id: str) -> bool:
        if image_id not in self._unreadable:
            return False
        try:
            return self.path(image_id).stat().st_mtime_ns == self._unreadable[image_id]
        except (NotFoundError, OSError):
            return True

    @_locked
    def get_image_info(self, image_id: str) -> dict[str, Any]:
        """What a viewer needs to load the image, and what was noted on it.

        ``name`` is the name of the file that a download gives, and ``path`` the same: a path that
        exists on the viewer's machine would make Slicer load that file instead.
        """
        path = self.path(image_id)
        info = dict(self._datastore.objects[image_id].image.info)
        name = self.served.name(image_id, path)
        return {**info, "id": image_id, "name": name, "path": name}

    @_locked
    def get_label_info(self, label_id: str, label_tag: str) -> dict[str, Any]:
        """What is known of a label: segments, client, time, the model that proposed it."""
        self.label_file(label_id, label_tag)
        return dict(self._datastore.objects[label_id].labels[label_tag].info)

    @_locked
    def status(self) -> dict[str, Any]:
        """How many images there are, and how many carry which label."""
        self.sync()
        tags: dict[str, int] = {}
        for entry in self._datastore.objects.values():
            for tag in entry.labels:
                tags[tag] = tags.get(tag, 0) + 1
        return {"total": len(self._datastore.objects), "completed": tags.get(FINAL, 0), "label_tags": tags}

    @_locked
    def json(self) -> dict[str, Any]:
        """The index, but for images without a label.

        Slicer asks for all of it at every next sample, and reads only
        ``objects[id].labels.original.info.params.label_names``.
        """
        self.sync()
        labelled = {k: v for k, v in self._datastore.objects.items() if v.labels}
        index: dict[str, Any] = self._datastore.model_dump(exclude={"base_path", "objects"})
        return {**index, "objects": {k: v.model_dump() for k, v in labelled.items()}}

    datalist = _locked(LocalDatastore.datalist)
    get_dataset_archive = _locked(LocalDatastore.get_dataset_archive)

    # Changing

    def save_label(
        self, image_id: str, label_filename: str, label_tag: str, label_info: Mapping[str, Any]
    ) -> str:
        """Store a label map that a viewer or a model made.

        Args:
            label_filename: a label map of the image's size.
            label_info: ``label_info`` names its segments; the rest is kept as it is.

        Raises:
            NotFoundError: unknown image.
            BadRequestError: the tag is no plain word.
            InvalidLabelError: another size, unknown segments or unnamed values; nothing is stored.
        """
        if not _TAG.fullmatch(label_tag):
            raise BadRequestError(
                "a label's tag must be a plain word such as final; got another; leave it out"
            )
        image = read_image(self.path(image_id))
        mask = read_segments(
            Path(label_filename), shape=image.shape, label_info=(label_info or {}).get("label_info")
        )
        self._store(image_id, mask, image.geometry, label_tag, label_info or {})
        return image_id

    @_locked
    def _store(
        self, image_id: str, mask: LabelArray, geometry: Any, tag: str, label_info: Mapping[str, Any]
    ) -> None:
        entry = self._datastore.objects[image_id]
        file = self.studies / "labels" / tag / f"{image_id}.nii.gz"
        before = entry.labels.get(tag)
        older = file.with_name(f"{image_id}{before.ext}") if before else None
        if older and older.is_file():
            self.versions.keep(image_id, tag, older, before.info)
        write_mask(file, mask, geometry=geometry)
        if older and older != file:
            older.unlink(missing_ok=True)
        info = {k: v for k, v in label_info.items() if k not in _OWN_KEYS}
        info["label_info"] = [{"name": name, "idx": value} for name, value in LABEL_NAMES.items()]
        info |= {"ts": int(time.time()), "name": file.name}
        entry.labels[tag] = DataModel(info=info, ext=".nii.gz")
        self._update_datastore_file()

    @_locked
    def add_image(self, image_id: str, image_filename: str, image_info: Mapping[str, Any]) -> str:
        """Copy a new image into the folder.

        Raises:
            BadRequestError: the id is no plain name, or the file's type is unknown.
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
        if not suffix:
            raise BadRequestError(
                f"an image of type {', '.join(IMAGE_SUFFIXES)} is required; convert it first"
            )
        self.sync()
        if image_id in self._datastore.objects:
            raise ConflictError(f"image '{image_id}' exists already; give the new one another id")
        read_image(source)
        write_bytes_atomically(self.studies / f"{image_id}{suffix}", source.read_bytes())
        info = {k: v for k, v in (image_info or {}).items() if k not in _OWN_KEYS}
        info |= {"ts": int(time.time()), "name": f"{image_id}{suffix}"}
        self._datastore.objects[image_id] = ImageLabelModel(image=DataModel(info=info, ext=suffix))
        self._update_datastore_file()
        return image_id

    @_locked
    def remove_image(self, image_id: str) -> None:
        """Take an image out of the folder; its file and labels are kept in ``.breastlabel``."""
        path = self.path(image_id)
        for tag in list(self._datastore.objects[image_id].labels):
            self.remove_label(image_id, tag)
        removed = site_folder(self.studies) / "removed"
        removed.mkdir(parents=True, exist_ok=True)
        os.replace(path, removed / f"{time.time_ns()}-{path.name}")
        self.refresh()

    @_locked
    def remove_label(self, label_id: str, label_tag: str) -> None:
        """Take a label away; it is kept among the image's earlier versions."""
        file = self.label_file(label_id, label_tag)
        self.versions.keep(
            label_id, label_tag, file, self._datastore.objects[label_id].labels[label_tag].info
        )
        file.unlink(missing_ok=True)
        self.refresh()

    @_locked
    def update_image_info(self, image_id: str, info: Mapping[str, Any]) -> None:
        """Note something on an image."""
        self.path(image_id)
        self._datastore.objects[image_id].image.info.update(_free(info))
        self._update_datastore_file()

    @_locked
    def update_label_info(self, label_id: str, label_tag: str, info: Mapping[str, Any]) -> None:
        """Note something on a label."""
        self.label_file(label_id, label_tag)
        self._datastore.objects[label_id].labels[label_tag].info.update(_free(info))
        self._update_datastore_file()

    # How the stock class reads and writes its folder

    def _to_id(self, file: str) -> tuple[str, str]:
        stem = image_stem(file)
        return stem, Path(file).name[len(stem) :]

    def _list_files(self, path: str, patterns: Iterable[str]) -> dict[str, str]:
        """File names to list, one for each id: of images the first name, of labels the newest file."""
        images = Path(path).resolve() == self.studies.resolve()
        suffixes = IMAGE_SUFFIXES if images else LABEL_SUFFIXES
        with os.scandir(path) as entries:
            files = [
                e
                for e in entries
                if not e.name.startswith(".") and e.name.lower().endswith(suffixes) and e.is_file()
            ]
        files.sort(key=lambda e: e.name if images else -e.stat().st_mtime_ns)
        chosen: dict[str, str] = {}
        for entry in files:
            chosen.setdefault(image_stem(entry.name), entry.name)
        return {name: name for name in chosen.values()}

    def _update_datastore_file(self, lock: bool = True) -> None:
        data = json.dumps(self._datastore.model_dump(exclude={"base_path"}), default=str).encode()
        path = Path(self._datastore_config_path)
        if lock:
            with FileLock(self._lock_file):
                write_bytes_atomically(path, data)
        else:
            write_bytes_atomically(path, data)
        self._config_ts = path.stat().st_mtime


def _free(info: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in info.items() if k not in _OWN_KEYS}
