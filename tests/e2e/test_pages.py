"""The pages in a browser: the worklist by keyboard, readings from file to report, a training."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from tests.findings.seg_writer import as_ohif, to_bytes

from breastlabel.datasets.phantoms import write_mammogram_phantoms
from breastlabel.findings.result import NOTICE
from breastlabel.imaging import read_mask

from .browser import Reader, opened
from .serving import SHAPE, Server, wait_until
from .test_reader import as_slicer_saves

#: Where the pictures of the pages are kept; the test's own folder without it.
ARTEFACTS = "BREASTLABEL_ARTEFACTS"
_SECONDS = 120_000


@pytest.fixture(scope="module")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the four views of a patient, as DICOM files that the server does not know."""
    folder = tmp_path_factory.mktemp("exam")
    write_mammogram_phantoms(
        folder, exams=1, seed=11, shape=(320, 256), labelled=0.0, priors=0.0, truth=False
    )
    return folder


@pytest.fixture
def reader(server: Server, chromium: Any, tmp_path: Path) -> Iterator[Reader]:
    """Somebody in front of the browser; nothing fails behind their back, and nothing comes from elsewhere."""
    pictures = Path(os.environ.get(ARTEFACTS) or tmp_path)
    pictures.mkdir(parents=True, exist_ok=True)
    with opened(chromium, pictures) as person:
        person.page.set_default_timeout(_SECONDS)
        yield person
        assert person.failures == []
        assert person.hosts == {server.url.removeprefix("http://")}


def focused_case(page: Any) -> str | None:
    found = page.evaluate("document.activeElement.closest('[data-case]')?.dataset.case ?? null")
    return None if found is None else str(found)


def read_all(page: Any) -> None:
    page.locator("#begin").click()
    page.locator("#form[aria-busy=false]").wait_for()


def entry(page: Any, name: str) -> Any:
    return page.locator("#queue li").filter(has_text=name)


def test_the_worklist_is_used_by_keyboard_and_follows_the_server(server: Server, reader: Reader) -> None:
    page = reader.page
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.goto(f"{server.url}/worklist?strategy=first&status=all")
    rows = page.locator("[data-case]")
    ids = [str(row.get_attribute("data-case")) for row in rows.all()[:3]]
    for key, wanted in (("j", ids[0]), ("ArrowDown", ids[1]), ("j", ids[2]), ("k", ids[1])):
        page.keyboard.press(key)
        assert focused_case(page) == wanted
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid", "whoever goes by keyboard sees where they are"
    page.locator("[data-case] img").first.evaluate("(picture) => picture.decode()")
    reader.picture("worklist")

    page.keyboard.press("s")
    page.get_by_text("Copied").wait_for()
    copied = page.evaluate("navigator.clipboard.readText()").splitlines()
    assert copied[0] == server.url
    assert f"/api/images/{copied[1]}/thumbnail.png" in rows.nth(1).inner_html()

    # Somebody else takes cases meanwhile; the list says so, and the focus stays where it was.
    taken = server.request("POST", "/api/cases/next", json={"client_id": "anna", "strategy": "random"}).json()
    page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    answer = server.request("GET", "/worklist/list?status=reading").text
    assert f'data-case="{taken["case_id"]}" data-leased="anna"' in answer
    row = page.locator(f"[data-case='{taken['case_id']}']")
    if row.count():
        row.locator(".pill", has_text="reading").wait_for()
        assert row.locator(".who").inner_text() == "anna"
    assert focused_case(page) == ids[1]

    page.route("**/ohif/**", lambda route: route.fulfill(body="the viewer"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/ohif/**")
    assert "StudyInstanceUIDs=" in page.url


def test_the_worklist_is_filtered_in_place(server: Server, reader: Reader) -> None:
    page = reader.page
    page.goto(f"{server.url}/worklist")
    page.locator("#modality").select_option("MG")
    page.get_by_text("No case of this kind").wait_for()
    assert page.url.endswith(
        "/worklist?status=waiting&modality=MG&strategy=" + page.locator("#strategy").input_value()
    )
    page.locator("#modality").select_option("US")
    page.locator("[data-case]").first.wait_for()


def test_a_question_is_answered_where_it_stands(server: Server, reader: Reader) -> None:
    mask = np.zeros(SHAPE, np.uint8)
    mask[30:50, 40:70] = 1
    case = server.request("GET", "/api/cases/find?image_id=kind-grey").json()
    (image,) = case["images"]
    uids = [image[f"{level}_instance_uid"] for level in ("study", "series", "sop")]
    address = "/dicom-web/studies/{}/series/{}/instances/{}/metadata".format(*uids)
    source = pydicom.Dataset.from_json(server.request("GET", address).json()[0])
    answer = server.request(
        "POST",
        "/api/segmentations",
        data=to_bytes(as_ohif(source, mask, ["Spot"])),
        headers={"Content-Type": "application/dicom"},
    )
    assert answer.json()["status"] == "question", answer.text
    page = reader.page
    page.goto(f"{server.url}/worklist?strategy=first")
    question = page.locator("[data-question]").filter(has_text="Spot")
    question.get_by_role("button", name="Answer").click()
    assert question.is_visible(), "without a choice nothing is sent"
    question.locator("select").select_option("malignant")
    question.get_by_role("button", name="Answer").click()
    question.wait_for(state="detached")
    versions = server.request("GET", "/datastore/label/history?image=kind-grey").json()["versions"]
    assert versions[-1]["label"] == "malignant"
    saved = read_mask(server.studies / "labels" / "final" / "kind-grey.nii.gz")
    assert np.array_equal(saved, 2 * mask)


def test_images_are_read_one_after_another_and_filed(
    server: Server, reader: Reader, exam: Path, tmp_path: Path
) -> None:
    page = reader.page
    text, cut, second = tmp_path / "letter.txt", tmp_path / "cut.dcm", exam / "phantom-mg-11-0001-lcc.dcm"
    first = exam / "phantom-mg-11-0001-rmlo.dcm"
    text.write_text("Dear colleague")
    cut.write_bytes(first.read_bytes()[:3000])
    page.goto(f"{server.url}/read")
    page.locator("#code").fill("Anna Example")
    page.get_by_text("This looks like a name").wait_for()
    page.locator("#code").fill("C-017")
    assert page.locator("#code-warning").inner_text() == ""
    page.locator("#age").fill("54")
    page.locator("#density").select_option("B")
    assert page.locator("#begin").is_disabled()
    page.locator("#files").set_input_files([first, text, cut, second])
    read_all(page)

    assert page.locator("#progress-said").inner_text() == "2 read, 2 could not be"
    assert "a file of type" in entry(page, "letter.txt").inner_text()
    assert "failed" in entry(page, "cut.dcm").inner_text()
    shown = page.locator("#result")
    assert first.name in shown.locator("h2").inner_text()
    chances = [float(f.removesuffix(" %")) for f in shown.locator(".probabilities .figure").all_inner_texts()]
    assert sum(chances) == pytest.approx(100, abs=0.2)
    assert "C-017, 54 years, right, MLO, density B" in shown.inner_text()
    for title in ("Original", "Outline", "Heat map", "Enhanced", "Stands out", "Grown regions"):
        assert shown.locator("figcaption b", has_text=title).count() == 1
    for picture in shown.locator("img").all():
        assert picture.evaluate("(p) => p.decode().then(() => p.naturalWidth)") > 200

    # The region shrinks as the threshold rises; the server counted the same at one half of the peak.
    canvas = shown.locator("canvas[data-region]")
    canvas.wait_for()
    shares = {}
    for percent in ("20", "50", "80"):
        shown.locator("input[type=range]").fill(percent)
        shares[percent] = float(str(canvas.get_attribute("data-region")))
    assert shares["20"] > shares["50"] > shares["80"] > 0
    address = str(shown.locator("img").first.get_attribute("src"))
    heat = server.request("GET", address.partition("/pictures")[0]).json()["result"]["heat"]
    assert heat["threshold"] == 0.5
    # The picture has other pixels than the image.
    assert shares["50"] == pytest.approx(100 * heat["region_fraction"], abs=1.0)
    shown.locator("input[type=range]").fill("50")
    reader.picture("read")

    with page.expect_download() as download:
        shown.get_by_role("link", name="Report", exact=True).click()
    report = Path(download.value.path()).read_text(encoding="utf-8")
    assert NOTICE in report
    assert "C-017" in report
    assert "phantom-mg" not in report, "the file's name may be a patient's"
    with page.expect_download() as download:
        shown.get_by_role("link", name="DICOM SEG").click()
    assert Path(download.value.path()).read_bytes()[128:132] == b"DICM"

    entry(page, second.name).get_by_role("button").first.click()
    assert second.name in shown.locator("h2").inner_text()


def test_an_ultrasound_is_read_as_such_and_kept_when_asked(server: Server, reader: Reader) -> None:
    page = reader.page
    page.goto(f"{server.url}/read")
    page.locator("#files").set_input_files(server.studies / "kind-grey.png")
    read_all(page)
    assert "choose what to analyse it as" in entry(page, "kind-grey").inner_text()
    page.locator("#model").select_option("mammography")
    read_all(page)
    assert "mammogram" in entry(page, "kind-grey").inner_text(), "an ultrasound is none"
    page.locator("#model").select_option("ultrasound")
    with page.expect_response(
        lambda r: r.url.endswith("/api/readings") and r.request.method == "POST"
    ) as asked:
        read_all(page)
    reading = asked.value.json()["id"]
    page.locator("#result canvas[data-region]").wait_for()
    reader.picture("read-ultrasound")
    page.get_by_role("button", name="Add to the studies").click()
    said = page.get_by_role("button", name=re.compile("In the studies as"))
    said.wait_for()
    image = said.inner_text().split()[-1]
    try:
        assert server.request("HEAD", f"/datastore/image?image={image}").status_code == 200
    finally:
        server.request("DELETE", f"/datastore/image?id={image}")
    assert server.request("GET", f"/api/readings/{reading}").status_code == 200
    page.goto(f"{server.url}/about")
    wait_until(lambda: server.request("GET", f"/api/readings/{reading}").status_code == 404, 20)


def test_a_queue_is_cancelled(server: Server, reader: Reader, exam: Path) -> None:
    page = reader.page
    page.goto(f"{server.url}/read")
    page.locator("#files").set_input_files(sorted(exam.glob("*.dcm")))
    page.locator("#begin").click()
    page.locator("#cancel").click()
    page.locator("#progress-said", has_text="cancelled").wait_for()
    states = [text.split("\n")[1] for text in page.locator("#queue .item").all_inner_texts()]
    assert "cancelled" in states
    assert states[-1] == "queued"
    assert page.locator("#begin").is_enabled(), "what is left can be read later"


def test_an_exam_of_the_studies_is_picked(server: Server, reader: Reader) -> None:
    page = reader.page
    page.goto(f"{server.url}/read")
    page.locator("#pick").click()
    page.locator("#pick-list li button").first.click()
    page.locator("#queue li").first.wait_for()
    assert not page.locator("#picker").is_visible()
    read_all(page)
    assert page.locator("#progress-said").inner_text().startswith("1 read")
    assert page.get_by_role("button", name="Add to the studies").count() == 0


def test_what_readers_do_is_told(server: Server, reader: Reader) -> None:
    """A proposal that is accepted as it is, and one in the place of which nothing is painted."""
    accepted, painted = "kind-grey", "kind-rgb"
    for image in (accepted, painted):
        answer = server.request("POST", f"/api/images/{image}/run", json={"client_id": "anna"})
        assert answer.status_code == 200, answer.text
    answer = server.request("POST", f"/api/images/{accepted}/accept", json={"client_id": "anna"})
    assert answer.status_code == 200, answer.text
    file = as_slicer_saves(np.zeros(SHAPE, np.uint8), server.download(painted), server.folder)
    segments = [{"name": "benign", "idx": 1}, {"name": "malignant", "idx": 2}]
    server.client("anna").save_label(painted, str(file), params={"label_info": segments})

    def compared() -> Any:
        weeks = server.request("GET", "/api/learning").json()["weeks"]
        return sum(week["n"] for week in weeks) >= 2 and weeks

    wait_until(compared, 60)
    page = reader.page
    page.goto(f"{server.url}/learning")
    assert (
        int(
            page.locator("section", has_text="Labels over time")
            .inner_text()
            .split(" readings")[0]
            .split()[-1]
        )
        >= 2
    )
    chart = page.get_by_role("img", name="Median Dice between proposal and reading, by week")
    assert chart.is_visible()
    page.locator("summary", has_text="As a table").last.click()
    assert page.locator("table", has_text="Median Dice").first.is_visible()
    page.locator("summary", has_text="As a table").last.click()
    reader.picture("learning")


@pytest.mark.slow
def test_a_training_is_followed_and_stopped(server: Server, reader: Reader) -> None:
    page = reader.page
    page.goto(f"{server.url}/learning")
    page.locator("#train-model").select_option("ultrasound")
    page.get_by_role("button", name="Train on the labels").click()
    page.locator("#training .pill", has_text="running").wait_for()
    assert page.locator("#training progress").is_visible()
    page.locator("#training", has_text=re.compile("Epoch \\d+ of")).wait_for()
    page.get_by_role("button", name="Stop the training").click()
    page.locator("#training .pill", has_text="stopped").wait_for()
    assert server.request("GET", "/train/").json()["status"] == "STOPPED"
