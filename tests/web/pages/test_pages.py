"""Every page: what it must say, what a browser may run of it, and whether it can be used without a mouse."""

from __future__ import annotations

import io
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any

import pytest
from fastapi.testclient import TestClient

from breastlabel.findings.result import NOTICE
from breastlabel.label.app import BreastLabelApp

from .conftest import MG, US

PAGES = ("/worklist", "/read", "/learning", "/about")


class Elements(HTMLParser):
    """Every element of a page with its attributes."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def all(self, *tags: str) -> Iterator[dict[str, str | None]]:
        return (attributes for tag, attributes in self.found if tag in tags)


@pytest.fixture(scope="module", params=PAGES)
def answer(request: pytest.FixtureRequest, client: TestClient) -> Any:
    found = client.get(request.param)
    assert found.status_code == 200, found.text
    return found


def test_it_says_what_it_is_for(answer: Any) -> None:
    assert NOTICE == "Research use only. Not a medical device. A prompt for a second look, not a verdict."
    assert NOTICE in answer.text


def test_no_page_comes_with_scripts_from_the_web(client: TestClient) -> None:
    assert client.get("/docs").status_code == client.get("/redoc").status_code == 404
    assert client.get("/openapi.json").json()["info"]["title"] == "breastlabel"


def test_a_browser_runs_only_our_files(answer: Any) -> None:
    policy = dict(part.split(" ", 1) for part in answer.headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    page = Elements(answer.text)
    for script in page.all("script"):
        assert str(script["src"]).startswith("/assets/")
    for tag, attributes in page.found:
        assert "style" not in attributes, tag
        assert not [name for name in attributes if name.startswith("on")], tag
        for name in ("src", "href", "action"):
            assert not str(attributes.get(name, "/")).startswith(("http:", "//", "data:", "javascript:")), tag
    assert "<style" not in answer.text


def test_it_can_be_found_ones_way_in_by_ear(answer: Any) -> None:
    page = Elements(answer.text)
    assert next(page.all("html"))["lang"] == "en"
    for landmark in ("header", "nav", "main", "h1"):
        assert len(list(page.all(landmark))) == 1, landmark
    ids = [a["id"] for _, a in page.found if "id" in a]
    assert len(ids) == len(set(ids))
    labelled = {a["for"] for a in page.all("label") if "for" in a}
    for attributes in page.all("input", "select"):
        named = attributes.get("id") in labelled or "aria-label" in attributes
        assert named or attributes["type"] in ("range", "checkbox"), attributes
    for attributes in page.all("img", "svg"):
        assert "alt" in attributes or attributes.get("role") == "img"
    for _, attributes in page.found:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set((attributes.get(name) or "").split()) <= set(ids)


def test_the_files_it_names_are_there(answer: Any, client: TestClient) -> None:
    page = Elements(answer.text)
    wanted = [a["src"] for a in page.all("script")] + [a["href"] for a in page.all("link")]
    assert wanted
    for address in wanted:
        assert client.get(str(address)).status_code == 200, address


def test_a_file_is_sent_once(client: TestClient) -> None:
    first = client.get("/assets/breastlabel.css")
    assert first.headers["content-type"].startswith("text/css")
    again = client.get("/assets/breastlabel.css", headers={"If-None-Match": first.headers["etag"]})
    assert again.status_code == 304
    assert again.content == b""
    for name in ("..%2F__init__.py", "ohif", "no.css", "%2Fetc%2Fpasswd"):
        assert client.get(f"/assets/{name}").status_code == 404


def test_a_browser_is_led_to_the_worklist(client: TestClient) -> None:
    seen = client.get("/", headers={"Accept": "text/html,*/*"}, follow_redirects=False)
    assert seen.headers["location"] == "/worklist"
    assert client.get("/", follow_redirects=False).headers["location"] == "/about"


def test_the_worklist_tells_what_waits(client: TestClient) -> None:
    page = client.get("/worklist", params={"strategy": "first"}).text
    assert "1 to 3 of 3 cases; 0 of 6 images have a label" in page
    assert "right CC, MLO; left CC, MLO" in page
    assert f"http://127.0.0.1:8000\n{US}</pre>" in page
    assert f"/api/images/{MG}/thumbnail.png" in page
    assert "/ohif/" in page
    assert "next in the folder" in page


def test_the_worklist_is_filtered(client: TestClient) -> None:
    def cases(**filters: Any) -> int:
        return client.get("/worklist/list", params=filters).text.count("data-case=")

    assert cases(modality="US") == 2
    assert cases(modality="MG") == 1
    assert cases(status="read") == 0
    assert cases(status="all", modality="") == 3
    assert cases(offset=2) == 1
    assert "No case of this kind" in client.get("/worklist/list?status=question").text
    for wrong in ({"modality": "CT"}, {"status": "no"}, {"offset": -1}):
        assert client.get("/worklist", params=wrong).status_code == 422
    assert client.get("/worklist", params={"strategy": "no-such"}).status_code == 404


def test_the_worklist_has_pages(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("breastlabel.web.pages.worklist.LIMIT", 2)
    first = client.get("/worklist", params={"modality": "", "strategy": "first"}).text
    assert "1 to 2 of 3 cases" in first
    assert 'rel="next" href="/worklist?strategy=first&amp;offset=2"' in first
    second = client.get("/worklist?strategy=first&offset=2").text
    assert "3 to 3 of 3 cases" in second
    assert 'rel="prev" href="/worklist?strategy=first"' in second


def test_who_has_a_case_is_said(client: TestClient) -> None:
    taken = client.post(
        "/api/cases/next", json={"client_id": "web-7", "strategy": "first", "modality": "MG"}
    ).json()
    page = client.get("/worklist/list?status=reading").text
    assert f'data-case="{taken["case_id"]}" data-leased="web-7"' in page
    assert "data-case" not in client.get("/worklist/list?modality=MG").text


def test_unknown_segments_are_asked_about(app: BreastLabelApp, client: TestClient) -> None:
    evil = '"><script>alert(1)</script>'
    app.catalog.questions.ask(
        "1.2.3.4",
        io.BytesIO(b"DICM").getvalue(),
        segments=[{"name": evil, "type": "Lesion", "colour": None, "images": [US]}],
        image_ids=[US],
        author="anna",
        client_id="viewer",
        info={},
    )
    page = client.get("/worklist").text
    assert "<script>alert" not in page
    question = next(a for a in Elements(page).all("form") if "data-question" in a)
    assert question["data-question"] == str(app.catalog.questions.open()[0].segmentation_id)
    asked = [a for a in Elements(page).all("select") if a.get("name") == evil]
    assert len(asked) == 1
    assert "by anna" in page
