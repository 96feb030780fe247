"""Segmentations that readers store in any viewer become label versions.

Every SEG that refers to images of the catalog and was not written by us is taken, once: by the DICOMweb of a
folder, from a PACS, or from a program that sends it here. What is refused changes nothing. What is not
understood is kept and asked about. `readings_of` says which images get a version.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from breastlabel.catalog.kept_segmentation import KeptSegmentation, Status
from breastlabel.catalog.label_version import LabelVersion
from breastlabel.errors import InvalidImageError, InvalidLabelError, NotFoundError
from breastlabel.findings.dicom_identity import is_our_uid, is_ours
from breastlabel.findings.dicom_seg_parts import Segment, refused
from breastlabel.findings.dicom_seg_reading import (
    SegmentationContent,
    is_segmentation,
    read_header,
    read_segmentation,
)
from breastlabel.findings.segment_names import Meaning, display_names, meaning_of, name_key, read_meanings
from breastlabel.imaging.dicom_values import text
from breastlabel.label.caller import caller
from breastlabel.label.errors import BadRequestError, ConflictError
from breastlabel.web.dicomweb.received import NOT_UNDERSTOOD, RefusedError
from breastlabel.web.seg_file import parse_segmentation, part10
from breastlabel.web.seg_notes import creator, seg_notes
from breastlabel.web.seg_readings import headers_of, readings_of, unknown_segments
from breastlabel.web.seg_result import IntakeResult, result_of
from breastlabel.web.seg_sources import Source, UnknownSourceError, find_sources

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.label.app import BreastLabelApp

__all__ = ["IntakeResult", "SegIntake"]

logger = logging.getLogger(__name__)


class SegIntake:
    """Takes segmentations in. Threads and processes may take the same one at once."""

    def __init__(self, app: BreastLabelApp) -> None:
        self._app = app
        self._questions = app.catalog.questions

    def on_received(self, dataset: Dataset) -> None:
        """What the archive of a folder calls with each dataset before it keeps it.

        Raises:
            RefusedError: it is a segmentation that is wrong in itself, or for its image.
        """
        if is_segmentation(dataset) and (result := self.take_stored(dataset)).at_fault:
            raise RefusedError(NOT_UNDERSTOOD, str(result.reason), dataset)

    def on_stored(self, dataset: Dataset) -> None:
        """What the archive calls with each dataset that was stored: a segmentation, or an image of one.

        A segmentation that came before its image was refused; it is looked at again when the image is there.
        """
        if is_segmentation(dataset):
            self.take_stored(dataset)
            return
        study = text(dataset, "StudyInstanceUID")
        for instance in self._app.catalog.dicom.find(study=study, modality="SEG") if study else ():
            if not is_our_uid(uid := instance.sop_instance_uid) and self._questions.find(uid) is None:
                self.take(self._app.archive.dataset(uid))

    def take_stored(self, dataset: Dataset) -> IntakeResult:
        """`take` of what came without a word about it."""
        who = caller()
        # Outside a request, as from a PACS, there is no client to whom a lease could belong.
        return self.take(dataset, client_id=who.client_id() if who.host or who.user else None)

    def take(
        self,
        dataset: Dataset,
        *,
        client_id: str | None = None,
        author: str | None = None,
        info: Mapping[str, Any] | None = None,
        seconds_spent: float | None = None,
        segments: Mapping[str, object] | None = None,
        complete: bool = False,
    ) -> IntakeResult:
        """Make label versions of a segmentation: of all its images, or of none.

        Args:
            author: who drew it. A login's user comes first, and where nobody is named, who the object says.
            info: what else the reader said, such as ``birads`` and ``lesion_type``.
            seconds_spent: on all its images, which share it.
            segments: what its segments mean: name -> ``benign``, ``malignant`` or ``ignore``.
            complete: the reader looked at every image that it has frames of.

        Raises:
            UnknownNameError: a meaning that there is not.
            StudiesError: the catalog cannot be written.
            OSError: the disk is full; nothing was recorded.
        """
        told = read_meanings(segments or {})
        at_fault = True
        try:
            if is_ours(dataset):
                return IntakeResult("known", reason="it is one of ours")
            header = read_header(dataset)
            kept = self._questions.find(header.sop_instance_uid)
            if kept is not None and (kept.status is not Status.QUESTION or not told):
                return result_of(kept, known=True)
            sources = find_sources(self._app, dataset, header)
            content = read_segmentation(dataset, headers_of(sources), header=header)
            # It is sound and lies on its images, whatever it shows.
            at_fault = False
            if kept is not None:
                who_sent = {"author": author, "client_id": client_id}
                return self._answer(kept, dataset, content, sources, told, who=who_sent, remember=False)
            notes: dict[str, Any] = {
                "notes": seg_notes(dataset, info or {}),
                "seconds_spent": seconds_spent,
                "complete": complete,
            }
            first = next(iter(sources.values()))
            who = caller().author({"author": author}) or creator(dataset, first.header)
            meanings = self._meanings(content, told)
            unknown = unknown_segments(content, meanings)
            if unknown:
                return self._ask(dataset, content, sources, unknown, who, client_id, notes)
            readings = readings_of(dataset, content, sources, meanings, notes)
            if not readings:
                raise refused(
                    "a painted lesion", "all that is painted is to be ignored", "paint one, or nothing"
                )
            found, versions = self._questions.save(
                header.sop_instance_uid, readings, author=who, client_id=client_id, info=notes["notes"]
            )
            self._measure(versions)
            return result_of(found, known=not versions)
        except InvalidLabelError as error:
            # Its text holds numbers and nothing else of the object.
            logger.warning("a segmentation was refused: %s", error)
            at_fault &= not isinstance(error, UnknownSourceError)
            return IntakeResult("refused", reason=str(error), at_fault=at_fault)
        except (InvalidImageError, NotFoundError):
            # These may name a file.
            reason = (
                "an image that can be read is required; the segmentation's is gone or damaged; restore it"
            )
            logger.warning("a segmentation was refused: %s", reason)
            return IntakeResult("refused", reason=reason)

    def answer(
        self,
        question_id: int,
        segments: Mapping[str, object],
        *,
        author: str | None = None,
        client_id: str | None = None,
        remember: bool = False,
    ) -> IntakeResult:
        """Answer what is asked about a segmentation, which then becomes label versions.

        Args:
            segments: name, as asked -> ``benign``, ``malignant`` or ``ignore``.
            author: who answers; a login's user comes first.
            client_id: through which client.
            remember: it counts from now on for every segment of such a name.

        Raises:
            NotFoundError: no such question, or its segmentation's file is gone.
            ConflictError: it is answered already.
            BadRequestError: a segment is left out.
            UnknownNameError: a meaning that there is not.
            InvalidLabelError: its image is another one now.
        """
        kept = self._questions.get(question_id)
        if kept.status is not Status.QUESTION or kept.file is None:
            raise ConflictError("an open question is required; this one is answered; list the questions")
        told = read_meanings(segments)
        missing = [s["name"] for s in kept.segments if name_key(str(s["name"])) not in told]
        if missing:
            raise BadRequestError(
                f"a meaning for each segment that is asked about is required; {len(missing)} of "
                f"{len(kept.segments)} have none; answer all of them"
            )
        dataset = parse_segmentation(self._questions.files.read(kept.file))
        sources = find_sources(self._app, dataset, header := read_header(dataset))
        content = read_segmentation(dataset, headers_of(sources), header=header)
        who = {"author": author, "client_id": client_id}
        return self._answer(kept, dataset, content, sources, told, who=who, remember=remember)

    def _answer(
        self,
        kept: KeptSegmentation,
        dataset: Dataset,
        content: SegmentationContent,
        sources: Mapping[str, Source],
        told: Mapping[str, Meaning],
        *,
        who: Mapping[str, str | None],
        remember: bool,
    ) -> IntakeResult:
        meanings = self._meanings(content, told)
        if unknown_segments(content, meanings):
            return result_of(kept)
        asked = {name_key(str(s["name"])): s for s in kept.segments}
        answered = {key: meaning for key, meaning in told.items() if key in asked}
        found, versions = self._questions.answer(
            kept,
            readings_of(dataset, content, sources, meanings, kept.info),
            {str(asked[key]["name"]): str(meaning) for key, meaning in answered.items()},
            answered_by=caller().author(who),
            client_id=caller().client_id(who),
            remember={key: str(meaning) for key, meaning in answered.items()} if remember else {},
        )
        self._measure(versions)
        return result_of(found)

    def _ask(
        self,
        dataset: Dataset,
        content: SegmentationContent,
        sources: Mapping[str, Source],
        unknown: list[Segment],
        author: str | None,
        client_id: str | None,
        notes: Mapping[str, Any],
    ) -> IntakeResult:
        names = display_names(content.header.segments)
        kept = self._questions.ask(
            content.header.sop_instance_uid,
            part10(dataset),
            segments=[
                {
                    "name": names[segment.number],
                    "type": segment.meaning or None,
                    "colour": segment.rgb,
                    "image_ids": sorted(
                        sources[uid].image_id
                        for uid, numbers in content.painted.items()
                        if segment.number in numbers
                    ),
                }
                for segment in unknown
            ],
            image_ids=[source.image_id for source in sources.values()],
            author=author,
            client_id=client_id,
            info=notes,
        )
        logger.info("a segmentation waits for what %d of its segments mean", len(unknown))
        return result_of(kept)

    def _meanings(
        self, content: SegmentationContent, told: Mapping[str, Meaning]
    ) -> dict[int, Meaning | None]:
        segments = content.header.segments
        names = display_names(segments)
        remembered = {key: Meaning(value) for key, value in self._questions.meanings().items()}
        return {s.number: meaning_of(s, names[s.number], told=told, remembered=remembered) for s in segments}

    def _measure(self, versions: list[LabelVersion]) -> None:
        for version in versions:
            self._app.corrections.submit(version)
