"""Reads a public dataset, or a site's folder, into a studies folder."""

from __future__ import annotations

import filecmp
import os
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from breastlabel.catalog import LABELS_FOLDER, SPLITS, Catalog, ImageRecord, label_path, sync_folder
from breastlabel.datasets.breast_hash import breast_hash
from breastlabel.datasets.duplicates import correlation, perceptual_hash, thumbnail
from breastlabel.datasets.grouping import CONTRADICTORY, group_and_split
from breastlabel.datasets.importers import IMPORTERS
from breastlabel.datasets.loading import class_of_mask
from breastlabel.datasets.source import SourceImage
from breastlabel.datasets.summary import ImportSummary
from breastlabel.errors import BreastLabelError, StudiesError, UnknownNameError
from breastlabel.imaging import (
    IMAGE_SUFFIXES,
    BreastImage,
    LabelArray,
    LesionClass,
    Modality,
    read_image,
    write_mask,
)
from breastlabel.imaging.dicom import HeaderKeys, header_keys, opaque_key

__all__ = ["IMPORTERS", "import_dataset"]

Progress = Callable[[int, int], None]

_HASH = "phash"
_NO_KEYS = HeaderKeys(None, None, None)


@dataclass(frozen=True)
class _Read:
    """One image of the dataset, read and found sound; its pixels are let go."""

    source: SourceImage
    record: ImageRecord
    hash: npt.NDArray[np.bool_]


def import_dataset(
    name: str,
    source: str | Path,
    studies: str | Path,
    *,
    link: bool = False,
    progress: Progress | None = None,
) -> ImportSummary:
    """Read a dataset into a studies folder: images, label maps, and the catalog's knowledge of both.

    Images are copied unchanged to ``<studies>/<id>.<ext>``, label maps are written to ``labels/final``
    with the image's own geometry. Patient, class and whatever else the dataset tells go to the catalog;
    groups and splits as `group_and_split` describes. Importing again adds what is missing and changes
    nothing else: no split, and no label that a reader has corrected since. An import that was killed is
    completed by repeating it.

    Args:
        name: one of `IMPORTERS`.
        source: the folder that holds the dataset as its authors distribute it.
        studies: the studies folder; made if it does not exist.
        link: put symbolic links into the studies folder instead of copies.
        progress: called with (images done, images in all).

    Raises:
        UnknownNameError: no such importer.
        StudiesError: the source is not laid out as that dataset is, or holds no readable image.
    """
    if name not in IMPORTERS:
        raise UnknownNameError("dataset", name, IMPORTERS)
    origin, target = Path(source).absolute(), Path(studies).absolute()
    if origin.resolve() == target.resolve():
        raise StudiesError(
            "the dataset and the studies folder must be two folders; got one for both; "
            "a folder of plain images needs no import, open it as studies"
        )
    listing = IMPORTERS[name](origin)
    skipped = list(listing.skipped)
    with Catalog.open(target, create=True) as catalog:
        known = {record.image_id: record for record in catalog.images()}
        found: list[_Read] = []
        for done, item in enumerate(listing.images, start=1):
            there = known.get(item.image_id)
            if there is not None and (there.dataset != name or _is_another(item.file, target / there.file)):
                skipped.append(
                    (_shown(item.file), f"{item.image_id} is in the studies already, from elsewhere")
                )
            else:
                try:
                    found.append(_read(item, name, target, salt=catalog.salt()))
                except BreastLabelError as error:
                    skipped.append((_shown(item.file), str(error)))
            if progress is not None:
                progress(done, len(listing.images))
        if not found:
            reason = f"; the first was skipped because {skipped[0][1]}" if skipped else ""
            raise StudiesError(
                f"at least one readable image is required; found none{reason}; check the source"
            )
        return _store(catalog, target, known, found, skipped, name=name, link=link)


def _read(item: SourceImage, dataset: str, studies: Path, *, salt: str) -> _Read:
    """Check image and mask, and write the label map. The catalog learns of both later, all at once."""
    image = read_image(item.file, modality=item.modality)
    mask = item.paint(image.shape) if item.paint is not None else None
    if mask is not None and label_path(studies, item.image_id) is None:
        write_mask(studies / LABELS_FOLDER / f"{item.image_id}.nrrd", mask, geometry=image.geometry)
    code = _hash(image)
    rows, cols = image.spacing or item.spacing or (None, None)
    # The keys that reading gives hold for this process only; those of the catalog's salt hold here for good.
    keys = header_keys(item.file, salt=salt) if image.patient_key or image.study_key else _NO_KEYS
    named = opaque_key(item.patient, salt=salt)
    record = ImageRecord(
        image_id=item.image_id,
        file=f"{item.image_id}{_suffix(item.file)}",
        dataset=dataset,
        modality=image.modality,
        # An empty key is filled once the group is known; see `_with_patient`.
        patient_key=item.patient_key or named or keys.patient or "",
        group="",
        study_key=item.study_key or opaque_key(item.study, salt=salt) or keys.study,
        # Where table and header name two sides, nobody knows which is right.
        laterality=None if _sides_differ(item, image) else item.laterality or image.laterality,
        view_position=item.view_position or image.view_position,
        label=_class_of(item, mask),
        reviewed=mask is not None,
        spacing_rows=rows,
        spacing_cols=cols,
        metadata=_metadata(item, image) | {_HASH: np.packbits(code).tobytes().hex()},
    )
    return _Read(item, record, code)


def _store(
    catalog: Catalog,
    studies: Path,
    known: Mapping[str, ImageRecord],
    found: list[_Read],
    skipped: list[tuple[str, str]],
    *,
    name: str,
    link: bool,
) -> ImportSummary:
    new = [read.record for read in found if read.record.image_id not in known]
    hashes = {read.record.image_id: read.hash for read in found}
    files = {r.image_id: studies / r.file for r in known.values()}
    files |= {read.record.image_id: read.source.file for read in found}
    for record in known.values():
        if record.image_id not in hashes and (code := _known_hash(record, files)) is not None:
            hashes[record.image_id] = code

    @lru_cache(maxsize=4096)
    def small(image_id: str) -> npt.NDArray[np.float32]:
        return thumbnail(read_image(files[image_id]).pixels)

    grouped = group_and_split(
        list(known.values()),
        new,
        hashes,
        similarity=lambda a, b: correlation(small(a), small(b)),
        partition={r.record.image_id: r.source.split for r in found if r.source.split is not None},
    )
    catalog.add_images(_with_patient(record) for record in grouped.new)
    catalog.update_images({i: {"excluded": CONTRADICTORY} for i in grouped.newly_wrong})
    for read in found:
        _bring(read.source.file, studies / read.record.file, link=link)
    # Lifts the exclusion of images whose files were missing until now.
    sync_folder(studies, catalog=catalog)
    stored = {record.image_id: record for record in catalog.images()}
    mine = [stored[read.record.image_id] for read in found]
    patients = {read.record.patient_key for read in found} - {""}
    ids = {record.image_id for record in mine}
    return ImportSummary(
        dataset=name,
        n_read=len(found),
        n_new=len(new),
        by_class=_counts(mine),
        n_patients=len(patients) or None,
        n_groups=len({record.group for record in mine}),
        contradictory=[group for group in grouped.contradictory if ids.intersection(group)],
        skipped=skipped,
        splits={s or "none": _counts([r for r in mine if r.split == s]) for s in (*SPLITS, None)},
    )


def _with_patient(record: ImageRecord) -> ImageRecord:
    """Where the dataset does not tell patients apart, a group of near-duplicates stands for one."""
    return record if record.patient_key else replace(record, patient_key=f"{record.dataset}:{record.group}")


def _sides_differ(item: SourceImage, image: BreastImage) -> bool:
    return None not in (item.laterality, image.laterality) and item.laterality is not image.laterality


def _class_of(item: SourceImage, mask: LabelArray | None) -> str | None:
    if item.label is not None:
        return item.label.label
    return None if mask is None else class_of_mask(mask).label


def _counts(records: list[ImageRecord]) -> dict[str, int]:
    counts = Counter(record.label or "unknown" for record in records)
    return {label: counts[label] for label in (*(c.label for c in LesionClass), "unknown") if counts[label]}


def _known_hash(record: ImageRecord, files: Mapping[str, Path]) -> npt.NDArray[np.bool_] | None:
    """The hash of an image that was there before; computed if another way than an import brought it."""
    stored = record.metadata.get(_HASH)
    if isinstance(stored, str):
        return np.unpackbits(np.frombuffer(bytes.fromhex(stored), np.uint8)).astype(bool)
    try:
        return _hash(read_image(files[record.image_id], modality=record.modality))
    except BreastLabelError:
        return None


def _hash(image: BreastImage) -> npt.NDArray[np.bool_]:
    return breast_hash(image.pixels) if image.modality is Modality.MG else perceptual_hash(image.pixels)


def _metadata(item: SourceImage, image: BreastImage) -> dict[str, Any]:
    acquired = item.acquired or image.acquisition_date
    known = {
        "age": image.age,
        "density": image.density.value if image.density else None,
        "implant": image.implant,
        "manufacturer": image.manufacturer,
        "machine": image.machine_id,
        "acquired": acquired.isoformat() if acquired else None,
        "side_contradicted": True if _sides_differ(item, image) else None,
        "partition": item.split,
    }
    return {k: v for k, v in known.items() if v is not None} | dict(image.metadata) | dict(item.metadata)


def _suffix(file: Path) -> str:
    name = file.name.lower()
    return max((s for s in IMAGE_SUFFIXES if name.endswith(s)), key=len, default=file.suffix.lower())


def _shown(file: Path) -> str:
    """The file's name as any terminal and JSON can show it."""
    return file.name.encode("utf-8", "backslashreplace").decode()


def _is_another(file: Path, target: Path) -> bool:
    """Whether another image lies where this one would: folders of a site often use the same names."""
    return target.is_file() and not filecmp.cmp(file, target, shallow=False)


def _bring(file: Path, target: Path, *, link: bool) -> None:
    """Put the image into the studies folder, if it is not there; it appears whole or not at all."""
    if target.is_file():
        return
    partial = target.with_name(f".{target.name}.part")
    partial.unlink(missing_ok=True)
    try:
        if link:
            partial.symlink_to(file.resolve())
        else:
            shutil.copyfile(file, partial)
        os.replace(partial, target)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise StudiesError(
            f"a writable studies folder with room for the images is required; the system says: "
            f"{error.strerror}; free some space or choose another folder, then import again"
        ) from error
