import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from breastlabel.catalog import Catalog, First


def test_every_act_is_noted(catalog, add):
    add("ab")
    catalog.leases.acquire("slicer", First(), strategy="first", author="anna")
    saved = catalog.labels.save("a", b"x", author="anna", client_id="slicer")
    catalog.labels.set_state("a", 1, "rejected", author="ben")
    catalog.labels.restore("a", 1, author="carl")
    catalog.labels.remove("a", "final", author="ben")
    catalog.exclude("a", "unreadable", author="carl")
    catalog.audit.append("model.promote", author="dora", details={"version": 3})
    entries = catalog.audit.entries()
    assert [(e.action, e.author, e.image_id) for e in reversed(entries)] == [
        ("lease", "anna", "a"),
        ("label.save", "anna", "a"),
        ("label.state", "ben", "a"),
        ("label.restore", "carl", "a"),
        ("label.state", "ben", "a"),
        ("image.exclude", "carl", "a"),
        ("model.promote", "dora", None),
    ]
    assert entries[0].details == {"version": 3}
    assert entries[-2].label_id == saved.label_id
    assert entries[-2].client_id == "slicer"
    assert entries[-3].details == {"version": 1, "from": "final", "to": "rejected"}
    assert all(e.at.utcoffset().total_seconds() == 0 for e in entries)


def test_the_acts_on_one_image_newest_first(catalog, add):
    add("ab")
    for image_id in "abab":
        catalog.labels.save(image_id, b"x")
    assert [e.details["version"] for e in catalog.audit.entries("a")] == [2, 1]
    assert len(catalog.audit.entries(limit=3)) == 3


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET author = 'somebody else'",
        "DELETE FROM audit",
        "DELETE FROM labels",
        "UPDATE labels SET sha256 = 'x'",
        "UPDATE labels SET author = 'somebody else'",
        "UPDATE labels SET created_at = '2020-01-01'",
    ],
)
def test_what_was_done_cannot_be_changed(catalog, add, statement):
    add("a")
    catalog.labels.save("a", b"x", author="anna")
    before = catalog.audit.entries(), catalog.labels.history("a")
    with (
        pytest.raises(DBAPIError, match=r"table (audit|labels) is append-only"),
        catalog.database.write() as c,
    ):
        c.execute(text(statement))
    assert (catalog.audit.entries(), catalog.labels.history("a")) == before


def test_what_was_done_cannot_be_emptied(postgres_url, tmp_path):
    with Catalog(postgres_url, studies=tmp_path) as catalog:
        for table in ("audit", "labels"):
            with (
                pytest.raises(DBAPIError, match=f"table {table} is append-only"),
                catalog.database.write() as c,
            ):
                c.execute(text(f"TRUNCATE {table}"))
