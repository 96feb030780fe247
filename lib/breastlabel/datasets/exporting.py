"""Labels out of a studies folder: the files, checked or made anew, in a folder that appears whole."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breastlabel.catalog import Catalog, ImageRecord, LabelVersion
from breastlabel.catalog.readings import all_versions, readings_by_reader
from breastlabel.datasets.export_index import ExportedLabel, SkippedLabel, indexed_files, write_index
from breastlabel.datasets.exporting_seg import SEGMENTATION_SUFFIX, write_segmentation
from breastlabel.errors import (
    BreastLabelError,
    InvalidLabelError,
    NotFoundError,
    StudiesError,
    UnknownNameError,
)
from breastlabel.findings.dicom_identity import require_highdicom
from breastlabel.imaging import LabelArray, image_stem, read_image, read_mask, write_mask
from breastlabel.imaging.atomic import replace_folder, restore_folder, sync_files

if TYPE_CHECKING:
    from breastlabel.evaluation.consensus import ReaderPerformance

__all__ = ["CONSENSUS", "FORMATS", "ExportSummary", "ExportedLabel", "SkippedLabel", "export_labels"]

_SEG = "seg"
FORMATS = ("nii.gz", "nrrd", "png", _SEG)
CONSENSUS = ("staple", "majority")
_FINAL = "final"
_MASKS = "masks"


@dataclass(frozen=True)
class ExportSummary:
    """What was exported.

    Attributes:
        labels: in the order of their files.
        skipped: what could not be exported.
    """

    labels: list[ExportedLabel] = field(default_factory=list)
    skipped: list[SkippedLabel] = field(default_factory=list)


def export_labels(
    catalog: Catalog,
    output: Path,
    *,
    tag: str = _FINAL,
    by_split: bool = False,
    every_version: bool = False,
    file_format: str | None = None,
    consensus: str | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ExportSummary:
    """Copy label maps into a new folder with ``index.json`` and ``index.csv``.

    The folder appears whole or not at all. Each file is compared with the checksum that was taken when it was
    saved; a label that is damaged or gone is skipped and named.

    Args:
        output: absent, empty, or an earlier export, which is replaced.
        tag: of the labels: ``final``, ``draft``, ``original`` (proposals) or another.
        by_split: masks lie in a folder a split: ``train``, ``val``, ``test`` and ``none``.
        every_version: every version of each image that was saved as the tag, the rejected ones too.
        file_format: ``nii.gz``, ``nrrd``, ``png`` or ``seg`` (DICOM); None: as they are stored.
        consensus: of images that several read, one map by ``staple`` or ``majority``.
        progress: called with (done, of how many).

    Raises:
        UnknownNameError: no such format or method.
        NotFoundError: there is no label of the tag.
        InvalidLabelError: a consensus of anything but the newest final labels was asked for.
        StudiesError: `output` is something else.
        MissingDependencyError: a segmentation needs highdicom, which is not installed.
    """
    for kind, name, valid in (("format", file_format, FORMATS), ("consensus", consensus, CONSENSUS)):
        if name is not None and name not in valid:
            raise UnknownNameError(kind, name, valid)
    if consensus and (every_version or tag != _FINAL):
        raise InvalidLabelError(
            "a consensus takes the readers' newest final labels; got another choice; leave that out"
        )
    if file_format == _SEG:
        require_highdicom()
    output = output.absolute()
    restore_folder(output)
    _require_free(output)
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{output.name}.{os.getpid()}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        job = _Export(catalog, partial, by_split, file_format)
        work = job.versions(tag) if every_version else job.current(tag)
        if not work:
            known = ", ".join(f"{n} {name}" for name, n in catalog.counts().labelled.items())
            raise NotFoundError(
                f"labels tagged '{tag}' are required; there are {known or 'no labels at all'}"
            )
        several = dict(readings_by_reader(catalog.database)) if consensus else {}
        for done, version in enumerate(work, start=1):
            readings = several.get(version.image_id)
            try:
                if consensus is not None and readings is not None:
                    job.add_consensus(version.image_id, readings, consensus)
                else:
                    job.add(version, nested=every_version)
            except BreastLabelError as error:
                job.summary.skipped.append(SkippedLabel(version.image_id, version.version, str(error)))
            if progress is not None:
                progress(done, len(work))
        write_index(partial, tag, job.summary.labels, job.summary.skipped)
        sync_files(partial)
        if output.is_dir() and not any(output.iterdir()):
            output.rmdir()
        replace_folder(partial, output)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return job.summary


class _Export:
    """One export, as it grows in its temporary folder."""

    def __init__(self, catalog: Catalog, folder: Path, by_split: bool, file_format: str | None) -> None:
        self.summary = ExportSummary()
        self._catalog = catalog
        self._folder = folder
        self._by_split = by_split
        self._suffix = None if file_format is None else f".{file_format}"
        if file_format == _SEG:
            self._suffix = SEGMENTATION_SUFFIX

    @cached_property
    def _images(self) -> dict[str, ImageRecord]:
        # First asked for after the labels: images only come, so each label's is among them.
        return {record.image_id: record for record in self._catalog.images()}

    def versions(self, tag: str) -> list[LabelVersion]:
        return list(all_versions(self._catalog.database, tag))

    def current(self, tag: str) -> list[LabelVersion]:
        return list(self._catalog.labels.current_many(tag).values())

    def add(self, version: LabelVersion, *, nested: bool) -> None:
        """Copy one version, or write it anew in the format asked for."""
        source = self._checked(version)
        stored = source.name[len(image_stem(source)) :]
        name = f"{version.image_id}/{version.version}-{version.tag}" if nested else version.image_id
        target = self._place(version.image_id, name, self._suffix or stored)
        if target.name.endswith(stored):
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
        else:
            self._write(target, read_mask(source), version.image_id, version=version)
        same = {f.name for f in fields(ExportedLabel)} & {f.name for f in fields(LabelVersion)}
        values = {name: getattr(version, name) for name in same - {"file", "sha256", "created_at"}}
        self._enter(target, **values, created_at=version.created_at.isoformat(timespec="seconds"))

    def add_consensus(self, image_id: str, readings: Mapping[str, LabelVersion], method: str) -> None:
        """Write one map out of several readers' ones."""
        from breastlabel.datasets.loading import class_of_mask
        from breastlabel.evaluation.consensus import majority, staple

        masks = [read_mask(self._checked(v)) for v in readings.values()]
        performance = None
        if method == "staple":
            found = staple(masks)
            mask, performance = found.mask, _by_reader(found.performance, list(readings))
        else:
            mask = majority(masks)
        target = self._place(image_id, image_id, self._suffix or ".nii.gz")
        self._write(target, mask, image_id, consensus=method)
        self._enter(
            target,
            image_id=image_id,
            label=class_of_mask(mask).label,
            consensus=method,
            readers={reader: v.version for reader, v in readings.items()},
            performance=performance,
        )

    def _checked(self, version: LabelVersion) -> Path:
        """The version's file, which is as it was saved."""
        source = self._catalog.labels.path(version)
        if not source.is_file():
            raise NotFoundError(f"the file of version {version.version} is gone")
        if hashlib.sha256(source.read_bytes()).hexdigest() != version.sha256:
            raise InvalidLabelError(f"the file of version {version.version} is not as it was saved")
        return source

    def _place(self, image_id: str, name: str, suffix: str) -> Path:
        folder = self._folder / _MASKS
        if self._by_split:
            folder /= self._images[image_id].split or "none"
        return folder / f"{name}{suffix}"

    def _write(
        self,
        target: Path,
        mask: LabelArray,
        image_id: str,
        *,
        version: LabelVersion | None = None,
        consensus: str | None = None,
    ) -> None:
        record = self._images[image_id]
        if target.name.endswith(SEGMENTATION_SUFFIX):
            write_segmentation(target, mask, self._catalog, record, version=version, consensus=consensus)
            return
        image = read_image(self._catalog.path(record), modality=record.modality)
        write_mask(target, mask, geometry=image.geometry)

    def _enter(self, target: Path, *, image_id: str, **values: Any) -> None:
        record = self._images[image_id]
        self.summary.labels.append(
            ExportedLabel(
                file=target.relative_to(self._folder).as_posix(),
                image_id=image_id,
                patient_key=record.patient_key,
                split=record.split,
                sha256=hashlib.sha256(target.read_bytes()).hexdigest(),
                **values,
            )
        )


def _by_reader(
    performance: Mapping[str, tuple[ReaderPerformance, ...]], readers: list[str]
) -> dict[str, dict[str, dict[str, float]]]:
    return {
        reader: {name: asdict(of_readers[i]) for name, of_readers in performance.items()}
        for i, reader in enumerate(readers)
    }


def _require_free(output: Path) -> None:
    """Refuse a folder that an export must not replace: one that holds anything but an earlier export."""
    if not output.exists() or (output.is_dir() and not any(output.iterdir())):
        return
    if not output.is_dir() or _files_of(output) != indexed_files(output):
        raise StudiesError(
            f"--output must be absent, empty or an earlier export; '{output}' is not; name another"
        )


def _files_of(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}
