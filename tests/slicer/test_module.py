"""The widget and the scene without Slicer: stand-ins take the place of Qt and MRML and note what is called.

They show that the module's own code holds together, not that Slicer does what is asked of it.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import numpy as np
import pytest

CASE: dict[str, Any] = {
    "case_id": "c1",
    "modality": "MG",
    "images": [
        {
            "image_id": f"{side}{view}",
            "laterality": side,
            "view_position": view,
            "result": {
                "findings": [{"class": "benign", "probability": 0.2, "centroid": [3.0, 4.0]}],
                "proposal_version": 1,
                "model": "mammography",
                "checkpoint_version": "v1",
            },
        }
        for side in "RL"
        for view in ("CC", "MLO")
    ],
    "breasts": [{"laterality": "R", "malignancy_probability": 0.2, "predicted_class": "benign"}],
}


class _Base:
    """In the place of Slicer's base classes."""

    def __init__(self, parent: Any = None) -> None:
        self.parent = parent if parent is not None else MagicMock()
        self.layout = MagicMock()

    def setup(self) -> None:
        """Nothing."""


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    bases = ModuleType("slicer.ScriptedLoadableModule")
    for name in ("", "Widget", "Logic", "Test"):
        setattr(bases, f"ScriptedLoadableModule{name}", type(f"Base{name}", (_Base,), {}))
    slicer = MagicMock()
    slicer.util.arrayFromVolume.return_value = np.zeros((1, 8, 8), np.uint8)
    qt = MagicMock()
    # Else all boxes would be one.
    qt.QComboBox.side_effect = lambda *arguments: MagicMock()
    fakes = {"slicer": slicer, "slicer.ScriptedLoadableModule": bases, "qt": qt}
    for name, fake in {**fakes, "ctk": MagicMock(), "vtk": MagicMock()}.items():
        monkeypatch.setitem(sys.modules, name, fake)
    for name in ("BreastLabel", "BreastLabelLib.scene"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    yield importlib.import_module("BreastLabel")
    for name in ("BreastLabel", "BreastLabelLib.scene"):
        sys.modules.pop(name, None)


@pytest.fixture
def widget(module: ModuleType, tmp_path: Path) -> Any:
    widget = module.BreastLabelWidget()
    widget.setup()
    server = MagicMock()
    server.next_case.return_value = {"case_id": "c1"}
    server.case.return_value = CASE
    server.download_label.return_value = None
    widget.logic.server = server
    widget._modality.currentText, widget._strategy.currentText = "MG", "entropy"
    yield widget
    widget.cleanup()


def test_the_module_says_what_it_is_not(module: ModuleType) -> None:
    described = module.BreastLabel(MagicMock())
    assert "Not a medical device" in described.parent.helpText


def test_next_case_loads_all_views_and_starts_the_clock(widget: Any) -> None:
    widget._next()
    widget.logic.server.next_case.assert_called_once_with(strategy="entropy", modality="MG")
    loaded = [call.args[0] for call in widget.logic.server.download_image.call_args_list]
    assert loaded == ["RCC", "RMLO", "LCC", "LMLO"]
    assert widget.logic.image_id == "RCC"
    assert widget.logic.clock.seconds("RCC") >= 0
    widget._table.setRowCount.assert_called_with(4)


def test_run_asks_once_for_each_breast(widget: Any) -> None:
    widget._next()
    widget._run()
    assert [call.args[0] for call in widget.logic.server.run.call_args_list] == ["RCC", "LCC"]


def test_what_is_withheld_is_shown_where_the_reader_asks_for_it(widget: Any) -> None:
    server, widget._reveal = widget.logic.server, MagicMock()
    hidden = [{**image, "result": None, "withheld": True} for image in CASE["images"]]
    server.case.return_value = {**CASE, "images": hidden, "breasts": [], "withheld": True}
    server.reveal.return_value = {**CASE, "withheld": False}
    widget._next()
    assert widget._reveal.visible is True
    assert not server.download_label.called
    widget._show_opinion()
    server.reveal.assert_called_once_with("c1")
    assert widget._reveal.visible is False
    assert "Right breast: malignant 20 %" in widget._opinion.text
    assert server.download_label.called


def test_a_finding_is_jumped_to_in_its_own_image(widget: Any) -> None:
    widget._next()
    widget._jump(2)
    assert widget.logic.image_id == "LCC"


def test_saving_names_the_segments_by_the_order_that_they_stand_in(widget: Any, module: ModuleType) -> None:
    widget._next()
    widget._birads.currentText, widget._type.currentText = "4", "mass"
    segmentation = widget.logic._segmentation("RCC").GetSegmentation()
    segmentation.GetNumberOfSegments.return_value = 2
    segmentation.GetNthSegmentID.side_effect = ["m", "b"]
    segmentation.GetSegment.side_effect = lambda one: MagicMock(
        GetName=lambda: {"m": "malignant", "b": "benign"}[one]
    )
    widget._save()
    call = widget.logic.server.save.call_args
    assert call.args[0] == "RCC"
    assert call.args[2] == [("malignant", 1), ("benign", 2)]
    assert call.kwargs["birads"] == "4"
    assert call.kwargs["model_version"] == "v1"
    assert call.kwargs["seconds_spent"] >= 0


def test_accepting_names_the_proposal_that_was_seen(widget: Any) -> None:
    widget._next()
    widget._birads.currentText, widget._type.currentText = "2", ""
    widget._accept()
    call = widget.logic.server.accept.call_args
    assert call.args == ("RCC",)
    assert call.kwargs["proposal_version"] == 1


def test_what_the_server_refuses_is_shown_and_does_not_end_the_module(
    widget: Any, module: ModuleType
) -> None:
    from BreastLabelLib.server import ServerError

    widget.logic.server.next_case.side_effect = ServerError("no such strategy", 404)
    widget._try(widget._next)
    module.slicer.util.errorDisplay.assert_called_once()
    assert "no such strategy" in module.slicer.util.errorDisplay.call_args.args[0]


def test_without_a_server_the_reader_is_told_what_to_do(widget: Any, module: ModuleType) -> None:
    widget.logic.server = None
    widget._try(widget._next)
    assert "press Connect" in module.slicer.util.errorDisplay.call_args.args[0]
