from datetime import UTC, datetime, timedelta

import pytest

from breastlabel.catalog import First
from breastlabel.catalog.sessions import touch_session


def test_a_session_goes_on_while_the_client_is_heard_from(catalog, add):
    add("ab")
    catalog.sessions.touch("slicer")
    catalog.leases.acquire("slicer", First(), strategy="first", author="anna")
    catalog.labels.save("a", b"x", client_id="slicer", author="anna")
    catalog.labels.save("b", b"x", client_id="slicer")
    catalog.sessions.touch("ohif", "ben")
    anna, ben = catalog.sessions.list()
    assert (anna.client_id, anna.author, anna.n_saved) == ("slicer", "anna", 2)
    assert (ben.client_id, ben.author, ben.n_saved) == ("ohif", "ben", 0)
    assert anna.started_at < anna.last_seen_at


@pytest.mark.parametrize(("minutes", "sessions"), [(29, 1), (31, 2)])
def test_a_session_ends_after_half_an_hour_of_silence(catalog, minutes, sessions):
    before = datetime.now(UTC) - timedelta(minutes=minutes)
    with catalog.database.write() as connection:
        touch_session(connection, catalog.database, "slicer", "anna", saved=1, now=before)
    catalog.sessions.touch("slicer", "anna")
    assert [s.n_saved for s in catalog.sessions.list()] == [1, 0][:sessions]


def test_another_reader_at_the_same_client_begins_another_session(catalog):
    for author in ("anna", "ben", None, "anna"):
        catalog.sessions.touch("slicer", author)
    assert [s.author for s in catalog.sessions.list()] == ["anna", "ben", "anna"]


def test_who_is_nobody_has_no_session(catalog, add):
    add("a")
    catalog.labels.save("a", b"x", author="anna")
    assert catalog.sessions.list() == []
