"""A folder that MONAI Label's own datastore, or breastlabel 0.1, kept is taken over with all its readings."""

import json
import os
from datetime import UTC, datetime

import pytest

from breastlabel.catalog import VERSIONS_FOLDER, Catalog
from breastlabel.catalog.legacy import STOCK_INDEX, import_legacy

T = 1_700_000_000
SEGMENTS = [{"name": "benign", "idx": 1}, {"name": "malignant", "idx": 2}]


def at(seconds):
    return datetime.fromtimestamp(seconds, UTC)


def write(path, content, written=T):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    os.utime(path, (written, written))


def keep(studies, image_id, replaced, tag, content, info):
    """An earlier reading, as breastlabel 0.1 kept it when it was replaced."""
    folder = studies / VERSIONS_FOLDER / image_id
    write(folder / f"{replaced * 10**9}-{tag}.nii.gz", content)
    write(folder / f"{replaced * 10**9}-{tag}.json", json.dumps(info).encode())


@pytest.fixture
def studies(tmp_path):
    """Three images; a was proposed, read, and read again; b has a label of which nothing is known."""
    folder = tmp_path / "studies"
    for name in "abc":
        write(folder / f"{name}.png", b"never read")
    write(folder / "labels/original/a.nii.gz", b"proposed")
    write(folder / "labels/final/a.nii.gz", b"second", T + 300)
    write(folder / "labels/final/b.nrrd", b"by hand", T + 50)
    keep(
        folder,
        "a",
        T + 300,
        "final",
        b"first",
        {"ts": T + 200, "client_id": "old client", "name": "a.nii.gz"},
    )
    labels = {
        "original": {"ext": ".nii.gz", "info": {"ts": T + 100, "model": "ultrasound", "params": {"x": 1}}},
        "final": {
            "ext": ".nii.gz",
            "info": {"ts": T + 300, "client_id": "reader-1", "author": "dr-a", "label_info": SEGMENTS},
        },
    }
    image = {"ext": ".png", "info": {"ts": T, "name": "a.png", "path": "/elsewhere", "note": "dense"}}
    index = {
        "name": "new-dataset",
        "description": "New Dataset",
        "images_dir": ".",
        "labels_dir": "labels",
        "objects": {
            "a": {"image": image, "labels": labels},
            "b": {"image": {"ext": ".png", "info": {}}, "labels": {"final": {"ext": ".nrrd", "info": {}}}},
            "gone": {"image": image, "labels": labels},
        },
    }
    (folder / STOCK_INDEX).write_text(json.dumps(index, indent=2))
    return folder


def readings(catalog, image_id):
    return [
        (v.version, v.tag, v.state, catalog.labels.path(v).read_bytes(), v.created_at)
        for v in catalog.labels.history(image_id)
    ]


EXPECTED = [
    (1, "original", "final", b"proposed", at(T + 100)),
    (2, "final", "final", b"first", at(T + 200)),
    (3, "final", "final", b"second", at(T + 300)),
]


def test_every_reading_is_taken_over_in_order_of_time(studies, database):
    before = (studies / STOCK_INDEX).read_bytes()
    with Catalog.open(studies) as catalog:
        assert readings(catalog, "a") == EXPECTED
        proposed, first, second = catalog.labels.history("a")
        assert (proposed.model, proposed.author, proposed.info["params"]) == ("ultrasound", None, {"x": 1})
        assert (first.client_id, first.author) == ("old client", None)
        assert (second.client_id, second.author, second.info["label_info"]) == ("reader-1", "dr-a", SEGMENTS)
        assert readings(catalog, "b") == [(1, "final", "final", b"by hand", at(T + 50))]
        assert catalog.image_info("a") == {"ts": T, "note": "dense"}
        assert [r.reviewed for r in catalog.images()] == [True, True, False]
        assert catalog.counts().labelled == {"final": 2, "original": 1}
        assert not catalog.has_image("gone")
    assert (studies / STOCK_INDEX).read_bytes() == before
    assert (studies / "labels/final/a.nii.gz").read_bytes() == b"second"


def test_opening_again_adds_nothing(studies):
    Catalog.open(studies).close()
    with Catalog.open(studies) as catalog:
        os.utime(studies / STOCK_INDEX, (T, T))
        import_legacy(catalog)
        assert readings(catalog, "a") == EXPECTED
        assert len(readings(catalog, "b")) == 1


def test_an_import_that_was_cut_off_goes_on(studies, monkeypatch):
    monkeypatch.setattr("breastlabel.catalog.label_import._CHUNK", 1)
    record, recorded = Catalog.set_state, []

    def cut_off(catalog, name, value):
        recorded.append(name)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("breastlabel.catalog.legacy._note_on_images", lambda *_: cut_off(None, "notes", ""))
        with pytest.raises(KeyboardInterrupt):
            Catalog.open(studies)
    assert recorded == ["notes"]
    assert Catalog.set_state is record
    with Catalog.open(studies) as catalog:
        assert readings(catalog, "a") == EXPECTED
        assert catalog.image_info("a")["note"] == "dense"


def test_what_was_noted_since_is_not_undone(studies):
    with Catalog.open(studies) as catalog:
        catalog.update_image_info("a", {"note": "not dense"})
        os.utime(studies / STOCK_INDEX, (T, T))
        import_legacy(catalog)
        assert catalog.image_info("a")["note"] == "not dense"


def test_a_label_that_was_removed_stays_removed(studies):
    (studies / "labels/final/a.nii.gz").unlink()
    with Catalog.open(studies) as catalog:
        assert catalog.labels.current("a") is None
        assert [(v.tag, v.state) for v in catalog.labels.history("a")] == [
            ("original", "final"),
            ("final", "rejected"),
        ]
        assert not catalog.image("a").reviewed


def test_two_readings_of_the_same_content_are_two(studies):
    keep(studies, "a", T + 250, "final", b"second", {"ts": T + 150})
    with Catalog.open(studies) as catalog:
        assert [r[3] for r in readings(catalog, "a")] == [b"proposed", b"second", b"first", b"second"]


@pytest.mark.parametrize(
    "damaged", [b"", b'{"objects": {"a": {"ima', b"[]", b'{"objects": 3}', b"\xff\xfe", b"[" * 100_000]
)
def test_a_damaged_index_is_named_once_and_the_folder_opens(studies, caplog, damaged):
    (studies / STOCK_INDEX).write_bytes(damaged)
    with Catalog.open(studies) as catalog:
        assert [r[3] for r in readings(catalog, "b")] == [b"by hand"]
        assert catalog.labels.current("a").author is None
    assert caplog.text.count("datastore_v2.json cannot be read") == 1
    Catalog.open(studies).close()
    assert caplog.text.count("datastore_v2.json cannot be read") == 1
    assert (studies / STOCK_INDEX).read_bytes() == damaged


@pytest.mark.parametrize(
    "odd", [3, None, {"image": 3}, {"labels": [1]}, {"image": {"info": "x"}, "labels": {}}]
)
def test_an_odd_entry_does_not_spoil_the_others(studies, odd):
    index = json.loads((studies / STOCK_INDEX).read_text())
    index["objects"]["b"] = odd
    (studies / STOCK_INDEX).write_text(json.dumps(index))
    with Catalog.open(studies) as catalog:
        assert readings(catalog, "a") == EXPECTED


def test_a_time_that_is_none_is_that_of_the_file(studies):
    index = json.loads((studies / STOCK_INDEX).read_text())
    index["objects"]["a"]["labels"]["final"]["info"]["ts"] = "yesterday"
    (studies / STOCK_INDEX).write_text(json.dumps(index))
    with Catalog.open(studies) as catalog:
        assert catalog.labels.current("a").created_at == at(T + 300)
