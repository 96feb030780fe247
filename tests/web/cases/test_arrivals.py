from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from breastlabel.catalog import First, LabelVersion, RandomOrder
from breastlabel.catalog.case_order import CaseList, case_page
from breastlabel.catalog.cases import load_cases
from breastlabel.catalog.label_version import ORIGINAL
from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Modality
from breastlabel.label.app import BreastLabelApp
from breastlabel.label.errors import BadRequestError
from breastlabel.label.on_arrival import reads_on_arrival
from breastlabel.web import arrivals as module
from breastlabel.web.arrivals import FAILED, Arrivals

from .conftest import US, propose


class Reader:
    """Stands in for the models: keeps a proposal of the serving version, of both views of a breast."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.asked: list[str] = []
        self.fails: dict[str, Exception] = {}

    def __call__(self, app: BreastLabelApp, image_id: str, *, store: bool = True) -> LabelVersion | None:
        self.asked.append(image_id)
        if image_id in self.fails:
            raise self.fails[image_id]
        stem, _, view = image_id.rpartition("-")
        both = [f"{stem}-{view[0]}cc", f"{stem}-{view[0]}mlo"] if "-mg-" in image_id else [image_id]
        model = "mammography" if "-mg-" in image_id else "ultrasound"
        for one in both:
            propose(app.catalog, one, self.folder, version=str(app.predictors.version(model)))
        return app.catalog.labels.current(image_id, ORIGINAL)


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reader:
    made = Reader(tmp_path)
    monkeypatch.setattr(module, "read_image_by_ai", made)
    return made


def read_all(arrivals: Arrivals, *, most: int = 50) -> None:
    for _ in range(most):
        if not arrivals.look():
            return
    pytest.fail("it never comes to an end")


def arrive(app: BreastLabelApp, name: str) -> None:
    """A copy of an ultrasound phantom comes into the folder."""
    source = Path(app.studies) / f"{US}.nrrd"
    shutil.copy(source, Path(app.studies) / f"{name}.nrrd")
    app.datastore().path(name)


def test_the_cases_at_the_top_of_the_worklist_are_read_once(
    app: BreastLabelApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AHEAD", 2)
    arrivals = Arrivals(app, quiet=0.0)
    read_all(arrivals)
    with app.catalog.database.read() as connection:
        top = [place.key for place in case_page(connection, CaseList((RandomOrder(),)), limit=2)]
        cases = load_cases(connection, top)
    wanted = {image.image_id for case in cases.values() for image in case.images}
    assert set(app.catalog.labels.ids(ORIGINAL)) == wanted
    assert len(reader.asked) < len(wanted) or all("-mg-" not in image for image in wanted)
    before = list(reader.asked)
    read_all(Arrivals(app, quiet=0.0))
    assert reader.asked == before, "after a restart nothing is read again"


def test_what_comes_later_is_read_newest_first_before_the_worklist(
    app: BreastLabelApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AHEAD", 0)
    arrivals = Arrivals(app, quiet=0.0)
    read_all(arrivals)
    assert reader.asked == [], "what was there at the first start is left alone"
    for name in ("new-1", "new-2", "new-3"):
        time.sleep(0.02)
        arrive(app, name)
    arrivals._next_look = 0.0
    read_all(arrivals)
    assert reader.asked == ["new-3", "new-2", "new-1"]
    assert (arrivals.read, arrivals.failed, arrivals.waiting) == (3, 0, 0)


def test_what_came_while_no_server_ran_is_read_at_the_next_start(
    app: BreastLabelApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AHEAD", 0)
    read_all(Arrivals(app, quiet=0.0))
    time.sleep(0.02)
    arrive(app, "came-meanwhile")
    read_all(Arrivals(app, quiet=0.0))
    assert reader.asked == ["came-meanwhile"]


def test_a_readers_case_comes_first(app: BreastLabelApp, reader: Reader) -> None:
    lease = app.catalog.leases.acquire("anna", First(), strategy="first")
    assert lease is not None
    assert Arrivals(app, quiet=0.0).look()
    assert reader.asked == [lease.image_id]


def test_nothing_is_read_while_somebody_wants_the_models(app: BreastLabelApp, reader: Reader) -> None:
    arrivals = Arrivals(app, quiet=0.0)
    with app.gate.enter():
        assert not arrivals.look()
    assert reader.asked == []
    assert arrivals.look()


def test_an_exam_that_is_still_coming_is_waited_for(
    app: BreastLabelApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AHEAD", 0)
    arrivals = Arrivals(app, quiet=60.0)
    read_all(arrivals)
    time.sleep(0.02)
    arrive(app, "first-view")
    arrivals._next_look = 0.0
    assert not arrivals.look()
    assert arrivals.waiting == 1
    arrivals._settles = (0.0, 0.0)
    assert arrivals.look()
    assert reader.asked == ["first-view"]


def test_what_cannot_be_read_is_noted_and_tried_again_only_when_file_or_champion_change(
    app: BreastLabelApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader.fails[US] = InvalidImageError("patient 4711 cannot be read")
    read_all(Arrivals(app, quiet=0.0))
    assert reader.asked.count(US) == 1
    noted = app.catalog.image_info(US)[FAILED]
    assert noted["reason"] == "InvalidImageError"
    assert "4711" not in str(noted)
    read_all(Arrivals(app, quiet=0.0))
    assert reader.asked.count(US) == 1
    file = Path(app.studies) / f"{US}.nrrd"
    file.write_bytes(file.read_bytes() + b"\0")
    del reader.fails[US]
    read_all(Arrivals(app, quiet=0.0))
    assert reader.asked.count(US) == 2
    assert app.catalog.labels.current(US, ORIGINAL) is not None


def test_a_new_champion_reads_what_waits_again(
    app: BreastLabelApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_all(Arrivals(app, quiet=0.0))
    before = len(reader.asked)
    monkeypatch.setattr(app.predictors, "version", lambda model: "newer" if model == "ultrasound" else None)
    read_all(Arrivals(app, quiet=0.0))
    again = reader.asked[before:]
    assert again
    assert all("-mg-" not in image for image in again)


def test_a_fault_puts_one_image_off_and_stops_nothing(
    app: BreastLabelApp, reader: Reader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_AGAIN", 0.05)
    reader.fails[US] = RuntimeError("out of memory")
    arrivals = Arrivals(app, every=0.02, first=0.0, quiet=0.0)
    arrivals.start()
    try:
        deadline = time.monotonic() + 60
        others = {i.image_id for i in app.catalog.images()} - {US}

        def over() -> bool:
            # The one at fault may be asked about last.
            return set(app.catalog.labels.ids(ORIGINAL)) == others and US in reader.asked

        while not over() and time.monotonic() < deadline:
            time.sleep(0.05)
        assert over()
        assert reader.asked.count(US) == 1
        assert arrivals.alive
    finally:
        arrivals.close()
    assert not arrivals.alive
    assert "arrivals" not in {thread.name for thread in threading.enumerate()}


def test_a_stored_image_wakes_it(app: BreastLabelApp, reader: Reader) -> None:
    arrivals = Arrivals(app, every=3600.0, first=3600.0)
    arrivals.start()
    try:
        for hook in app.archive.on_stored:
            hook(None)  # type: ignore[arg-type]
        assert arrivals._wake.is_set()
    finally:
        arrivals.close()


def test_the_models_themselves_read_and_store(app: BreastLabelApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_AHEAD", 0)
    lease = app.catalog.leases.acquire("anna", First(Modality.MG), strategy="first")
    assert lease is not None
    assert Arrivals(app, quiet=0.0).look()
    assert lease.image_id in app.catalog.labels.ids(ORIGINAL)
    assert len(app.catalog.dicom.find(modality="SEG", origin="ours")) == 2, "both views of the breast"
    assert len(app.catalog.dicom.find(modality="SR", origin="ours")) == 1


def test_it_can_be_turned_off(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reads_on_arrival() is True
    monkeypatch.setenv("BREASTLABEL_READ_ON_ARRIVAL", "0")
    assert reads_on_arrival() is False
    assert reads_on_arrival({"read_on_arrival": "true"}) is True
    with pytest.raises(BadRequestError, match="read_on_arrival must be true or false"):
        reads_on_arrival({"read_on_arrival": "maybe"})


def test_the_app_says_whether_it_reads(build: Callable[..., BreastLabelApp]) -> None:
    app = build(read_on_arrival="false")
    assert app._read_on_arrival is False
    assert app.arrivals is None
    assert app.workers() == {}
