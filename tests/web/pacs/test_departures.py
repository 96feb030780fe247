"""What is deleted in a PACS is offered no more, and nothing but a deletion takes an image away."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

import pytest
from pydicom.uid import generate_uid

from breastlabel.catalog import Catalog
from breastlabel.catalog.case_order import CaseList, CaseStatus, case_page
from breastlabel.catalog.folder import sync_folder
from breastlabel.catalog.models import FILE_MISSING
from breastlabel.catalog.orders import First
from breastlabel.web.pacs.client import Place
from breastlabel.web.pacs.errors import PacsError
from breastlabel.web.pacs.known import State
from breastlabel.web.pacs.pacs import Pacs

from .conftest import Exam, file_of
from .web_server import Answer, Fake

_EMPTY: Answer = (200, {"Content-Type": "application/dicom+json"}, b"[]")


class Shelf(Fake):
    """A PACS that has what lies on it; `says` may answer in its place."""

    def __init__(self) -> None:
        super().__init__()
        self.objects: dict[Place, tuple[str, bytes]] = {}
        self.says: Callable[[str], Answer | None] = lambda path: None
        self.answer = self._answer

    def put(self, dataset) -> Place:
        place = Place(*(str(dataset[f"{level}InstanceUID"].value) for level in ("Study", "Series", "SOP")))
        self.objects[place] = str(dataset.Modality), file_of(dataset)
        return place

    def _answer(self, address: str) -> Answer:
        path = urlsplit(address).path.removeprefix("/dicom-web")
        return self.says(path) or self._found(path.strip("/").split("/"))

    def _found(self, parts: list[str]) -> Answer:
        uids = parts[1::2]
        here = {p: o for p, o in self.objects.items() if list(p[: len(uids)]) == uids}
        if len(uids) == 3:
            if not here:
                return 404, {}, b""
            kind = {"Content-Type": "application/dicom"}
            return (
                (200, {}, b"[{}]") if parts[-1] == "metadata" else (200, kind, *(d for _, d in here.values()))
            )
        level = len(uids)
        entries = []
        for uid in dict.fromkeys(place[level] for place in here):
            below = [place for place in here if place[level] == uid]
            entry = {
                ("0020000D", "0020000E", "00080018")[level]: {"Value": [uid]},
                "00080060": {"Value": [here[below[0]][0]]},
                "00201206": {"Value": [len({place.series for place in below})]},
                "00201208" if level == 0 else "00201209": {"Value": [len(below)]},
            }
            entries.append(entry)
        return 200, {"Content-Type": "application/dicom+json"}, json.dumps(entries).encode()


@pytest.fixture
def shelf() -> Iterator[Shelf]:
    server = Shelf()
    yield server
    server.close()


@pytest.fixture
def two(shelf: Shelf, exam: Exam, mirrored) -> tuple[Pacs, Catalog, list[Place]]:
    """A mirror of a PACS with two views."""
    places = [shelf.put(exam.image(name)) for name in ("-rcc", "-rmlo")]
    pacs, catalog = mirrored(shelf.url, MODALITIES="MG")
    pacs.mirror.poll()
    assert len(offered(catalog)) == 2
    return pacs, catalog, places


def offered(catalog: Catalog) -> set[str]:
    """What readers and viewers are given."""
    uids = {instance.sop_instance_uid for instance in catalog.dicom.find(modality="MG")}
    counts = catalog.counts()
    assert counts.total - counts.missing == len(uids)
    with catalog.database.read() as connection:
        assert bool(case_page(connection, CaseList((First(),), CaseStatus.ALL))) == bool(uids)
    return uids


def looks(pacs: Pacs, count: int = 2) -> None:
    """So many looks, each minutes after the one before."""
    for _ in range(count):
        pacs.mirror._known._connection.execute("UPDATE objects SET again_at = 1 WHERE again_at IS NOT NULL")
        pacs.mirror._known._connection.execute("UPDATE studies SET looked_at = 1")
        pacs.mirror.wake()
        pacs.mirror.poll()


def test_a_study_that_is_deleted_is_offered_no_more_and_comes_back(two, shelf) -> None:
    pacs, catalog, places = two
    there = dict(shelf.objects)
    image = catalog.dicom.instance(places[0].instance).image_id
    catalog.labels.save(image, b"a reader's outline", author="ada")
    shelf.objects.clear()
    looks(pacs, 1)
    assert len(offered(catalog)) == 2, "one look is not enough"
    looks(pacs, 1)
    assert offered(catalog) == set()
    assert {record.excluded for record in catalog.images()} == {FILE_MISSING}
    assert [version.author for version in catalog.labels.history(image)] == ["ada"]
    assert pacs.archive.intake.taken.gone == 2
    asked = len(shelf.requests)
    looks(pacs, 1)
    assert len(shelf.requests) == asked + 1, "what is gone is asked for again and again"
    shelf.objects.update(there)
    pacs.mirror.poll()
    assert offered(catalog) == {place.instance for place in places}
    assert catalog.dicom.instance(places[0].instance).image_id == image
    assert catalog.labels.current(image) is not None


def test_of_a_series_only_what_is_deleted_goes(two, shelf) -> None:
    pacs, catalog, places = two
    del shelf.objects[places[0]]
    looks(pacs)
    assert offered(catalog) == {places[1].instance}
    assert pacs.mirror._known.state(places[0].instance) is State.GONE
    # A server that starts anew knows it, and takes what lies there again for the same image.
    assert sync_folder(catalog.studies, catalog=catalog, always=True) == 0
    assert offered(catalog) == {places[1].instance}


def test_a_study_of_which_the_pacs_says_404_is_gone_where_it_is_not_listed(two, shelf) -> None:
    """Some answer a search below a study that is not there with an empty list, others so."""
    pacs, catalog, _ = two
    shelf.objects.clear()
    shelf.says = lambda path: None if path == "/studies" else (404, {}, b"")
    looks(pacs)
    assert offered(catalog) == set()


def test_a_segmentation_that_is_deleted_is_shown_no_more(two, shelf, exam) -> None:
    pacs, catalog, _ = two
    place = shelf.put(exam.segmentation())
    pacs.mirror.poll()
    assert len(catalog.dicom.find(modality="SEG")) == 1
    del shelf.objects[place]
    looks(pacs)
    assert catalog.dicom.find(modality="SEG") == []
    assert len(offered(catalog)) == 2


def test_an_object_in_another_study_is_taken_from_there(two, shelf, exam) -> None:
    """Studies are put together or corrected in a PACS; the object keeps its own UID."""
    pacs, catalog, places = two
    moved = exam.image("-rcc")
    moved.StudyInstanceUID, moved.SeriesInstanceUID = generate_uid(), generate_uid()
    del shelf.objects[places[0]]
    shelf.put(moved)
    looks(pacs, 3)
    assert len(offered(catalog)) == 2
    assert catalog.dicom.instance(places[0].instance).study_instance_uid == moved.StudyInstanceUID


def _below(part: str, answer: Answer) -> Callable[[str], Answer | None]:
    return lambda path: answer if part in path else None


@pytest.mark.parametrize(
    ("says", "fails"),
    [
        # Lists that are empty although the objects are there.
        (lambda path: _EMPTY if not path.endswith("/metadata") else None, False),
        (_below("/series", _EMPTY), False),
        # Lists that are refused although the study itself is listed.
        (_below("/series", (404, {}, b"")), False),
        (_below("/instances", (404, {}, b"")), False),
        # The PACS does not find them, but lists them.
        (_below("/metadata", (404, {}, b"")), False),
        # Nothing is listed, and what is asked for fails: that is no word about it.
        (lambda path: (500, {}, b"") if path.endswith("/metadata") else _EMPTY, False),
        (lambda path: (503, {}, b"") if path.endswith("/metadata") else _EMPTY, True),
        (lambda path: (401, {}, b"") if path.endswith("/metadata") else _EMPTY, True),
        # The whole address leads nowhere, as while a PACS starts.
        (lambda path: (404, {}, b""), True),
        (lambda path: (200, {}, b"<h1>Sign in</h1>"), True),
    ],
)
def test_no_fault_of_the_pacs_takes_an_image_away(two, shelf, says, fails) -> None:
    pacs, catalog, _ = two
    shelf.says = says
    for _ in range(2):
        if fails:
            with pytest.raises(PacsError):
                looks(pacs, 1)
        else:
            looks(pacs, 1)
    assert len(offered(catalog)) == 2
    shelf.says = lambda path: None
    looks(pacs, 1)
    assert len(offered(catalog)) == 2
    assert pacs.archive.intake.taken.images == 2


def test_a_denial_that_is_taken_back_takes_nothing_away(two, shelf) -> None:
    pacs, catalog, places = two
    there = dict(shelf.objects)
    for _ in range(2):
        shelf.objects.clear()
        looks(pacs, 1)
        shelf.objects.update(there)
        looks(pacs, 1)
    assert len(offered(catalog)) == 2
    assert pacs.mirror._known.state(places[0].instance) is State.IMAGE


def test_another_filter_takes_nothing_away(two, shelf, mirrored) -> None:
    pacs, _, _ = two
    pacs.close()
    shelf.says = lambda path: _EMPTY if path == "/studies" else None
    for wanted in ({"DAYS": "1"}, {"FILTER": "StudyDescription=x", "MODALITIES": "MG"}, {"MODALITIES": "US"}):
        again, catalog = mirrored(shelf.url, **wanted)
        looks(again, 3)
        assert len(offered(catalog)) == 2
        again.close()
