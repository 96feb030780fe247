"""What was seen in a PACS, and what follows from it for the next look."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from breastlabel.errors import StudiesError
from breastlabel.web.pacs.client import Found, Place
from breastlabel.web.pacs.errors import PacsAwayError, PacsObjectError
from breastlabel.web.pacs.known import Known, State, StudySize
from breastlabel.web.pacs.mirror import Mirror
from breastlabel.web.pacs.settings import pacs_settings
from breastlabel.web.pacs.survey import Stopped, Survey

STUDIES = 12_500
PLACE = Place("1.1", "1.2", "1.3")


@pytest.fixture
def known(tmp_path: Path):
    notes = Known(tmp_path / "pacs.sqlite3", wanted="MG,US")
    yield notes
    notes.close()


def test_a_study_is_unchanged_while_it_is_as_large(known: Known) -> None:
    known.note_study("1.1", StudySize(4, 1), at=1.0)
    assert known.is_unchanged("1.1", StudySize(4, 1))
    assert not known.is_unchanged("1.1", StudySize(5, 1))
    assert not known.is_unchanged("1.1", StudySize(4, 2))
    # A PACS that does not say how large a study is has to be asked.
    known.note_study("1.2", StudySize(None, 1), at=1.0)
    assert not known.is_unchanged("1.2", StudySize(None, 1))
    assert known.longest_unseen(before=2.0, most=1) == ["1.1"]
    assert known.longest_unseen(before=1.0, most=9) == []


def test_notes_outlast_the_program_until_something_else_is_wanted(known: Known) -> None:
    known.note_study("1.1", StudySize(4, 1), at=1.0)
    known.note_series("1.1", "1.2", 4)
    known.note(PLACE, State.LEFT, reason="a still is required")
    known.close()
    again = Known(known.file, wanted="MG,US")
    assert again.is_unchanged("1.1", StudySize(4, 1))
    assert again.series_size("1.2") == 4
    again.close()
    more = Known(known.file, wanted="CR,MG,US")
    assert not more.is_unchanged("1.1", StudySize(4, 1))
    assert more.series_size("1.2") is None
    assert more.state("1.3") is State.LEFT
    assert more.reasons() == {"a still is required": 1}
    more.close()


def test_an_object_that_is_not_given_is_asked_for_ever_more_seldom(known: Known) -> None:
    now, pauses = 1000.0, []
    for _ in range(7):
        known.note_failure(PLACE, "the PACS said 500", at=now)
        due = next(t for t in (60, 600, 3600, 21600, 86400) if known.due(now + t, most=9))
        assert known.due(now + due - 1, most=9) == []
        pauses.append(due)
        now += due
    assert pauses == [60, 600, 3600, 21600, 86400, 86400, 86400]
    assert known.unknown("1.2", ["1.3", "1.4"]) == ["1.4"]
    known.note(PLACE, State.IMAGE)
    assert known.due(now * 10, most=9) == []
    assert known.place("1.3") == PLACE


def test_notes_that_are_damaged_say_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "pacs.sqlite3"
    file.write_bytes(b"no database" * 100)
    with pytest.raises(StudiesError, match="remove it, and the PACS is looked through anew"):
        Known(file, wanted="MG")


class Fakes:
    """A PACS that answers from a list, and an intake that keeps nothing."""

    def __init__(self, studies: list[Found]) -> None:
        self.listed = studies
        self.filters: list[dict[str, str]] = []
        self.asked: list[str] = []
        self.fetched: list[Place] = []
        self.gives = True
        self.denied: set[str] = set()
        self.removed: list[Place] = []

    def studies(self, filters: dict[str, str]) -> list[Found]:
        self.filters.append(filters)
        return self.listed if filters["ModalitiesInStudy"] == "MG" else []

    def series(self, study: str) -> list[Found]:
        self.asked.append(study)
        return [Found(f"{study}.1", "SEG", 1), Found(f"{study}.2", "MG", 2), Found(f"{study}.3", "PR", 1)]

    def instances(self, study: str, series: str) -> list[Found]:
        count = 1 if series.endswith(".1") else 2
        return [Found(f"{series}.{i}") for i in range(count)]

    def retrieve(self, place: Place) -> bytes:
        if not self.gives:
            raise PacsObjectError("the PACS said 500")
        return b"dicom"

    def has(self, place: Place) -> bool:
        return place.instance not in self.denied

    def remove(self, place: Place) -> None:
        self.removed.append(place)

    def is_known(self, place: Place) -> bool:
        return False

    def require_space(self, wanted: int) -> None:
        pass

    def take(self, place: Place, data: bytes, *, origin: str) -> State:
        assert (data, origin) == (b"dicom", "pacs")
        self.fetched.append(place)
        return State.IMAGE


def survey(fakes: Fakes, known: Known, **environment: str) -> Survey:
    env = {f"BREASTLABEL_PACS_{name}": value for name, value in environment.items()}
    settings = pacs_settings("https://pacs.example.org/dicom-web", env)
    return Survey(settings, fakes, known, fakes, stopping=threading.Event(), progress=lambda *_: None)  # type: ignore[arg-type]


def test_images_come_before_the_results_that_are_about_them(known: Known) -> None:
    fakes = Fakes([Found("1.1", instances=4, series=3)])
    survey(fakes, known).look(everything=True)
    assert [place.series for place in fakes.fetched] == ["1.1.2", "1.1.2", "1.1.1"]


def test_what_is_asked_for_is_bounded_by_days_and_by_keys(known: Known) -> None:
    fakes = Fakes([])
    survey(fakes, known).look(everything=True)
    assert fakes.filters == [{"ModalitiesInStudy": "MG"}, {"ModalitiesInStudy": "US"}]
    fakes.filters.clear()
    survey(fakes, known, DAYS="30", FILTER="StudyDescription=*mamm*", MODALITIES="US").look(everything=True)
    (asked,) = fakes.filters
    since = time.strftime("%Y%m%d", time.localtime(time.time() - 30 * 86400))
    assert asked == {"StudyDescription": "*mamm*", "StudyDate": f"{since}-", "ModalitiesInStudy": "US"}
    fakes.filters.clear()
    survey(fakes, known, MODALITIES="US").look(everything=False)
    assert fakes.filters[0]["StudyDate"] > since


def test_a_large_archive_at_rest_is_listed_and_nothing_more(known: Known) -> None:
    listed = [Found(f"1.{number}", instances=4, series=3) for number in range(1, STUDIES + 1)]
    known._connection.execute("BEGIN")
    known._connection.executemany(
        "INSERT INTO studies VALUES (?, 4, 3, ?)", [(found.uid, time.time()) for found in listed]
    )
    # As many objects as that are four a study.
    known._connection.executemany(
        "INSERT INTO objects VALUES (?, ?, ?, 'image', NULL, 0, NULL)",
        [(f"{found.uid}.2.{i}", f"{found.uid}.2", found.uid) for found in listed for i in range(4)],
    )
    known._connection.execute("COMMIT")
    known.close()
    again = Known(known.file, wanted="MG,US")
    fakes = Fakes(listed)
    began = time.process_time()
    survey(fakes, again).look(everything=True)
    took = time.process_time() - began
    assert fakes.asked == []
    assert took < 0.5
    # One study grew: only that one is asked for.
    fakes.listed = [*listed[:-1], listed[-1]._replace(instances=5)]
    survey(fakes, again).look(everything=True)
    assert fakes.asked == [listed[-1].uid]
    again.close()


def test_a_study_that_seems_unchanged_is_looked_through_now_and_then(known: Known) -> None:
    fakes = Fakes([Found("1.1", instances=4, series=3)])
    known.note_study("1.1", StudySize(4, 3), at=time.time() - 3600)
    survey(fakes, known).look(everything=True)
    survey(fakes, known).look(everything=True)
    assert fakes.asked == ["1.1"]
    assert len(fakes.fetched) == 3


def test_one_object_that_is_not_given_holds_up_no_other(known: Known) -> None:
    fakes = Fakes([Found("1.1", instances=4, series=3)])
    fakes.gives = False
    survey(fakes, known).look(everything=True)
    assert known.is_unchanged("1.1", StudySize(4, 3))
    assert known.reasons() == {"the PACS said 500": 3}
    fakes.gives = True
    known._connection.execute("UPDATE objects SET again_at = 1")
    survey(fakes, known).look(everything=True)
    assert len(fakes.fetched) == 3


def test_a_pacs_that_goes_away_meanwhile_leaves_the_study_for_the_next_look(known: Known) -> None:
    fakes = Fakes([Found("1.1", instances=4, series=3)])

    def away(place: Place) -> bytes:
        raise PacsAwayError("down")

    fakes.retrieve = away  # type: ignore[method-assign]
    with pytest.raises(PacsAwayError):
        survey(fakes, known).look(everything=True)
    assert not known.is_unchanged("1.1", StudySize(4, 3))
    assert known.unknown("1.1.2", ["1.1.2.0"]) == ["1.1.2.0"]


def test_a_look_ends_soon_when_the_server_does(known: Known) -> None:
    fakes = Fakes([Found("1.1", instances=4, series=3)])
    look = survey(fakes, known)
    look._stopping.set()
    with pytest.raises(Stopped):
        look.look(everything=True)
    assert fakes.fetched == []


def test_the_longer_a_listing_takes_the_more_seldom_it_comes(known: Known, monkeypatch) -> None:
    fakes = Fakes([])
    fakes.taken = None  # type: ignore[attr-defined]
    settings = pacs_settings("https://pacs.example.org/dicom-web", {"BREASTLABEL_PACS_INTERVAL": "30"})
    mirror = Mirror(settings, fakes, known, fakes)  # type: ignore[arg-type]
    looks: list[bool] = []

    def look(*, everything: bool) -> float:
        looks.append(everything)
        return took

    monkeypatch.setattr(mirror._survey, "look", look)
    now = 1000.0
    monkeypatch.setattr("breastlabel.web.pacs.mirror.time.monotonic", lambda: now)
    # A listing of one second does not need to be spared at an interval of thirty.
    took = 1.0
    for _ in range(3):
        mirror.poll()
        now += 30
    assert looks == [True] * 3
    # One of a minute comes every twenty minutes; in between, recent studies are looked at.
    looks.clear()
    took = 60.0
    for _ in range(40):
        mirror.poll()
        now += 30
    assert looks == [True] + [False] * 38 + [True]
    mirror.wake()
    mirror.poll()
    assert looks[-1]
