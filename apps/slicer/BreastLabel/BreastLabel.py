"""3D Slicer module: read breast cases with a breastlabel server.

Slicer's own scripted-module template, filled in: `BreastLabel` describes the module, `BreastLabelWidget` is its
panel, `BreastLabelLogic` (in `BreastLabelLib.scene`) moves images and segmentations between the server and the
scene, and `BreastLabelTest` is the self-test. The rest of `BreastLabelLib` runs and is tested without Slicer.
"""

import os
import socket

import ctk
import qt
import slicer
from slicer.ScriptedLoadableModule import (
    ScriptedLoadableModule,
    ScriptedLoadableModuleTest,
    ScriptedLoadableModuleWidget,
)

from BreastLabelLib import BreastLabelServer, ServerError, breast_lines, finding_rows
from BreastLabelLib.scene import BreastLabelLogic

NOTICE = "Research use only. Not a medical device. A prompt for a second look, not a verdict."


class BreastLabel(ScriptedLoadableModule):
    """What Slicer shows of the module."""

    def __init__(self, parent):
        ScriptedLoadableModule.__init__(self, parent)
        self.parent.title = "BreastLabel"
        self.parent.categories = ["Segmentation"]
        self.parent.dependencies = []
        self.parent.contributors = ["The breastlabel authors"]
        self.parent.helpText = (
            "Reads mammograms and breast ultrasound with a breastlabel server: the next case, the AI's outlines and "
            f"probabilities, corrections, retraining.<br><b>{NOTICE}</b>"
        )
        self.parent.acknowledgementText = "Talks to a server that is built on MONAI Label."


class BreastLabelWidget(ScriptedLoadableModuleWidget):
    """The panel. It shows, asks and reports; `BreastLabelLogic` does."""

    def setup(self):
        ScriptedLoadableModuleWidget.setup(self)
        self.logic = BreastLabelLogic()
        self._add_server()
        self._add_case()
        self._add_findings()
        self._add_reading()
        self._add_training()
        self.layout.addStretch(1)
        self._timer = qt.QTimer()
        self._timer.setInterval(3000)
        self._timer.connect("timeout()", self._show_training)
        self._show_case()

    def cleanup(self):
        """The module or the program ends."""
        self._timer.stop()
        self.logic.close()

    def enter(self):
        """The module is shown."""
        self.logic.resume()
        if self.logic.server is not None:
            self._timer.start()

    def exit(self):
        """Another module is shown; the clock stands."""
        self._timer.stop()
        self.logic.pause()

    # The panel's parts

    def _section(self, title, name):
        box = ctk.ctkCollapsibleButton()
        box.text = title
        box.objectName = name
        self.layout.addWidget(box)
        return qt.QFormLayout(box)

    def _button(self, text, tip, act):
        button = qt.QPushButton(text)
        button.toolTip = tip
        button.connect("clicked()", lambda: self._try(act))
        return button

    def _add_server(self):
        form = self._section("Server", "server")
        notice = qt.QLabel(NOTICE)
        notice.wordWrap = True
        form.addRow(notice)
        self._address = qt.QLineEdit(qt.QSettings().value("BreastLabel/server", "http://127.0.0.1:8000"))
        form.addRow("Address", self._address)
        form.addRow(self._button("Connect", "Ask the server what it offers", self._connect))
        self._strategy = qt.QComboBox()
        form.addRow("Order", self._strategy)
        self._modality = qt.QComboBox()
        self._modality.addItems(["all", "MG", "US"])
        form.addRow("Modality", self._modality)

    def _add_case(self):
        form = self._section("Case", "case")
        row = qt.QHBoxLayout()
        row.addWidget(self._button("Next case", "The case that is worth your time next", self._next))
        row.addWidget(self._button("Run AI", "Let the AI read all images of the case anew", self._run))
        form.addRow(row)
        self._opinion = qt.QLabel()
        self._opinion.wordWrap = True
        form.addRow(self._opinion)
        self._reveal = self._button(
            "Show it now", "Before a reading of your own; the server notes it", self._show_opinion
        )
        form.addRow(self._reveal)

    def _add_findings(self):
        form = self._section("Findings", "findings")
        self._table = qt.QTableWidget(0, 4)
        self._table.setHorizontalHeaderLabels(["View", "Class", "Malignant", "Size"])
        self._table.setEditTriggers(qt.QAbstractItemView.NoEditTriggers)
        self._table.setSelectionBehavior(qt.QAbstractItemView.SelectRows)
        self._table.horizontalHeader().setStretchLastSection(True)
        self._table.connect("cellClicked(int,int)", lambda row, column: self._try(lambda: self._jump(row)))
        form.addRow(self._table)
        self._heat = qt.QCheckBox("Heat map of the image being read")
        self._heat.connect("toggled(bool)", lambda on: self._try(lambda: self.logic.show_heat_map(on)))
        form.addRow(self._heat)

    def _add_reading(self):
        form = self._section("Reading", "reading")
        self._image = qt.QComboBox()
        self._image.connect("currentIndexChanged(int)", lambda index: self._try(self._choose))
        form.addRow("Image", self._image)
        self._birads, self._type = qt.QComboBox(), qt.QComboBox()
        form.addRow("BI-RADS", self._birads)
        form.addRow("Lesion type", self._type)
        form.addRow(
            self._button("Edit outlines", "Segments benign and malignant, in the Segment Editor", self._edit)
        )
        row = qt.QHBoxLayout()
        row.addWidget(self._button("Accept", "The AI's outlines are right as they are", self._accept))
        row.addWidget(
            self._button("Save", "Save the outlines as they are drawn; none means normal", self._save)
        )
        form.addRow(row)

    def _add_training(self):
        form = self._section("Training", "training")
        self._progress = qt.QProgressBar()
        self._said = qt.QLabel("no training yet")
        self._said.wordWrap = True
        form.addRow(self._progress)
        form.addRow(self._said)
        row = qt.QHBoxLayout()
        row.addWidget(self._button("Train", "Retrain on the labels saved so far", self._train))
        row.addWidget(
            self._button("Stop", "Stop the training", lambda: self.logic.require_server().stop_training())
        )
        form.addRow(row)

    # What the buttons do

    def _try(self, act):
        """Do something that the server may refuse, and say its reason."""
        try:
            qt.QApplication.setOverrideCursor(qt.Qt.WaitCursor)
            act()
        except (ServerError, OSError, ValueError) as error:
            slicer.util.errorDisplay(str(error), windowTitle="BreastLabel")
        finally:
            qt.QApplication.restoreOverrideCursor()

    def _connect(self):
        server = BreastLabelServer(
            self._address.text, client_id=f"slicer-{socket.gethostname()}-{os.getpid()}"
        )
        if server.needs_login():
            name = slicer.util.mainWindow() and qt.QInputDialog.getText(None, "Log in", "Name")
            password = qt.QInputDialog.getText(None, "Log in", "Password", qt.QLineEdit.Password)
            server.log_in(name or "", password or "")
        settings = server.settings()
        strategies = server.strategies()
        qt.QSettings().setValue("BreastLabel/server", self._address.text)
        self.logic.server = server
        for box, values in (
            (self._strategy, strategies),
            (self._birads, ["", *map(str, settings["birads"])]),
            (self._type, ["", *map(str, settings["lesion_types"])]),
        ):
            box.clear()
            box.addItems(values)
        self._timer.start()

    def _next(self):
        modality = self._modality.currentText
        self.logic.next_case(
            strategy=self._strategy.currentText or None, modality=None if modality == "all" else modality
        )
        self._show_case()
        if self.logic.case is None:
            slicer.util.infoDisplay("No case waits for a reading.", windowTitle="BreastLabel")

    def _run(self):
        self.logic.run()
        self._show_case()

    def _show_opinion(self):
        self.logic.reveal()
        self._show_case()

    def _choose(self):
        self.logic.choose(self._image.currentText or None)
        self._heat.checked = False

    def _jump(self, row):
        self.logic.jump(finding_rows(self.logic.case)[row])

    def _edit(self):
        self.logic.edit()
        slicer.util.selectModule("SegmentEditor")

    def _accept(self):
        self.logic.accept(birads=self._birads.currentText, lesion_type=self._type.currentText)
        self._show_case()

    def _save(self):
        self.logic.save(birads=self._birads.currentText, lesion_type=self._type.currentText)
        self._show_case()

    def _train(self):
        if self.logic.case is None:
            raise ValueError("a case is required to know which model to train; press Next case first")
        self.logic.require_server().start_training(self.logic.model)

    def _show_case(self):
        case = self.logic.case
        self._opinion.text = (
            "Connect, then press Next case." if case is None else "\n".join(breast_lines(case))
        )
        self._reveal.visible = bool(case and case.get("withheld"))
        rows = [] if case is None else finding_rows(case)
        self._table.setRowCount(len(rows))
        for place, row in enumerate(rows):
            for column, text in enumerate((row.view, row.lesion_class, row.probability, row.size)):
                self._table.setItem(place, column, qt.QTableWidgetItem(text))
        images = [] if case is None else [image["image_id"] for image in case["images"]]
        chosen = self.logic.image_id
        self._image.blockSignals(True)
        self._image.clear()
        self._image.addItems(images)
        if chosen in images:
            self._image.setCurrentIndex(images.index(chosen))
        self._image.blockSignals(False)

    def _show_training(self):
        try:
            status = self.logic.require_server().training()
        except (ServerError, ValueError) as error:
            # Every three seconds: a dialog would never let go of the reader.
            self._said.text = str(error)
            return
        self._progress.setRange(0, 100 if status.get("progress") is not None else 0)
        if not status.get("running"):
            self._progress.setRange(0, 100)
        self._progress.setValue(round(100 * (status.get("progress") or 0)))
        self._said.text = status.get("message") or status.get("status") or "no training yet"


class BreastLabelTest(ScriptedLoadableModuleTest):
    """The self-test: against the server that ``BREASTLABEL_TEST_SERVER`` names, on cases that may be changed."""

    def setUp(self):
        slicer.mrmlScene.Clear()

    def runTest(self):
        self.setUp()
        self.test_a_case_is_read()

    def test_a_case_is_read(self):
        address = os.environ.get("BREASTLABEL_TEST_SERVER")
        if not address:
            self.delayDisplay("Skipped: set BREASTLABEL_TEST_SERVER to the address of a demo server")
            return
        logic = BreastLabelLogic()
        logic.server = BreastLabelServer(address, client_id="slicer-self-test")
        self.delayDisplay("Fetching a case")
        logic.next_case()
        self.assertIsNotNone(logic.case)
        logic.run()
        self.delayDisplay("Saving its first image")
        logic.save()
        image = logic.case["images"][0]
        self.assertEqual(image["label"]["state"], "final")
        logic.close()
        self.delayDisplay("Test passed")
