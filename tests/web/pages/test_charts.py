"""Charts say in words what they show, and put figures where they belong."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree

import pytest
from markupsafe import Markup

from breastlabel.web.pages.charts import Interval, interval_chart, stacked_bars, trend_chart


def parsed(chart: Markup) -> ElementTree.Element:
    # HTML knows SVG's names without a namespace; an XML parser does not care.
    return ElementTree.fromstring(str(chart))


def test_bars_are_stacked_in_proportion() -> None:
    chart = parsed(
        stacked_bars(
            "c",
            [("1 May", {"benign": 3, "malignant": 1}), ("2 May", {"benign": 2, "malignant": 0})],
            title="T",
        )
    )
    bars = chart.findall("rect")
    # 4 is the top of the axis, and the plot is 144 high: 180 less 10 above and 26 below.
    assert [(b.get("class"), float(b.get("height", ""))) for b in bars] == [
        ("part-benign", 108.0),
        ("part-malignant", 36.0),
        ("part-benign", 72.0),
    ]
    assert float(bars[1].get("y", "")) == 10.0
    assert float(bars[0].get("y", "")) == 46.0


@pytest.mark.parametrize(
    ("chart", "said"),
    [
        (stacked_bars("c", [("1 May", {"benign": 3, "normal": 0})], title="T"), "1 May: 3 benign"),
        (trend_chart("c", [("1 May", 0.5, 4)], title="T"), "1 May: 0.50 of 4"),
        (
            interval_chart("c", [Interval("v1", 0.5, 0.25, 0.75), Interval("v2", None)], title="T"),
            "v1: 0.500 (0.250 to 0.750); v2: not defined",
        ),
        (stacked_bars("c", [], title="T"), "nothing yet"),
        (trend_chart("c", [], title="T"), "nothing yet"),
        (interval_chart("c", [], title="T"), "nothing yet"),
    ],
)
def test_a_chart_is_told_in_words(chart: Markup, said: str) -> None:
    svg = parsed(chart)
    assert svg.get("role") == "img"
    title, description = (svg.find(f"*[@id='c-{part}']") for part in ("title", "desc"))
    assert title is not None
    assert title.text == "T"
    assert description is not None
    assert description.text == said
    assert svg.get("aria-labelledby") == "c-title c-desc"


def test_an_interval_stands_where_its_figures_are() -> None:
    chart = parsed(
        interval_chart("c", [Interval("v", 0.5, 0.0, 1.0, mark=True)], title="T", domain=(0.0, 1.0))
    )
    point = chart.find("circle")
    whisker = next(line for line in chart.findall("line") if "whisker" in line.get("class", ""))
    assert point is not None
    # From 190, where the names end, over 220 units, to where the figures begin.
    assert float(point.get("cx", "")) == 300.0
    assert (float(whisker.get("x1", "")), float(whisker.get("x2", ""))) == (190.0, 410.0)
    assert point.get("class") == "mark"


def test_a_lonely_bar_is_no_wall() -> None:
    (bar,) = parsed(stacked_bars("c", [("1 May", {"benign": 1})], title="T")).findall("rect")
    left, width = float(bar.get("x", "")), float(bar.get("width", ""))
    assert width == 60
    # In the middle of the plot, which goes from 44 to 548.
    assert left + width / 2 == 296


def test_a_share_stands_at_its_height() -> None:
    chart = parsed(trend_chart("c", [("a", 1.0, 1), ("b", 0.0, 100)], title="T"))
    high, low = chart.findall("circle")
    assert float(high.get("cy", "")) == 10.0
    assert float(low.get("cy", "")) == 154.0
    assert float(low.get("r", "")) > float(high.get("r", ""))


def test_what_a_name_smuggles_in_stays_text() -> None:
    evil = '"><script>alert(1)</script>'
    for chart in (
        stacked_bars("c", [(evil, {evil: 1})], title=evil),
        trend_chart("c", [(evil, 0.5, 1)], title=evil),
        interval_chart("c", [Interval(evil, 0.5, 0.4, 0.6)], title=evil, lines={evil: 0.5}),
    ):
        assert "<script" not in chart
        parsed(chart)


def test_no_style_is_inline() -> None:
    chart = interval_chart("c", [Interval("v", 0.5, 0.4, 0.6)], title="T", lines={"equal": 0.0})
    assert not re.search(r"\bstyle=|\bfill=|\bstroke=", chart)


@pytest.mark.parametrize("low", [0.0, -0.3, 0.499])
def test_ticks_are_round(low: float) -> None:
    chart = parsed(interval_chart("c", [Interval("v", 0.5, low, 0.5)], title="T"))
    ticks = [t.text or "" for t in chart.findall("text") if t.get("text-anchor") == "middle"]
    assert 2 <= len(ticks) <= 7
    assert all(len(tick.lstrip("-")) <= 5 for tick in ticks)
