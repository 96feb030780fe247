"""A studies folder of mammography phantoms: DICOM images, label maps, patients, priors and splits."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from breastlabel.catalog import LABELS_FOLDER, SPLITS, Catalog, ImageRecord, label_path
from breastlabel.datasets.mammogram_dicom import Names, mammogram_dataset, truth_dataset
from breastlabel.datasets.mammogram_exam import PRIOR_SHARE, SHAPE, MammogramView, mammogram_exam
from breastlabel.datasets.mammogram_vendor import Machine
from breastlabel.datasets.phantom_studies import DATASET, SPLIT_CYCLE, changes
from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.imaging import Geometry, LesionClass, Modality, write_mask
from breastlabel.imaging.atomic import write_bytes_atomically
from breastlabel.imaging.dicom_writing import dicom_bytes

__all__ = ["TRUTH_FOLDER", "write_mammogram_phantoms"]

TRUTH_FOLDER = "truth"
"""DICOM segmentations of the lesions, one an image that shows one; not images of the studies folder."""

_N, _B, _M = LesionClass.NORMAL, LesionClass.BENIGN, LesionClass.MALIGNANT
CLASS_CYCLE = (
    *((_M, _N), (_N, _M), (_B, _N), (_N, _M), (_N, _B), (_B, _M), (_M, _N), (_N, _N), (_B, _M), (_M, _B)),
    *((_N, _B), (_B, _M), (_N, _N), (_M, _B), (_N, _M), (_B, _N), (_M, _B), (_N, _M), (_B, _B), (_N, _N)),
)
"""Right and left breast of each patient, in turns: of 40 breasts 16 are normal, 12 benign, 12 malignant.
The first patients for validation and for test have a normal and a malignant breast."""


def write_mammogram_phantoms(
    studies: str | Path,
    *,
    exams: int,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
    shape: tuple[int, int] | None = None,
    classes: Sequence[tuple[LesionClass, LesionClass]] = CLASS_CYCLE,
    priors: float = PRIOR_SHARE,
    machine: Machine | None = None,
    labelled: float = 1.0,
    split: str | None = None,
    truth: bool | None = None,
) -> list[ImageRecord]:
    """Add phantom mammograms to a studies folder, which is made if it does not exist.

    An exam is one patient's visit, four images: right and left breast, CC and MLO. Some patients have an
    older exam besides. Ids are ``phantom-mg-<seed>-<patient>-rcc`` and, at the older exam, ``...-prior-rcc``.
    Repeating a call, also one that was killed, completes it and changes nothing else.

    Args:
        studies: the folder.
        exams: how many patients.
        seed: of everything.
        progress: called with (patients done, patients in all).
        shape: (rows, cols) of all images; by default 1024 x 832.
        classes: of the right and the left breast, to take turns; reordered in each round after the first.
        priors: the share of patients with an older exam.
        machine: of all images; by default they vary.
        labelled: the share of patients that have label maps and known classes.
        split: of all patients; by default 70/15/15; four patients fill all three.
        truth: whether to write DICOM segmentations to ``truth/``; by default where highdicom is installed.

    Returns:
        The images' records, as the catalog has them, in the order of their ids.

    Raises:
        StudiesError: a count, share or shape that cannot be.
        UnknownNameError: no such split.
    """
    if exams < 1 or not classes or not 0 <= labelled <= 1 or not 0 <= priors <= 1:
        raise StudiesError(
            "at least 1 exam, 1 pair of classes and shares of 0 to 1 are required; "
            f"got {exams}, {len(classes)}, {labelled:g} labelled and {priors:g} with a prior; change them"
        )
    if seed < 0:
        raise StudiesError(f"a seed of 0 or more is required; got {seed}; choose another")
    if split is not None and split not in SPLITS:
        raise UnknownNameError("split", split, SPLITS)
    folder = Path(studies).absolute()
    with_truth = find_spec("highdicom") is not None if truth is None else truth
    records: list[ImageRecord] = []
    # Opening the catalog lets it learn of files that a killed run left behind, so that they are seen below.
    with Catalog.open(folder, create=True) as catalog:
        known = {record.image_id: record for record in catalog.images()}
        for number in range(exams):
            patient = _Patient(
                seed=seed,
                number=number,
                classes=_classes_of(number, classes, seed),
                # Evenly spread, so that any few patients have their share of priors.
                prior=int((number + 1) * priors + 1e-9) > int(number * priors + 1e-9),
                labelled=bool(np.random.default_rng([seed, number, 3]).random() < labelled),
                split=split or SPLIT_CYCLE[number % len(SPLIT_CYCLE)],
            )
            there = [known[i] for i in patient.image_ids() if i in known]
            if len(there) == len(patient.image_ids()) and all(
                r.dataset == DATASET and (folder / r.file).exists() for r in there
            ):
                records += there
            else:
                records += patient.write(folder, shape or SHAPE, machine, with_truth=with_truth)
            if progress is not None:
                progress(number + 1, exams)
        catalog.add_images(records)
        catalog.update_images(changes(records, known))
        ids = {record.image_id for record in records}
        return [record for record in catalog.images() if record.image_id in ids]


def _classes_of(
    number: int, classes: Sequence[tuple[LesionClass, LesionClass]], seed: int
) -> tuple[LesionClass, LesionClass]:
    """The classes of a patient's breasts: in turns, and in an order of its own in each round after the first.

    The splits go in turns too. In one order for all rounds, a split would hold some of the classes only.
    """
    turn, place = divmod(number, len(classes))
    if turn:
        place = int(np.random.default_rng([seed, turn, 4]).permutation(len(classes))[place])
    return classes[place]


class _Patient(NamedTuple):
    seed: int
    number: int
    classes: tuple[LesionClass, LesionClass]
    prior: bool
    labelled: bool
    split: str

    @property
    def key(self) -> str:
        return f"phantom-mg-{self.seed}-{self.number + 1:04d}"

    def image_ids(self) -> list[str]:
        """In the order in which `mammogram_exam` gives the views."""
        names = [f"{side}{view}" for side in "rl" for view in ("cc", "mlo")]
        exams = ["-prior", ""] if self.prior else [""]
        return [f"{self.key}{exam}-{name}" for exam in exams for name in names]

    def write(
        self, folder: Path, shape: tuple[int, int], machine: Machine | None, *, with_truth: bool
    ) -> Iterator[ImageRecord]:
        views = mammogram_exam(
            self.seed * 100_000 + self.number,
            shape=shape,
            classes=self.classes,
            prior=self.prior,
            machine=machine,
        )
        for number, (image_id, view) in enumerate(zip(self.image_ids(), views, strict=True)):
            yield self._write(folder, image_id, view, number % 4 + 1, with_truth=with_truth)

    def _write(
        self, folder: Path, image_id: str, view: MammogramView, number: int, *, with_truth: bool
    ) -> ImageRecord:
        """Truth and label map before the image, so that no image is ever seen without them."""
        study = "prior" if view.is_prior else "newest"
        names = Names(
            patient=f"PHANTOM-{self.seed}-{self.number + 1:04d}",
            study=study,
            image=image_id.rpartition("-")[2],
            number=number,
            birth_year=view.acquired.year - view.age,
        )
        dataset = mammogram_dataset(view, names)
        if self.labelled:
            if with_truth and view.mask.any():
                (folder / TRUTH_FOLDER).mkdir(exist_ok=True)
                seg = dicom_bytes(truth_dataset(view, dataset, names))
                write_bytes_atomically(folder / TRUTH_FOLDER / f"{image_id}.dcm", seg)
            if label_path(folder, image_id) is None:
                # As SimpleITK reads the image: pixels at the detector, no position.
                geometry = Geometry((view.spacing_mm, view.spacing_mm, 1.0))
                write_mask(folder / LABELS_FOLDER / f"{image_id}.nrrd", view.mask, geometry=geometry)
        file = f"{image_id}.dcm"
        write_bytes_atomically(folder / file, dicom_bytes(dataset))
        return ImageRecord(
            image_id=image_id,
            file=file,
            dataset=DATASET,
            modality=Modality.MG,
            patient_key=self.key,
            study_key=f"{self.key}-{study}",
            group=f"{DATASET}:{self.key}",
            laterality=view.laterality,
            view_position=view.view_position,
            split=self.split,
            label=view.label.label if self.labelled else None,
            reviewed=self.labelled,
            spacing_rows=view.spacing_mm,
            spacing_cols=view.spacing_mm,
            metadata=self._metadata(view),
        )

    def _metadata(self, view: MammogramView) -> dict[str, object]:
        known: dict[str, object] = {
            "acquired": view.acquired.isoformat(),
            "age": view.age,
            "density": view.density.value,
            "implant": False,
            "manufacturer": view.machine.manufacturer,
            "machine": view.machine.model,
            "synthetic": True,
        }
        if self.labelled and view.lesion_type is not None:
            known["type"] = view.lesion_type
        if self.labelled:
            known["superposition"] = view.superposition
        return known
