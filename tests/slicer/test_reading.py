from __future__ import annotations

from typing import Any

import pytest

from BreastLabelLib.reading import ReadingClock, breast_lines, finding_rows, four_up


def image(name: str, side: str | None = None, view: str | None = None, **more: Any) -> dict[str, Any]:
    return {"image_id": name, "laterality": side, "view_position": view, **more}


def names(places: list[Any]) -> list[str | None]:
    return [place and place["image_id"] for place in places]


def test_four_views_hang_with_the_right_breast_on_the_left() -> None:
    views = [image("d", "L", "MLO"), image("b", "L", "CC"), image("c", "R", "MLO"), image("a", "R", "CC")]
    assert names(four_up(views)) == ["a", "b", "c", "d"]


def test_what_names_no_view_fills_what_is_free() -> None:
    assert names(four_up([image("x")])) == ["x", None, None, None]
    assert names(four_up([image("x"), image("a", "R", "CC")])) == ["a", "x", None, None]
    twice = [image("a", "R", "CC"), image("a2", "R", "CC"), image("c", "R", "MLO"), image("d", "L", "MLO")]
    assert names(four_up([*twice, image("y")])) == ["a", "a2", "c", "d"]


FINDING = {
    "class": "malignant",
    "probability": 0.71,
    "uncertainty": None,
    "centroid": [10.5, 200.0],
    "long_axis": 12.4,
    "length_unit": "mm",
    "change": {"long_axis_percent": 54.0},
}


def test_findings_are_listed_by_suspicion() -> None:
    small = FINDING | {
        "class": "benign",
        "probability": 0.2,
        "change": None,
        "long_axis": 3.0,
        "length_unit": "px",
    }
    case = {
        "images": [
            image("a", "R", "CC", result={"findings": [small, FINDING]}),
            image("b", "L", "CC", result=None),
            image(
                "c",
                result={
                    "findings": [FINDING | {"probability": 0.9, "uncertainty": {"class_entropy": 0.549}}]
                },
            ),
        ]
    }
    rows = finding_rows(case)
    assert [(row.image_id, row.view, row.lesion_class) for row in rows] == [
        ("c", "c", "malignant"),
        ("a", "R CC", "malignant"),
        ("a", "R CC", "benign"),
    ]
    # ln 3 = 1.0986 nats is the most that three classes can have.
    assert [row.probability for row in rows] == ["90 % (unsure to 50 %)", "71 %", "20 %"]
    assert rows[1].size == "12 mm (+54 % since the older exam)"
    assert rows[2].size == "3 px"
    assert rows[1].position == (10.5, 200.0)


def test_each_breast_has_its_sentence() -> None:
    breasts = [
        {"laterality": "R", "malignancy_probability": 0.43, "predicted_class": "benign", "uncertainty": None},
        {"laterality": "L", "malignancy_probability": 0.03, "predicted_class": "normal", "uncertainty": None},
    ]
    breasts[0]["invasive_probability"] = 0.84
    assert breast_lines({"images": [image("a")], "breasts": breasts}) == [
        "Right breast: malignant 43 %, benign; if malignant, invasive 84 %",
        "Left breast: malignant 3 %, normal",
    ]


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ({"images": [image("a")]}, "has not read"),
        (
            {"images": [image("a")], "withheld": True, "breasts": [{"laterality": "R"}]},
            "after your own reading",
        ),
        (
            {"images": [image("a", result={"malignancy_probability": 0.5, "of_older_model": True})]},
            "An older model",
        ),
    ],
)
def test_what_is_not_there_is_said(case: dict[str, Any], said: str) -> None:
    assert said in "\n".join(breast_lines(case))


def test_only_the_image_in_front_of_the_reader_takes_time() -> None:
    now = [0.0]
    clock = ReadingClock(lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    clock.show("a")
    wait(10)
    clock.show("b")
    wait(5)
    clock.show(None)
    wait(100)
    clock.show("a")
    wait(2)
    assert (clock.seconds("a"), clock.seconds("b")) == (12, 5)
    clock.forget("a")
    wait(1)
    assert clock.seconds("a") == 1
