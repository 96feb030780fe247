"""Goes through a PACS, studies to series to instances, and has what is new fetched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date, timedelta

from breastlabel.web.pacs.client import Found, PacsClient, Place
from breastlabel.web.pacs.errors import PacsObjectError
from breastlabel.web.pacs.intake import RESULT_MODALITIES, SEVERAL_FRAMES, Intake
from breastlabel.web.pacs.known import Known, State, StudySize
from breastlabel.web.pacs.settings import PacsSettings

__all__ = ["Stopped", "Survey"]

#: Between two looks at all studies, those of so many days are looked at.
_RECENT_DAYS = 7
#: Studies that seem unchanged are looked through again all the same, a few at a time: an object that came for
#: one that went leaves the numbers as they were.
_AGAIN, _AGAIN_AFTER = 4, 600.0
#: Objects that the PACS did not give are asked for again, so many at a time.
_DUE = 20


class Stopped(Exception):  # noqa: N818
    """The mirror is being stopped."""


class Survey:
    """One look after another. Only what changed is asked for: at rest, a look costs a search a modality."""

    def __init__(
        self,
        settings: PacsSettings,
        client: PacsClient,
        known: Known,
        intake: Intake,
        *,
        stopping: threading.Event,
        progress: Callable[[int, int], None],
    ) -> None:
        self._settings, self._client, self._known, self._intake = settings, client, known, intake
        self._stopping, self._progress = stopping, progress

    def look(self, *, everything: bool) -> float:
        """Take in what is new.

        Args:
            everything: look at all studies that are wanted, not at the recent ones alone.

        Returns:
            Seconds that the PACS took to list the studies.

        Raises:
            PacsError: the PACS is away, or lets nobody in.
            OSError: the disk is full.
            Stopped: the mirror is being stopped.
        """
        began = time.monotonic()
        studies = self._studies(everything=everything)
        took = time.monotonic() - began
        changed = [found for found in studies if not self._known.is_unchanged(found.uid, _size(found))]
        self._progress(len(studies), len(changed))
        for number, found in enumerate(changed):
            self._look_at_study(found.uid)
            self._known.note_study(found.uid, _size(found), at=time.time())
            self._progress(len(studies), len(changed) - number - 1)
        for uid in self._known.longest_unseen(before=time.time() - _AGAIN_AFTER, most=_AGAIN):
            self._look_at_study(uid, again=True)
            self._known.note_study(uid, self._known.study_size(uid), at=time.time())
        for place in self._known.due(time.time(), most=_DUE):
            if self._known.state(place.instance) is State.OWED:
                self._intake.deliver(place)
            else:
                self._fetch(place)
        return took

    def _studies(self, *, everything: bool) -> list[Found]:
        """Each once, the newest dates not necessarily first."""
        days = self._settings.days
        if not everything:
            days = _RECENT_DAYS if days is None else min(days, _RECENT_DAYS)
        filters = dict(self._settings.filters)
        if days is not None:
            filters["StudyDate"] = f"{date.today() - timedelta(days=days):%Y%m%d}-"
        found: dict[str, Found] = {}
        for modality in self._settings.modalities:
            for study in self._client.studies({**filters, "ModalitiesInStudy": modality}):
                found[study.uid] = study
        return list(found.values())

    def _look_at_study(self, study: str, *, again: bool = False) -> None:
        series = self._client.series(study)
        images = [s for s in series if s.modality in self._settings.modalities]
        # After the images that they are about.
        results = [s for s in series if s.modality in RESULT_MODALITIES and s not in images]
        for found in images + results:
            is_same = found.instances is not None and self._known.series_size(found.uid) == found.instances
            if again or not is_same:
                self._look_at_series(study, found, are_images=found.modality in self._settings.modalities)
                self._known.note_series(study, found.uid, found.instances)

    def _look_at_series(self, study: str, series: Found, *, are_images: bool) -> None:
        instances = {found.uid: found for found in self._client.instances(study, series.uid)}
        for uid in self._known.unknown(series.uid, instances):
            place = Place(study, series.uid, uid)
            if are_images and instances[uid].frames > 1:
                self._intake.leave(place, SEVERAL_FRAMES)
            else:
                self._fetch(place)

    def _fetch(self, place: Place) -> None:
        if self._stopping.is_set():
            raise Stopped
        if self._intake.is_known(place):
            return
        self._intake.require_space(0)
        try:
            data = self._client.retrieve(place)
        except PacsObjectError as error:
            self._known.note_failure(place, str(error), at=time.time())
            return
        self._intake.take(place, data, origin="pacs")


def _size(found: Found) -> StudySize:
    return StudySize(found.instances, found.series)
