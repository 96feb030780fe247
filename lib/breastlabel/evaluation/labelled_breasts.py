"""The breasts of a split, each with its images, priors and what the reader says."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from breastlabel.errors import BreastLabelError
from breastlabel.imaging.image import FloatArray
from breastlabel.imaging.vocabulary import LesionClass

__all__ = ["BreastsOfSplit", "LabelledBreast"]


@dataclass(frozen=True)
class LabelledBreast:
    """One breast in one exam, in memory.

    Attributes:
        key: names it in reports: the id of the first image of the exam that is judged.
        images: `breastlabel.datasets.LabelledImage`, oldest exam first.
        newest: of each image, whether it is of the exam that is judged.
        contexts: (images, CONTEXT_SIZE).
        label: the worst class known now of an image of that exam; None where none is.
        invasive: whether its cancer is invasive and not in situ; None where nobody says so.
    """

    key: str
    images: tuple[Any, ...]
    newest: tuple[bool, ...]
    contexts: FloatArray
    label: LesionClass | None
    invasive: bool | None = None

    @property
    def judged(self) -> list[int]:
        """Positions of the images of the exam that is judged."""
        return [i for i, new in enumerate(self.newest) if new]


class BreastsOfSplit:
    """The breasts of a split of whose judged exam a class or an outline is known, one in memory at a time."""

    def __init__(
        self,
        studies: Path,
        split: str | None,
        *,
        model: str,
        views: bool = True,
        priors: bool = True,
        on_error: Callable[[Any, BreastLabelError], None] | None = None,
    ) -> None:
        """Args:
        split: ``train``, ``val``, ``test``; None for all.
        model: what analyses them.
        views, priors: whether it looks at other views and at older exams.
        on_error: called with the record of an image that cannot be read, and why; the rest of its breast
            goes on. Without it the error is raised.
        """
        from breastlabel.catalog import Catalog
        from breastlabel.datasets.sequences import breast_cases
        from breastlabel.training.presets import MODALITIES

        with Catalog.open(studies) as catalog:
            images = catalog.images(split=split, include_excluded=False)
        known = [r for r in images if r.modality is MODALITIES[model] and r.split is not None]
        self._studies = studies
        self._on_error = on_error
        self._records: Mapping[str, Any] = {r.image_id: r for r in known}
        labelled = {r.image_id for r in known if r.reviewed or r.label is not None}
        self._cases = [c for c in breast_cases(known, views=views, priors=priors) if labelled & {*c.newest}]

    def __len__(self) -> int:
        return len(self._cases)

    def __iter__(self) -> Iterator[LabelledBreast]:
        for case in self._cases:
            breast = _load(self._studies, case, self._records, self._on_error)
            if breast is not None:
                yield breast


def _load(
    studies: Path,
    case: Any,
    records: Mapping[str, Any],
    on_error: Callable[[Any, BreastLabelError], None] | None,
) -> LabelledBreast | None:
    from breastlabel.datasets.invasiveness import invasive_cancer, worst_invasive
    from breastlabel.datasets.loading import load_labelled_image
    from breastlabel.datasets.sequences import context_of, worst_class

    images, newest, contexts = [], [], []
    for image_id in case.sequence:
        record, new = records[image_id], image_id in case.newest
        try:
            labelled = load_labelled_image(studies, record)
        except BreastLabelError as error:
            if on_error is None:
                raise
            on_error(record, error)
            continue
        images.append(labelled)
        newest.append(new)
        contexts.append(context_of(record, case.acquired, is_prior=not new))
    shown = [image for image, new in zip(images, newest, strict=True) if image is not None and new]
    known = [image for image in shown if image.mask is not None or image.label is not None]
    if not known:
        return None
    label = worst_class(image.label for image in known)
    invasive = worst_invasive(invasive_cancer(image.record, image.label) for image in known)
    return LabelledBreast(case.key, tuple(images), tuple(newest), np.stack(contexts), label, invasive)
