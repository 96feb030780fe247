"""What to show of a case, and how long it was read. Knows neither Qt nor MRML."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["FindingRow", "ReadingClock", "breast_lines", "finding_rows", "four_up"]

#: Rows and columns of the four-up: the right breast on the left, chest walls facing each other.
_PLACES = {("R", "CC"): 0, ("L", "CC"): 1, ("R", "MLO"): 2, ("L", "MLO"): 3}
_SIDES = {"R": "right", "L": "left"}


@dataclass(frozen=True)
class FindingRow:
    """A lesion as a line of the table.

    Attributes:
        image_id: where it lies.
        view: ``R MLO``; the image's id where side and view are unknown.
        lesion_class: benign or malignant.
        probability: that it is malignant, with its uncertainty where that was asked for.
        size: the long axis and, where an older exam shows it, how much it grew.
        position: (row, column) in the image's pixels, from zero.
    """

    image_id: str
    view: str
    lesion_class: str
    probability: str
    size: str
    position: tuple[float, float]


def four_up(images: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any] | None]:
    """Images by place: R-CC, L-CC over R-MLO, L-MLO; others fill what is free. At most four.

    One image (an ultrasound) stands alone at the first place, with nothing at the others.
    """
    places: list[Mapping[str, Any] | None] = [None] * 4
    left = []
    for image in images:
        place = _PLACES.get((str(image.get("laterality")), str(image.get("view_position"))))
        if place is not None and places[place] is None:
            places[place] = image
        else:
            left.append(image)
    for image in left:
        if None in places:
            places[places.index(None)] = image
    return places


def finding_rows(case: Mapping[str, Any]) -> list[FindingRow]:
    """All lesions of a case, the most suspicious first."""
    found = [
        (float(finding.get("probability") or 0.0), _row(image, finding))
        for image in case["images"]
        for finding in (image.get("result") or {}).get("findings") or ()
    ]
    return [row for _, row in sorted(found, key=lambda pair: -pair[0])]


def breast_lines(case: Mapping[str, Any]) -> list[str]:
    """A sentence for each breast, or for each image of another modality; what is missing is said."""
    if case.get("withheld"):
        return ["The AI's opinion is shown after your own reading."]
    lines = []
    for breast in case.get("breasts") or ():
        side = _SIDES.get(str(breast.get("laterality")), "one")
        lines.append(f"{side.capitalize()} breast: {_probability(breast)}")
    if not lines:
        for image in case["images"]:
            result = image.get("result")
            if result:
                lines.append(f"{_view(image)}: {_probability(result)}")
    if any((image.get("result") or {}).get("of_older_model") for image in case["images"]):
        lines.append("An older model said so; Run AI asks the present one.")
    return lines or ["The AI has not read this case; press Run AI."]


class ReadingClock:
    """How long an image is in front of the reader; it stands while the module is not shown.

    Args:
        now: seconds of a clock that never goes back.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._spent: dict[str, float] = {}
        self._current: str | None = None
        self._since = 0.0

    def show(self, image_id: str | None) -> None:
        """From now on this image is looked at; None: no image is."""
        if self._current is not None:
            self._spent[self._current] = self.seconds(self._current)
        self._current, self._since = image_id, self._now()

    def seconds(self, image_id: str) -> float:
        """How long an image was looked at so far."""
        running = self._now() - self._since if image_id == self._current else 0.0
        return self._spent.get(image_id, 0.0) + running

    def forget(self, image_id: str) -> None:
        """Begin anew, after its label was saved."""
        self._spent.pop(image_id, None)
        if image_id == self._current:
            self._since = self._now()


def _row(image: Mapping[str, Any], finding: Mapping[str, Any]) -> FindingRow:
    row, column = (float(value) for value in finding["centroid"])
    return FindingRow(
        image_id=str(image["image_id"]),
        view=_view(image),
        lesion_class=str(finding["class"]),
        probability=_percent(finding.get("probability"), finding.get("uncertainty")),
        size=_size(finding),
        position=(row, column),
    )


def _view(image: Mapping[str, Any]) -> str:
    named = [str(image[name]) for name in ("laterality", "view_position") if image.get(name)]
    return " ".join(named) or str(image["image_id"])


def _size(finding: Mapping[str, Any]) -> str:
    if finding.get("long_axis") is None:
        return ""
    size = f"{float(finding['long_axis']):.0f} {finding.get('length_unit', 'px')}"
    grown = (finding.get("change") or {}).get("long_axis_percent")
    return size if grown is None else f"{size} ({float(grown):+.0f} % since the older exam)"


def _probability(result: Mapping[str, Any]) -> str:
    said = _percent(result.get("malignancy_probability"), result.get("uncertainty"))
    text = f"malignant {said}, {result.get('predicted_class', 'class unknown')}"
    invasive = result.get("invasive_probability")
    return text if invasive is None else f"{text}; if malignant, invasive {_percent(invasive, None)}"


def _percent(value: Any, uncertainty: Any) -> str:
    """A probability and, where it was asked for, how unsure the model is of its class (100 %: not at all sure)."""
    if value is None:
        return "–"
    text = f"{100 * float(value):.0f} %"
    entropy = uncertainty.get("class_entropy") if isinstance(uncertainty, Mapping) else None
    return text if entropy is None else f"{text} (unsure to {100 * float(entropy) / math.log(3):.0f} %)"
