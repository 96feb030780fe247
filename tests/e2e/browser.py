"""Debian's Chromium, driven through Playwright, and OHIF in it.

`chromium` is one browser a module and `ohif` says that the viewer has been fetched; both skip with the
reason where that cannot be. Rendering is in software, and the machine is shared: every wait is generous.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from breastlabel.web.ohif.release import viewer_folder

__all__ = ["PICTURES", "Reader", "chromium", "ohif", "opened"]

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")
# WebGL without a graphics card.
_FLAGS = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--no-sandbox")
_SIZE = {"width": 1280, "height": 800}
_SECONDS = 240.0
_ROOT = Path(__file__).parents[2]
#: Set to 1 to make the pictures of the documentation anew.
PICTURES = "BREASTLABEL_PICTURES"


# Not for the session: while Playwright runs, its event loop counts as the thread's, and no other test
# could call asyncio.run.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """A headless browser of the system's own."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if program is None:
        pytest.skip("no Chromium is installed (Debian, Ubuntu: chromium)")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=program, args=list(_FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def ohif() -> Path:
    """The folder of the viewer, fetched where that has not been done."""
    if not (viewer_folder() / "index.html").is_file():
        fetched = subprocess.run(
            [_ROOT / "scripts" / "fetch-ohif"], capture_output=True, text=True, timeout=300, check=False
        )
        if fetched.returncode:
            pytest.skip(f"OHIF is not here: {(fetched.stderr.splitlines() or ['no reason said'])[-1]}")
    return viewer_folder()


class Reader:
    """A page of the browser with OHIF in it, and what a radiologist does there.

    Attributes:
        hosts: of everything that the page asked for.
        failures: errors that no code of the page caught, and answers of the server that are 500 or more.
    """

    def __init__(self, page: Any, pictures: Path) -> None:
        self.page = page
        self.pictures = pictures
        self.hosts: set[str] = set()
        self.failures: list[str] = []
        page.set_default_timeout(_SECONDS * 1000)
        page.on("request", lambda request: self._note(request.url))
        page.on("pageerror", lambda error: self.failures.append(str(error)))
        page.on(
            "response", lambda r: self.failures.append(f"{r.status} {r.url}") if r.status >= 500 else None
        )

    def _note(self, url: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("data", "blob"):
            self.hosts.add(parts.netloc)

    def open(self, url: str) -> None:
        """Load a case in OHIF, until each image that hangs has its pixels."""
        self.page.goto(url, wait_until="commit")
        self.drawn()

    def drawn(self) -> None:
        """Wait until there is a case, and each image of it that hangs has its pixels."""
        self.until("window.breastlabel?.reading.data && breastlabel.views.list().length > 0")
        self.until(
            "breastlabel.views.list().filter((v) => v.image).length > 0 && "
            "breastlabel.views.list().every((v) => !v.image || breastlabel.views.ready(v.image.image_id))"
        )

    def until(self, condition: str) -> None:
        """Wait for a condition in JavaScript; where it does not come, say what the page knows of why."""
        try:
            self.page.wait_for_function(f"() => Boolean({condition})", timeout=_SECONDS * 1000)
        except Exception as error:
            known = self.ask("() => [...(window.breastlabel?.drawings.problems ?? [])]")
            raise AssertionError(f"{condition} did not come; {known}; {self.failures}") from error

    def ask(self, expression: str, argument: Any = None) -> Any:
        """The value of a JavaScript expression, or of a function of the argument."""
        return self.page.evaluate(expression, argument)

    def press(self, name: str) -> None:
        """A button or box of our panel."""
        self.page.locator(f"[data-cy=breastlabel-{name}]").first.click()

    def hung(self) -> dict[str, tuple[int, int]]:
        """Where the images of the case hang: (row, column) of the grid by image id."""
        boxes = self.ask(
            "() => breastlabel.views.list().filter((v) => v.image).map((v) => "
            "[v.image.image_id, v.viewport.canvas.getBoundingClientRect().toJSON()])"
        )
        tops, lefts = (sorted({round(box[edge]) for _, box in boxes}) for edge in ("top", "left"))
        return {image: (tops.index(round(b["top"])), lefts.index(round(b["left"]))) for image, b in boxes}

    def point(self, image_id: str, row: float, column: float) -> tuple[float, float]:
        """Where a pixel of an image is in the page."""
        x, y = self.ask("(a) => breastlabel.views.toPage(...a)", [image_id, row, column])
        return float(x), float(y)

    def brush(self, image_id: str, path: Sequence[tuple[float, float]], *, radius: float) -> None:
        """Draw with the mouse along (row, column) points of an image; ``radius`` is the slider's, in mm."""
        mouse = self.page.mouse
        first = self.point(image_id, *path[0])
        self.ask("(r) => breastlabel.drawings.setRadius(r)", radius)
        mouse.move(*first)
        self.page.wait_for_timeout(500)
        mouse.down()
        for row, column in path[1:] or [(path[0][0], path[0][1] + 0.5)]:
            mouse.move(*self.point(image_id, row, column), steps=4)
            self.page.wait_for_timeout(300)
        mouse.up()
        self.until(f"breastlabel.drawings.isChanged({image_id!r})")

    def picture(self, name: str, *, documented: bool = True) -> bytes:
        """The page as it looks now; kept by the test, and for the documentation where that is asked for."""
        self.page.mouse.move(5, 5)
        self.page.wait_for_timeout(500)
        file = self.pictures / f"{name}.jpg"
        taken = bytes(self.page.screenshot(path=file, type="jpeg", quality=80))
        if documented and os.environ.get(PICTURES) == "1":
            target = _ROOT / "docs" / "images" / file.name
            target.parent.mkdir(exist_ok=True)
            shutil.copy(file, target)
        return taken

    def said(self, words: str) -> str:
        """The message at the page's edge that has the words; each comes once."""
        message = self.page.get_by_text(re.compile(words)).first
        message.wait_for(state="visible")
        return str(message.inner_text())


@contextlib.contextmanager
def opened(browser: Any, pictures: Path) -> Iterator[Reader]:
    """A page without anyone's cookies."""
    context = browser.new_context(viewport=_SIZE)
    try:
        yield Reader(context.new_page(), pictures)
    finally:
        context.close()
