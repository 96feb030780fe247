"""Images and segmentations between the server and Slicer's scene."""

import shutil
import tempfile
from pathlib import Path

import slicer
import vtk
from slicer.ScriptedLoadableModule import ScriptedLoadableModuleLogic

from BreastLabelLib.reading import ReadingClock, four_up

__all__ = ["BreastLabelLogic"]

SEGMENTS = ("benign", "malignant")
COLORS = {"benign": (0.20, 0.80, 0.35), "malignant": (0.90, 0.20, 0.20)}
#: Slice views in the order of `four_up`.
VIEWS = ("Red", "Yellow", "Green", "Slice4")
LAYOUT_ID = 5021
LAYOUT = """
<layout type="vertical" split="true">
 <item><layout type="horizontal">
  <item><view class="vtkMRMLSliceNode" singletontag="Red"><property name="orientation" action="default">Axial</property>
   <property name="viewlabel" action="default">R CC</property></view></item>
  <item><view class="vtkMRMLSliceNode" singletontag="Yellow"><property name="orientation" action="default">Axial</property>
   <property name="viewlabel" action="default">L CC</property></view></item>
 </layout></item>
 <item><layout type="horizontal">
  <item><view class="vtkMRMLSliceNode" singletontag="Green"><property name="orientation" action="default">Axial</property>
   <property name="viewlabel" action="default">R MLO</property></view></item>
  <item><view class="vtkMRMLSliceNode" singletontag="Slice4"><property name="orientation" action="default">Axial</property>
   <property name="viewlabel" action="default">L MLO</property></view></item>
 </layout></item>
</layout>
"""


class BreastLabelLogic(ScriptedLoadableModuleLogic):
    """Between server and scene.

    Attributes:
        server: None until the reader connected.
        case: as the server describes it; None before the first.
        image_id: of the image being read.
    """

    def __init__(self):
        ScriptedLoadableModuleLogic.__init__(self)
        self.server = None
        self.case = None
        self.image_id = None
        self.clock = ReadingClock()
        self._folder = Path(tempfile.mkdtemp(prefix="breastlabel-slicer-"))
        self._volumes = {}
        self._segmentations = {}
        self._heat = None

    @property
    def model(self):
        """Which model reads the case's modality."""
        return "mammography" if self.case["modality"] == "MG" else "ultrasound"

    def require_server(self):
        """The server, or a sentence that says what to do."""
        if self.server is None:
            raise ValueError("a server is required; enter its address and press Connect")
        return self.server

    def next_case(self, *, strategy=None, modality=None):
        """Fetch and show the next case."""
        case = self.require_server().next_case(strategy=strategy, modality=modality)
        self._clear()
        self.case = case and self.server.case(case["case_id"])
        if self.case is not None:
            self._load()

    def run(self):
        """Let the AI read the case: once for each breast, which outlines all of its views."""
        case, asked = self._require_case(), set()
        for image in case["images"]:
            breast = (case["modality"], image.get("laterality") or image["image_id"])
            if breast not in asked:
                asked.add(breast)
                self.server.run(image["image_id"])
        self._show_again(self.server.case(case["case_id"]))

    def reveal(self):
        """Show what the AI says before the reader has; the server notes that they asked."""
        self._show_again(self.server.reveal(self._require_case()["case_id"]))

    def choose(self, image_id):
        """The image that is read now: its time runs, its outlines are edited and saved."""
        self.show_heat_map(False)
        self.image_id = image_id
        self.clock.show(image_id)

    def pause(self):
        """Nobody looks."""
        self.clock.show(None)

    def resume(self):
        """The reader is back."""
        self.clock.show(self.image_id)

    def jump(self, finding):
        """Centre all views that show the finding's image on it."""
        self.choose(finding.image_id)
        volume = self._volumes[finding.image_id]
        matrix = vtk.vtkMatrix4x4()
        volume.GetIJKToRASMatrix(matrix)
        row, column = finding.position
        point = matrix.MultiplyPoint((column, row, 0.0, 1.0))
        for view in VIEWS:
            widget = slicer.app.layoutManager().sliceWidget(view)
            composite = widget.mrmlSliceCompositeNode() if widget else None
            if composite is not None and composite.GetBackgroundVolumeID() == volume.GetID():
                widget.mrmlSliceNode().JumpSliceByCentering(*point[:3])

    def edit(self):
        """Give the Segment Editor the image being read and its segments."""
        segmentation = self._segmentation(self._require_image())
        editor = slicer.modules.segmenteditor.widgetRepresentation().self().editor
        editor.setSegmentationNode(segmentation)
        set_volume = getattr(editor, "setSourceVolumeNode", None) or editor.setMasterVolumeNode
        set_volume(self._volumes[self.image_id])

    def accept(self, *, birads="", lesion_type=""):
        """The AI's outlines of the image being read become the reader's label."""
        image_id = self._require_image()
        result = self._image(image_id).get("result") or {}
        self.server.accept(
            image_id,
            proposal_version=result.get("proposal_version"),
            birads=birads,
            lesion_type=lesion_type,
            seconds_spent=round(self.clock.seconds(image_id), 1),
        )
        self._saved(image_id)

    def save(self, *, birads="", lesion_type=""):
        """The outlines of the image being read, as they are drawn, become the reader's label."""
        image_id = self._require_image()
        file, segments = self._exported(image_id)
        result = self._image(image_id).get("result") or {}
        self.server.save(
            image_id,
            file,
            segments,
            birads=birads,
            lesion_type=lesion_type,
            seconds_spent=round(self.clock.seconds(image_id), 1),
            model=result.get("model"),
            model_version=result.get("checkpoint_version"),
        )
        self._saved(image_id)

    def show_heat_map(self, on):
        """Lay the heat map over the image being read, or take it away."""
        if self._heat is not None:
            slicer.mrmlScene.RemoveNode(self._heat)
            self._heat = None
        if on:
            image_id = self._require_image()
            file = self.server.heat_map(image_id, self.model, self._folder)
            self._heat = slicer.util.loadVolume(str(file), {"name": f"{image_id} heat map"})
            self._heat.GetDisplayNode().SetAndObserveColorNodeID(
                "vtkMRMLColorTableNodeFileColdToHotRainbow.txt"
            )
        for view in VIEWS:
            widget = slicer.app.layoutManager().sliceWidget(view)
            composite = widget.mrmlSliceCompositeNode() if widget else None
            shown = self.image_id is not None and self._volumes.get(self.image_id)
            if composite is not None and shown and composite.GetBackgroundVolumeID() == shown.GetID():
                composite.SetForegroundVolumeID(self._heat.GetID() if self._heat is not None else None)
                composite.SetForegroundOpacity(0.4)

    def close(self):
        """Remove what was downloaded."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _require_case(self):
        self.require_server()
        if self.case is None:
            raise ValueError("a case is required; press Next case")
        return self.case

    def _require_image(self):
        self._require_case()
        if self.image_id is None:
            raise ValueError("an image is required; choose one under Reading")
        return self.image_id

    def _show_again(self, case):
        self.case = case
        for image in case["images"]:
            self._load_outlines(image["image_id"])

    def _image(self, image_id):
        return next(image for image in self.case["images"] if image["image_id"] == image_id)

    def _saved(self, image_id):
        self.clock.forget(image_id)
        self.case = self.server.case(self.case["case_id"])

    def _load(self):
        for image in self.case["images"]:
            image_id = image["image_id"]
            file = self.server.download_image(image_id, self._folder)
            # One file each: Slicer takes files with similar names for a stack.
            self._volumes[image_id] = slicer.util.loadVolume(
                str(file), {"name": image_id, "singleFile": True}
            )
            self._load_outlines(image_id)
        self._show()
        self.choose(self.case["images"][0]["image_id"])

    def _show(self):
        manager = slicer.app.layoutManager()
        node = manager.layoutLogic().GetLayoutNode()
        if not node.IsLayoutDescription(LAYOUT_ID):
            node.AddLayoutDescription(LAYOUT_ID, LAYOUT)
        places = four_up(self.case["images"])
        alone = sum(place is not None for place in places) == 1
        manager.setLayout(slicer.vtkMRMLLayoutNode.SlicerLayoutOneUpRedSliceView if alone else LAYOUT_ID)
        for view, image in zip(VIEWS, places):
            widget = manager.sliceWidget(view)
            if widget is None:
                continue
            volume = None if image is None else self._volumes[image["image_id"]]
            composite = widget.mrmlSliceCompositeNode()
            composite.SetBackgroundVolumeID(None if volume is None else volume.GetID())
            composite.SetForegroundVolumeID(None)
            if volume is not None:
                widget.mrmlSliceNode().RotateToVolumePlane(volume)
                widget.sliceController().fitSliceToBackground()

    def _load_outlines(self, image_id):
        """Segments of the label that counts: the reader's, else the AI's, else empty ones."""
        old = self._segmentations.pop(image_id, None)
        if old is not None:
            slicer.mrmlScene.RemoveNode(old)
        segmentation = self._segmentation(image_id)
        if self._image(image_id).get("withheld"):
            return
        for tag in ("final", "original"):
            file = self.server.download_label(image_id, tag, self._folder)
            if file is not None:
                break
        else:
            return
        label = slicer.util.loadLabelVolume(str(file))
        array = slicer.util.arrayFromVolume(label)
        for value, name in enumerate(SEGMENTS, start=1):
            slicer.util.updateSegmentBinaryLabelmapFromArray(
                (array == value).astype("uint8"), segmentation, name, self._volumes[image_id]
            )
        slicer.mrmlScene.RemoveNode(label)

    def _segmentation(self, image_id):
        if image_id not in self._segmentations:
            node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", f"{image_id} outlines")
            node.CreateDefaultDisplayNodes()
            node.SetReferenceImageGeometryParameterFromVolumeNode(self._volumes[image_id])
            for name in SEGMENTS:
                node.GetSegmentation().AddEmptySegment(name, name, COLORS[name])
            self._segmentations[image_id] = node
        return self._segmentations[image_id]

    def _exported(self, image_id):
        """A label map file of the drawn segments, and what its values are called."""
        node = self._segmentation(image_id)
        ids = [
            node.GetSegmentation().GetNthSegmentID(i)
            for i in range(node.GetSegmentation().GetNumberOfSegments())
        ]
        label = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode")
        try:
            slicer.modules.segmentations.logic().ExportSegmentsToLabelmapNode(
                node, ids, label, self._volumes[image_id]
            )
            file = self._folder / "label.nii.gz"
            if not slicer.util.saveNode(label, str(file)):
                raise OSError("the outlines could not be written; check the free disk space")
        finally:
            slicer.mrmlScene.RemoveNode(label)
        # Values follow the order of the segments, whatever the reader did to it.
        names = [node.GetSegmentation().GetSegment(one).GetName() for one in ids]
        return file, [(name, value) for value, name in enumerate(names, start=1)]

    def _clear(self):
        self.show_heat_map(False)
        self.clock.show(None)
        for node in (*self._volumes.values(), *self._segmentations.values()):
            slicer.mrmlScene.RemoveNode(node)
        self._volumes, self._segmentations, self.image_id = {}, {}, None
