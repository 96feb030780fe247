"""What annotators wait for costs the same with many images as with few: every row is found by an index."""

import re
from dataclasses import replace

import pytest
from sqlalchemy import event

from breastlabel.catalog import ByScore, Catalog, First, RandomOrder, Revisit
from breastlabel.catalog.unreadable import offer_changed_again
from breastlabel.imaging import Modality

BALD = ByScore("bald", "ultrasound", "1")
REVISIT = Revisit("ultrasound", "1")
# A handful of rows, however many images there are.
SMALL = ("counts",)


@pytest.fixture
def catalog(tmp_path, record):
    with Catalog(f"sqlite:///{tmp_path / 'c.sqlite3'}", studies=tmp_path) as opened:
        opened.add_images(record(f"i{n}") for n in range(20))
        opened.scores.write("bald", "ultrasound", "1", {f"i{n}": n for n in range(10)})
        for n in range(5):
            opened.labels.save(f"i{n}", b"x", author="anna")
        opened.scores.write("revisit", "ultrasound", "1", {f"i{n}": n for n in range(3)})
        yield opened


@pytest.fixture
def plans(catalog):
    """Runs an act and explains every statement it executed: SQL -> steps."""

    def explain(act):
        executed = []

        def note(_connection, _cursor, sql, parameters, _context, _many):
            if sql.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE"):
                executed.append((sql, parameters))

        event.listen(catalog.database.engine, "before_cursor_execute", note)
        act()
        event.remove(catalog.database.engine, "before_cursor_execute", note)
        with catalog.database.read() as connection:
            return {
                sql: [
                    row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
                ]
                for sql, parameters in executed
            }

    return explain


def costly(steps):
    scanned = [re.match(r"SCAN (\w+)$", step) for step in steps]
    return [m.string for m in scanned if m and m[1] not in SMALL] + [s for s in steps if "TEMP B-TREE" in s]


ACTS = {
    "first": lambda c: c.leases.acquire("ben", First(), strategy="s", author="ben"),
    "random": lambda c: c.leases.acquire("ben", RandomOrder(), strategy="s", author="ben"),
    "by score": lambda c: c.leases.acquire("ben", BALD, strategy="s", author="ben"),
    "by score, of a modality": lambda c: c.leases.acquire(
        "ben", replace(BALD, modality=Modality.US), strategy="s", author="ben"
    ),
    "revisit": lambda c: c.leases.acquire("ben", REVISIT, strategy="s", author="ben"),
    "revisit ones own": lambda c: c.leases.acquire("anna", REVISIT, strategy="s", author="anna"),
    "save": lambda c: c.labels.save("i7", b"x", author="ben", client_id="ben"),
    "reject": lambda c: c.labels.set_state("i1", 1, "rejected"),
    "remove": lambda c: c.labels.remove("i1", "final"),
    "exclude": lambda c: c.exclude("i8", "unreadable"),
    "look at unreadable ones": offer_changed_again,
    "score": lambda c: c.scores.write("bald", "ultrasound", "1", {"i9": 0.5}),
    "scores of": lambda c: c.scores.of("i9"),
    "counts": lambda c: c.counts(),
    "current": lambda c: c.labels.current("i1"),
    "history": lambda c: c.labels.history("i1"),
    "unmeasured": lambda c: c.labels.without_agreement(10),
    "agreement": lambda c: c.labels.set_agreement(1, {"dice": 1.0}),
    "audit": lambda c: c.audit.entries("i1"),
    "live leases": lambda c: c.leases.live(),
    "image": lambda c: c.image("i1"),
    "images of a patient": lambda c: c.images_of_patient("p-i1"),
    "note": lambda c: c.update_image_info("i1", {"seen": True}),
}


@pytest.mark.parametrize("act", ACTS)
def test_no_table_is_scanned_and_nothing_is_sorted(catalog, plans, act):
    explained = plans(lambda: ACTS[act](catalog))
    assert explained
    assert {sql: steps for sql, steps in explained.items() if costly(steps)} == {}


def test_a_scan_would_be_noticed(plans, catalog):
    explained = plans(lambda: catalog.images(include_excluded=False))
    assert explained
    assert any("SCAN images" in step for steps in explained.values() for step in steps)
    assert costly(["SCAN images"])
    assert costly(["USE TEMP B-TREE FOR ORDER BY"])


def test_the_best_image_is_the_first_entry_of_the_index(catalog, plans):
    steps = [s for steps in plans(lambda: ACTS["by score"](catalog)).values() for s in steps]
    assert any("COVERING INDEX ix_scores_rank (run_id=? AND waiting=?)" in step for step in steps)


def test_a_save_takes_few_statements(catalog, plans):
    catalog.sessions.touch("slicer")
    # Image, versions, lease, label, image, scores, counts, session, audit; then: is it still the newest?
    assert len(plans(lambda: catalog.labels.save("i12", b"x", client_id="slicer"))) == 10
