"""Text stands out from what is behind it: WCAG 2.2, success criteria 1.4.3 (4.5 to 1) and 1.4.11 (3 to 1)."""

from __future__ import annotations

import re
from importlib.resources import files

import pytest

_CSS = (files("breastlabel.web") / "assets" / "breastlabel.css").read_text(encoding="utf-8")
_COLOURS = dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", _CSS))


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG defines it."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(a: str, b: str) -> float:
    low, high = sorted((luminance(a), luminance(b)))
    return (high + 0.05) / (low + 0.05)


def test_the_measure_is_that_of_the_standard() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21.0)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)


@pytest.mark.parametrize("ground", ["ground", "panel", "raised"])
@pytest.mark.parametrize("text", ["text", "soft", "accent", "good", "warn", "bad", "normal"])
def test_text_can_be_read(text: str, ground: str) -> None:
    assert contrast(_COLOURS[text], _COLOURS[ground]) >= 4.5


def test_the_main_buttons_text_can_be_read() -> None:
    assert contrast(_COLOURS["on-accent"], _COLOURS["accent"]) >= 4.5


@pytest.mark.parametrize("ground", ["ground", "panel"])
def test_the_border_of_a_control_can_be_seen(ground: str) -> None:
    borders = set(re.findall(r"border: 1px solid (#[0-9a-f]{6})", _CSS))
    assert borders
    for border in borders:
        assert contrast(border, _COLOURS[ground]) >= 3.0


def test_the_focus_is_never_hidden() -> None:
    assert ":focus-visible { outline: 3px solid" in _CSS
    hidden = re.findall(r"([^{}]+)\{[^}]*outline: none", _CSS)
    assert [selector.strip() for selector in hidden] == ["main:focus"]


def test_nothing_is_fetched_from_elsewhere() -> None:
    for entry in (files("breastlabel.web") / "assets").iterdir():
        if entry.name.endswith((".css", ".js")):
            text = entry.read_text(encoding="utf-8")
            assert "//cdn" not in text
            assert not re.search(r"(import|url|fetch)\W{1,3}https?:", text), entry.name
