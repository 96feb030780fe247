"""``breastlabel predict`` of DICOM images: the answer as a segmentation and a report too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from breastlabel.commands.console import note
from breastlabel.errors import InvalidImageError
from breastlabel.imaging.files import is_dicom

if TYPE_CHECKING:
    from pydicom import Dataset

    from breastlabel.imaging import LabelArray

__all__ = ["REPORT_FILE", "SEGMENTATION_FILE", "write_dicom_results"]

SEGMENTATION_FILE, REPORT_FILE = "seg.dcm", "sr.dcm"


def write_dicom_results(
    folder: Path, file: Path, mask: LabelArray, result: Mapping[str, Any], *, others: Sequence[Path] = ()
) -> None:
    """Write ``seg.dcm`` and ``sr.dcm`` of an image that is DICOM; nothing of one that is not.

    What stands in the way of it (no highdicom, an image without the UIDs to refer to) is said on stderr: the
    answer itself is not lost for that.

    Args:
        folder: where they go.
        result: ``result.json``.
        others: further images that were looked at with it.
    """
    if not is_dicom(file):
        return
    if find_spec("highdicom") is None:
        _say_once("seg.dcm and sr.dcm need highdicom; install breastlabel[server]")
        return
    from breastlabel.findings.dicom_identity import Algorithm
    from breastlabel.findings.dicom_seg import segmentation_dataset
    from breastlabel.findings.dicom_sr import ReportedImage, report_dataset

    source = _header(file)
    model = str(result["model"])
    algorithm = Algorithm(name=model, version=str(result["checkpoint_version"]))
    try:
        segmentation = segmentation_dataset(
            mask,
            source,
            algorithm=algorithm,
            series_description=f"breastlabel {model}: proposal",
            probability=result["malignancy_probability"],
        )
        plain = {key: value for key, value in result.items() if key != "file"}
        report = report_dataset(
            [ReportedImage(plain, source, mask=mask, segmentation=segmentation)],
            algorithm=algorithm,
            series_description=f"breastlabel {model}: report",
            others=[_header(other) for other in others if is_dicom(other)],
        )
    except InvalidImageError as error:
        note(f"{file.name}: no seg.dcm and sr.dcm: {error}")
        return
    for name, dataset in ((SEGMENTATION_FILE, segmentation), (REPORT_FILE, report)):
        dataset.save_as(folder / name, write_like_original=False)


def _header(file: Path) -> Dataset:
    from breastlabel.imaging.dicom_header import read_dataset

    return read_dataset(file, pixels=False, lift=False)


@cache
def _say_once(text: str) -> None:
    note(text)
