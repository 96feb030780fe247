"""Charts as inline SVG, made on the server: no script, and a title and a description for those who hear them.

Colours come from the stylesheet by class (a page's policy forbids inline styles); positions stand in the SVG.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

__all__ = ["Interval", "interval_chart", "stacked_bars", "trend_chart"]

_WIDTH = 560
_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 12, 10, 26
_WIDEST_BAR = 60


@dataclass(frozen=True)
class Interval:
    """A figure and what is known of its uncertainty.

    Attributes:
        name: what stands beside it.
        mean: None where it is not defined; the row says so.
        low, high: ends of the 95 % interval; None where none was recorded.
        mark: whether it is to stand out (the version that serves).
    """

    name: str
    mean: float | None
    low: float | None = None
    high: float | None = None
    mark: bool = False

    def text(self, digits: int = 3) -> str:
        """In words, for a table and for the chart's description."""
        if self.mean is None:
            return "not defined"
        if self.low is None or self.high is None:
            return f"{self.mean:.{digits}f} (no interval)"
        return f"{self.mean:.{digits}f} ({self.low:.{digits}f} to {self.high:.{digits}f})"


def stacked_bars(
    name: str, bars: Sequence[tuple[str, Mapping[str, int]]], *, title: str, height: int = 180
) -> Markup:
    """Bars side by side, each of several parts; a part's name is its CSS class ``part-NAME`` too.

    Args:
        name: of the chart, unique on its page.
        bars: (what stands below, parts by name), from left to right; parts in the order of the first bar.
    """
    total = max((sum(parts.values()) for _, parts in bars), default=0)
    top = _round_up(total)
    inner, tall = _WIDTH - _LEFT - _RIGHT, height - _TOP - _BOTTOM
    step = inner / max(1, len(bars))
    body = [_horizontal_lines([0, top / 2, top], lambda v: height - _BOTTOM - tall * v / top, "{:g}")]
    every, width = math.ceil(len(bars) / 8), min(step * 0.76, _WIDEST_BAR)
    for place, (label, parts) in enumerate(bars):
        middle, base = _LEFT + step * (place + 0.5), float(height - _BOTTOM)
        for part, count in parts.items():
            tallness = tall * count / top
            base -= tallness
            if count:
                body.append(
                    f'<rect class="part-{escape(part)}" x="{middle - width / 2:.1f}" y="{base:.1f}" '
                    f'width="{width:.1f}" height="{tallness:.1f}"/>'
                )
        if place % every == 0:
            body.append(_text(middle, height - 8, label, "middle"))
    described = "; ".join(
        f"{label}: " + ", ".join(f"{count} {part}" for part, count in parts.items() if count)
        for label, parts in bars
        if any(parts.values())
    )
    return _svg(name, height, title, described or "nothing yet", body)


def trend_chart(
    name: str, points: Sequence[tuple[str, float, int]], *, title: str, height: int = 180
) -> Markup:
    """A line through shares of 0 to 1; a point's area grows with how many it stands for.

    Args:
        points: (what stands below, share, of how many), from left to right.
    """
    inner, tall = _WIDTH - _LEFT - _RIGHT, height - _TOP - _BOTTOM
    step = inner / max(1, len(points))
    body = [_horizontal_lines([0, 0.5, 1], lambda v: height - _BOTTOM - tall * v, "{:.1f}")]
    places = [
        (_LEFT + step * (i + 0.5), height - _BOTTOM - tall * min(1.0, max(0.0, share)))
        for i, (_, share, _) in enumerate(points)
    ]
    if len(places) > 1:
        line = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        body.append(f'<polyline class="line" points="{line}"/>')
    most = max((n for _, _, n in points), default=1)
    every = math.ceil(len(points) / 8)
    for i, ((x, y), (label, _, n)) in enumerate(zip(places, points, strict=True)):
        body.append(
            f'<circle class="dot" cx="{x:.1f}" cy="{y:.1f}" r="{2.5 + 3.5 * math.sqrt(n / most):.1f}"/>'
        )
        if i % every == 0:
            body.append(_text(x, height - 8, label, "middle"))
    described = "; ".join(f"{label}: {share:.2f} of {n}" for label, share, n in points)
    return _svg(name, height, title, described or "nothing yet", body)


def interval_chart(
    name: str,
    rows: Sequence[Interval],
    *,
    title: str,
    domain: tuple[float, float] | None = None,
    lines: Mapping[str, float] | None = None,
    label_width: int = 190,
) -> Markup:
    """Figures under each other with their 95 % intervals, as in a forest plot.

    Args:
        domain: least and greatest value shown; what the rows need, if None.
        lines: values that matter, by name, drawn from top to bottom.
    """
    lines = lines or {}
    low, high = domain or _domain(rows, lines)
    row_height, left = 24, label_width
    height = _TOP + row_height * max(1, len(rows)) + _BOTTOM
    inner = _WIDTH - left - 150

    def at(value: float) -> float:
        return left + inner * (min(high, max(low, value)) - low) / (high - low)

    floor = height - _BOTTOM
    body = [
        f'<line class="grid" x1="{at(v):.1f}" x2="{at(v):.1f}" y1="{_TOP}" y2="{floor}"/>'
        + _text(at(v), height - 8, f"{v:g}", "middle")
        for v in _ticks(low, high)
    ]
    body += [
        f'<line class="limit" x1="{at(v):.1f}" x2="{at(v):.1f}" y1="{_TOP}" y2="{floor}">'
        f"<title>{escape(what)}</title></line>"
        for what, v in lines.items()
    ]
    for place, row in enumerate(rows):
        y = _TOP + row_height * (place + 0.5)
        kind = "mark" if row.mark else "dot"
        body.append(_text(left - 10, y + 4, _short(row.name), "end", kind="label"))
        body.append(_text(_WIDTH, y + 4, _figures(row), "end"))
        if row.mean is None:
            continue
        if row.low is not None and row.high is not None:
            body.append(
                f'<line class="{kind} whisker" x1="{at(row.low):.1f}" x2="{at(row.high):.1f}" '
                f'y1="{y:.1f}" y2="{y:.1f}"/>'
            )
        body.append(f'<circle class="{kind}" cx="{at(row.mean):.1f}" cy="{y:.1f}" r="4.5"/>')
    described = "; ".join(f"{row.name}: {row.text()}" for row in rows)
    return _svg(name, height, title, described or "nothing yet", body)


def _svg(name: str, height: float, title: str, description: str, body: Sequence[str]) -> Markup:
    return Markup(
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {height:g}" role="img" '
        f'aria-labelledby="{escape(name)}-title {escape(name)}-desc">'
        f'<title id="{escape(name)}-title">{escape(title)}</title>'
        f'<desc id="{escape(name)}-desc">{escape(description)}</desc>{"".join(body)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str, *, kind: str = "tick") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _horizontal_lines(values: Sequence[float], place: Callable[[float], float], form: str) -> str:
    return "".join(
        f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{place(v):.1f}" y2="{place(v):.1f}"/>'
        + _text(_LEFT - 6, place(v) + 4, form.format(v), "end")
        for v in values
    )


def _figures(row: Interval) -> str:
    if row.mean is None:
        return "not defined"
    if row.low is None or row.high is None:
        return f"{row.mean:.3f}"
    return f"{row.mean:.3f} ({row.low:.2f} to {row.high:.2f})"


def _short(text: str, most: int = 30) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _round_up(value: float) -> float:
    """The next of 2, 4, 10, 20, 40, 100, ...: half of it is whole too."""
    scale = 1.0
    while True:
        for factor in (2.0, 4.0, 10.0):
            if value <= factor * scale:
                return factor * scale
        scale *= 10.0


def _domain(rows: Sequence[Interval], lines: Mapping[str, float]) -> tuple[float, float]:
    values = [v for row in rows for v in (row.mean, row.low, row.high) if v is not None] + list(
        lines.values()
    )
    if not values:
        return 0.0, 1.0
    low, high = min(values), max(values)
    room = max((high - low) * 0.08, 0.01)
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round values in the domain."""
    raw = (high - low) / 4
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * f for f in (1, 2, 5, 10) if power * f >= raw)
    first = math.ceil(low / step)
    return [round(step * i, 10) for i in range(first, math.floor(high / step) + 1)]
