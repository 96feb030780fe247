from __future__ import annotations

import time

import pytest
from sqlalchemy import event

from breastlabel.catalog import ByScore, Catalog, First, RandomOrder, Revisit
from breastlabel.catalog.case_labels import shown_labels
from breastlabel.catalog.case_leases import lease_case, questioned_cases, release_cases
from breastlabel.catalog.case_order import CaseCounts, CaseList, CaseStatus, case_page, open_keys
from breastlabel.catalog.cases import (
    key_of_case_id,
    key_of_image,
    leased_cases,
    load_cases,
    prior_cases,
)
from breastlabel.imaging import Modality

from .conftest import make_record

BALD = ByScore("bald", "ultrasound", "1")
MG_BALD = ByScore("bald", "mammography", "7")


@pytest.fixture
def exam(catalog, record):
    """Adds the images of one exam: ids <name>-0, <name>-1, ..."""

    def add_exam(name, n=2, day="2026-03-01", patient=None, **changes):
        patient = patient or f"p-{name}"
        catalog.add_images(
            record(
                f"{name}-{i}",
                study_key=f"study-{name}",
                patient_key=patient,
                group=patient,
                metadata={"acquired": day},
                **changes,
            )
            for i in range(n)
        )

    return add_exam


def keys(catalog, *orders, offset=0, limit=50, **listed):
    with catalog.database.read() as connection:
        page = case_page(connection, CaseList(orders or (First(),), **listed), offset=offset, limit=limit)
    return [place.key for place in page]


def busy(catalog):
    with catalog.database.read() as connection:
        return {
            CaseStatus.READING: list(leased_cases(connection)),
            CaseStatus.QUESTION: questioned_cases(connection),
        }


def test_an_exams_images_are_one_case_and_an_image_without_exam_is_one(catalog, exam, add):
    exam("x", 3)
    add(["alone"])
    assert keys(catalog) == ["i:alone", "e:study-x"]
    with catalog.database.read() as connection:
        cases = load_cases(connection, ["e:study-x", "i:alone", "e:none"])
    assert [[i.image_id for i in case.images] for case in cases.values()] == [
        ["x-0", "x-1", "x-2"],
        ["alone"],
    ]
    assert [str(case.acquired) for case in cases.values()] == ["2026-03-01", "None"]


def test_a_case_id_leads_back_to_its_case_and_holds_nothing_of_it(catalog, exam):
    exam("smith")
    with catalog.database.read() as connection:
        (case,) = load_cases(connection, ["e:study-smith"]).values()
        assert key_of_case_id(connection, case.case_id) == "e:study-smith"
        assert key_of_image(connection, "smith-1") == "e:study-smith"
        for other in ("", "x", "é" * 11, "A" * 11, "_" * 11, "A" * 4000, case.case_id[:-1], "../../x"):
            assert key_of_case_id(connection, other) is None
    assert len(case.case_id) == 11
    assert case.case_id.replace("-", "").replace("_", "").isalnum()


def test_an_id_that_a_case_had_before_an_image_joined_it_still_leads_to_it(catalog, exam):
    exam("x", 1)
    with catalog.database.read() as connection:
        before = load_cases(connection, ["e:study-x"])["e:study-x"].case_id
    exam("x", 40)
    with catalog.database.read() as connection:
        assert key_of_case_id(connection, before) == "e:study-x"


def test_a_case_comes_where_its_best_image_comes(catalog, exam, add):
    exam("low")
    exam("high")
    add(["between", "unscored"])
    catalog.scores.write(
        "bald", "ultrasound", "1", {"low-0": 0.1, "low-1": 0.2, "high-0": 0.05, "high-1": 0.9, "between": 0.5}
    )
    assert keys(catalog, BALD) == ["e:study-high", "i:between", "e:study-low", "i:unscored"]
    with catalog.database.read() as connection:
        page = case_page(connection, CaseList((BALD,)), limit=2)
    assert [(p.image_id, p.value) for p in page] == [("high-1", 0.9), ("between", 0.5)]


def test_pages_of_a_list_follow_each_other(catalog, add, exam):
    add([f"i{n:03}" for n in range(20)])
    exam("x", 5)
    catalog.scores.write("bald", "ultrasound", "1", {f"i{n:03}": n for n in range(7)})
    for order in (First(), RandomOrder(), BALD):
        whole = keys(catalog, order)
        assert len(whole) == len(set(whole)) == 21
        assert [key for at in range(0, 25, 4) for key in keys(catalog, order, offset=at, limit=4)] == whole


def test_scores_of_both_modalities_are_merged_and_filtered(catalog, exam, add):
    exam("mammogram", modality=Modality.MG)
    add(["sono", "dull"])
    catalog.scores.write("bald", "ultrasound", "1", {"sono": 0.4, "dull": 0.1})
    catalog.scores.write("bald", "mammography", "7", {"mammogram-1": 0.3})
    assert keys(catalog, BALD, MG_BALD) == ["i:sono", "e:study-mammogram", "i:dull"]
    assert keys(catalog, MG_BALD, modality=Modality.MG) == ["e:study-mammogram"]
    assert keys(catalog, BALD, modality=Modality.US) == ["i:sono", "i:dull"]


def test_a_case_waits_until_all_that_a_model_may_judge_is_labelled(catalog, exam, record):
    exam("x")
    catalog.add_images(
        [
            record(
                "x-spot",
                study_key="study-x",
                metadata={"not_analysable": "spot view", "acquired": "2026-03-01"},
            )
        ]
    )
    catalog.labels.save("x-0", b"x")
    assert keys(catalog) == ["e:study-x"]
    assert keys(catalog, status=CaseStatus.READ) == []
    catalog.labels.save("x-1", b"x")
    assert keys(catalog) == []
    assert keys(catalog, status=CaseStatus.READ) == ["e:study-x"]
    assert keys(catalog, status=CaseStatus.ALL) == ["e:study-x"]


def test_read_cases_come_newest_first_and_excluded_ones_not_at_all(catalog, add):
    add("abcd")
    for image in "bac":
        catalog.labels.save(image, b"x")
    catalog.update_image("d", reviewed=True)
    assert keys(catalog, status=CaseStatus.READ) == ["i:c", "i:a", "i:b", "i:d"]
    assert keys(catalog, Revisit(), status=CaseStatus.READ) == ["i:b", "i:a", "i:c", "i:d"]
    catalog.exclude("a", "unreadable")
    assert keys(catalog, status=CaseStatus.ALL) == ["i:c", "i:b", "i:d"]


def test_revisited_cases_come_by_their_scores(catalog, add):
    add("abc")
    for image in "abc":
        catalog.labels.save(image, b"x")
    catalog.scores.write("revisit", "ultrasound", "1", {"b": 0.1, "c": 0.8})
    order = Revisit("ultrasound", "1")
    assert keys(catalog, order, status=CaseStatus.READ)[:2] == ["i:c", "i:b"]


def test_cases_on_lease_and_skipped_ones_do_not_wait(catalog, exam, add):
    exam("x")
    add("ab")
    assert lease_case(catalog.database, "e:study-x", client_id="anna", strategy="first", seconds=60)
    assert keys(catalog, busy=busy(catalog)) == ["i:a", "i:b"]
    assert keys(catalog, busy=busy(catalog), skip={"i:a"}) == ["i:b"]
    assert keys(catalog, status=CaseStatus.READING, busy=busy(catalog)) == ["e:study-x"]
    assert keys(catalog, status=CaseStatus.READING, busy=busy(catalog), modality=Modality.MG) == []
    assert "e:study-x" in keys(catalog, status=CaseStatus.ALL, busy=busy(catalog))


def test_all_images_of_a_case_are_leased_or_none(catalog, exam):
    exam("x", 3)
    assert lease_case(catalog.database, "e:study-x", client_id="anna", strategy="s", seconds=60)
    assert {(lease.image_id, lease.client_id) for lease in catalog.leases.live()} == {
        (f"x-{i}", "anna") for i in range(3)
    }
    assert not lease_case(catalog.database, "e:study-x", client_id="ben", strategy="s", seconds=60)
    assert lease_case(catalog.database, "e:study-x", client_id="anna", strategy="s", seconds=60), "her own"
    catalog.leases.release("x-1", "anna")
    assert not lease_case(catalog.database, "e:study-x", client_id="ben", strategy="s", seconds=60)
    assert {lease.image_id for lease in catalog.leases.live()} == {"x-0", "x-2"}, "nothing half taken"
    release_cases(catalog.database, ["e:study-x"], "ben")
    assert len(catalog.leases.live()) == 2
    release_cases(catalog.database, ["e:study-x"], "anna")
    assert catalog.leases.live() == []


def test_a_case_without_a_waiting_image_is_not_leased(catalog, add):
    add("a")
    catalog.labels.save("a", b"x")
    assert not lease_case(catalog.database, "i:a", client_id="anna", strategy="s", seconds=60)
    assert lease_case(
        catalog.database, "i:a", client_id="anna", strategy="revisit", seconds=60, labelled=True
    )
    assert not lease_case(catalog.database, "i:none", client_id="anna", strategy="s", seconds=60)


def test_priors_are_older_exams_of_the_patient_newest_first(catalog, exam):
    exam("now", day="2026-03-01", patient="p1", modality=Modality.MG)
    exam("old", day="2022-03-01", patient="p1", modality=Modality.MG)
    exam("older", day="2020-03-01", patient="p1", modality=Modality.MG)
    exam("sono", day="2021-03-01", patient="p1")
    exam("undated", day=None, patient="p1", modality=Modality.MG)
    exam("stranger", day="2020-03-01", patient="p2", modality=Modality.MG)
    with catalog.database.read() as connection:
        cases = load_cases(connection, ["e:study-now", "e:study-old", "e:study-older", "e:study-undated"])
        priors = {key: [p.key for p in own] for key, own in prior_cases(connection, cases.values()).items()}
    assert priors == {
        "e:study-now": ["e:study-old", "e:study-older"],
        "e:study-old": ["e:study-older"],
        "e:study-older": [],
    }


def test_the_label_that_counts_is_the_newest_final_one_else_the_newest_draft(catalog, add):
    add("abc")
    catalog.labels.save("a", b"1")
    catalog.labels.save("a", b"2", tag="draft")
    catalog.labels.save("b", b"1", tag="draft")
    catalog.labels.save("b", b"2", tag="draft", label="benign")
    catalog.labels.save("c", b"1", tag="original")
    with catalog.database.read() as connection:
        shown = shown_labels(connection, ["a", "b", "c"])
    assert {i: (s.version, s.tag, s.label) for i, s in shown.items()} == {
        "a": (1, "final", None),
        "b": (2, "draft", "benign"),
    }


def test_counts_agree_with_the_lists(catalog, exam, add):
    exam("x", 3)
    exam("m", modality=Modality.MG)
    exam("n", modality=Modality.MG)
    add("abcdef")
    counts = CaseCounts(catalog.database)

    def check():
        for modality in (None, *Modality):
            for status in CaseStatus:
                listed = {"status": status, "modality": modality, "busy": busy(catalog)}
                assert counts.total(CaseList((First(),), **listed)) == len(keys(catalog, **listed)), listed

    check()
    for act in (
        lambda: catalog.labels.save("a", b"x"),
        lambda: lease_case(catalog.database, "i:b", client_id="anna", strategy="s", seconds=60),
        lambda: lease_case(catalog.database, "i:a", client_id="b", strategy="s", seconds=60, labelled=True),
        lambda: lease_case(catalog.database, "e:study-m", client_id="ben", strategy="s", seconds=60),
        lambda: catalog.labels.save("n-0", b"x"),
        lambda: catalog.labels.save("n-1", b"x"),
        lambda: catalog.exclude("c", "unreadable"),
        lambda: catalog.labels.remove("a", "final"),
        lambda: add("gh"),
    ):
        act()
        check()


@pytest.fixture(scope="module", params=[200, 20_000])
def large(request, tmp_path_factory):
    """Ultrasound images alone and mammography exams of four, scored, some read, on SQLite."""
    n, folder = request.param, tmp_path_factory.mktemp("large")
    with Catalog(f"sqlite:///{folder / 'c.sqlite3'}", studies=folder) as opened:
        opened.add_images(
            make_record(
                f"i{i:05}",
                modality=Modality.MG if i % 2 else Modality.US,
                study_key=f"s{i // 8}" if i % 2 else None,
                patient_key=f"p{i // 8}" if i % 2 else f"folder:i{i:05}",
                dataset="folder",
                metadata={"acquired": "2026-03-01"} if i % 2 else {},
                reviewed=i % 5 == 0,
            )
            for i in range(n)
        )
        opened.scores.write("bald", "ultrasound", "1", {f"i{i:05}": i / n for i in range(0, n, 2)})
        opened.scores.write("bald", "mammography", "7", {f"i{i:05}": i / n for i in range(1, n, 2)})
        yield opened


def test_a_page_takes_few_statements_and_little_time_however_many_images_there_are(large):
    executed = []
    note = lambda *arguments: executed.append(arguments[2])  # noqa: E731
    for status in (CaseStatus.WAITING, CaseStatus.ALL):
        for orders in ((BALD, MG_BALD), (RandomOrder(),), (First(),)):
            executed.clear()
            event.listen(large.database.engine, "before_cursor_execute", note)
            began = time.perf_counter()
            page = keys(large, *orders, status=status, limit=50)
            took = time.perf_counter() - began
            event.remove(large.database.engine, "before_cursor_execute", note)
            assert len(page) == 50
            # The stages of the order, and a look at each chunk of its images.
            assert len([sql for sql in executed if sql.startswith("SELECT")]) <= 10
            assert took < 0.5


def test_a_total_is_counted_once_until_something_changes(large):
    executed = []
    note = lambda *arguments: executed.append(arguments[2])  # noqa: E731
    counts = CaseCounts(large.database)
    listed = CaseList((First(),))
    first = counts.total(listed)
    event.listen(large.database.engine, "before_cursor_execute", note)
    assert counts.total(listed) == first
    event.remove(large.database.engine, "before_cursor_execute", note)
    assert not [sql for sql in executed if "GROUP BY" in sql]


def test_a_few_cases_are_found_by_their_keys_and_not_among_all_that_wait(tmp_path, record):
    plans = []

    def explain(connection, _cursor, sql, parameters, _context, _many):
        if sql.startswith("SELECT") and "FROM images" in sql:
            steps = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
            plans.extend((sql, step.detail) for step in steps)

    with Catalog(f"sqlite:///{tmp_path / 'c.sqlite3'}", studies=tmp_path) as opened:
        opened.add_images([record(f"x{n}", study_key=f"s{n // 4}") for n in range(40)])
        wanted = [f"e:s{n}" for n in range(8)] + ["i:none"]
        event.listen(opened.database.engine, "before_cursor_execute", explain)
        with opened.database.read() as connection:
            assert open_keys(connection, wanted) == set(wanted[:-1])
            (case, *_) = load_cases(connection, wanted).values()
            assert key_of_case_id(connection, case.case_id) == case.key
        assert lease_case(opened.database, "e:s1", client_id="anna", strategy="s", seconds=60)
        event.remove(opened.database.engine, "before_cursor_execute", explain)
    used = [step for _, step in plans if "images" in step]
    assert len(used) >= 4
    assert not [step for step in used if step.startswith("SCAN") or "ix_images_waiting_id" in step], used
