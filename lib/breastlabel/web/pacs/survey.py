"""Goes through a PACS, studies to series to instances, and has what is new fetched."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import date, timedelta

from breastlabel.web.pacs.client import Found, PacsClient, Place
from breastlabel.web.pacs.departures import Departures
from breastlabel.web.pacs.errors import PacsMissingError, PacsObjectError
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
_DUE = 100
#: Of the studies that a listing of all has no more, so many are looked at in each look.
_UNLISTED = 20


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
        self._departures = Departures(client, known, intake)
        self._asked_for: set[str] = set()

    def look(self, *, everything: bool) -> float:
        """Take in what is new, and let go of what is gone.

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
            self._look_at_study(found.uid, _size(found))
            self._progress(len(studies), len(changed) - number - 1)
        if everything:
            self._look_at_unlisted({found.uid for found in studies})
        for uid in self._known.longest_unseen(before=time.time() - _AGAIN_AFTER, most=_AGAIN):
            self._look_at_study(uid, self._known.study_size(uid), again=True)
        for place in self._known.due(time.time(), most=_DUE):
            state = self._known.state(place.instance)
            if state is State.OWED:
                self._intake.deliver(place)
            elif state in (State.IMAGE, State.RESULT):
                self._departures.settle(place)
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

    def _look_at_unlisted(self, listed: set[str]) -> None:
        """Look once at each study that is not listed: deleted, or only too old or not wanted now."""
        unlisted = self._known.studies() - listed
        self._asked_for &= unlisted
        for uid in sorted(unlisted - self._asked_for)[:_UNLISTED]:
            try:
                series = self._client.series(uid)
            except PacsMissingError:
                series = []
            if series:
                self._asked_for.add(uid)
            self._look_through(uid, self._known.study_size(uid), series, again=True)

    def _look_at_study(self, study: str, size: StudySize, *, again: bool = False) -> None:
        try:
            series = self._client.series(study)
        except PacsMissingError:
            # A list that is refused misses nothing. Whether the study is listed tells the next look at all.
            self._known.note_study(study, self._known.study_size(study), at=time.time())
        else:
            self._look_through(study, size, series, again=again)

    def _look_through(self, study: str, size: StudySize, series: list[Found], *, again: bool) -> None:
        held = self._known.held(study)
        images = [s for s in series if s.modality in self._settings.modalities]
        # After the images that they are about.
        results = [s for s in series if s.modality in RESULT_MODALITIES and s not in images]
        for found in images + results:
            is_same = found.instances is not None and self._known.series_size(found.uid) == found.instances
            if again or not is_same:
                self._look_at_series(study, found, held)
        there = {found.uid for found in series}
        self._departures.missed(place for place in held if place.series not in there)
        if series or held:
            self._known.note_study(study, size, at=time.time())
        else:
            self._known.forget_study(study)

    def _look_at_series(self, study: str, series: Found, held: list[Place]) -> None:
        try:
            instances = {found.uid: found for found in self._client.instances(study, series.uid)}
        except PacsMissingError:
            return
        self._departures.missed(
            place for place in held if place.series == series.uid and place.instance not in instances
        )
        are_images = series.modality in self._settings.modalities
        for uid in self._known.unknown(series.uid, instances):
            place = Place(study, series.uid, uid)
            if are_images and instances[uid].frames > 1:
                self._intake.leave(place, SEVERAL_FRAMES)
            else:
                self._fetch(place)
        self._known.note_series(study, series.uid, series.instances)

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
