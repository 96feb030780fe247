"""Sources of results for the tests: headers of images, phantoms, and what the standard's checker says."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence

from breastlabel.findings.extract import find_findings
from breastlabel.imaging import Modality

MG = "1.2.840.10008.5.1.4.1.1.1.2"
US = "1.2.840.10008.5.1.4.1.1.6.1"
US_CINE = "1.2.840.10008.5.1.4.1.1.3.1"
PROBABILITIES = {"normal": 0.1, "benign": 0.2, "malignant": 0.7}

Mask = npt.NDArray[np.uint8]


def image(shape: tuple[int, int], *, kind: str = MG, number: int = 1, **tags: Any) -> Dataset:
    """The header of an image with all that its kind must have; a tag of None leaves it out."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.SOPClassUID = kind
    dataset.SOPInstanceUID = f"1.2.3.{number}"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = "1.2.3.100", f"1.2.3.101.{number}"
    dataset.Modality = "MG" if kind == MG else "US"
    dataset.Rows, dataset.Columns = shape
    dataset.PatientName, dataset.PatientID = "DOE^JANE", "4711"
    dataset.PatientBirthDate, dataset.PatientSex = "19700102", "F"
    dataset.StudyDate, dataset.StudyTime = "20240305", "101112"
    dataset.StudyID, dataset.AccessionNumber, dataset.ReferringPhysicianName = "S1", "A1", ""
    for keyword, value in tags.items():
        if value is None:
            del dataset[keyword]
        else:
            setattr(dataset, keyword, value)
    return dataset


def region(shape: tuple[int, int], *, rows_mm: float, columns_mm: float) -> Sequence:
    """A calibrated ultrasound picture."""
    item = Dataset()
    item.RegionSpatialFormat = item.RegionDataType = 1
    item.PhysicalUnitsXDirection = item.PhysicalUnitsYDirection = 3
    item.PhysicalDeltaX, item.PhysicalDeltaY = columns_mm / 10, rows_mm / 10
    item.RegionLocationMinX0 = item.RegionLocationMinY0 = 0
    item.RegionLocationMaxX1, item.RegionLocationMaxY1 = shape[1] - 1, shape[0] - 1
    return Sequence([item])


def answer(
    mask: Mask,
    *,
    spacing: tuple[float, float] | None,
    modality: Modality = Modality.MG,
    laterality: str | None = "R",
    view: str | None = "CC",
    breast: bool = False,
    uncertainty: dict[str, float] | None = None,
) -> dict[str, Any]:
    """What a model's answer with this mask looks like as JSON."""
    found = find_findings(
        mask,
        np.full(mask.shape, 0.8, np.float32),
        PROBABILITIES,
        spacing=spacing,
        modality=modality,
        uncertainty=uncertainty,
    )
    judged = {
        "predicted_class": "malignant",
        "class_probabilities": PROBABILITIES,
        "malignancy_probability": 0.7,
        "uncertainty": uncertainty,
    }
    result: dict[str, Any] = {
        "findings": [finding.to_json() for finding in found],
        **judged,
        "checkpoint_version": "12",
        "image": {"modality": modality.value, "laterality": laterality, "view_position": view},
    }
    if breast:
        more = {"above_operating_point": True, "invasive_probability": 0.8}
        result["breast"] = {**judged, "laterality": laterality, **more}
    return result


def written(dataset: Dataset, folder: Path) -> Path:
    path = folder / "written.dcm"
    dataset.save_as(path, write_like_original=False)
    return path


def read_back(dataset: Dataset, folder: Path) -> Dataset:
    return dcmread(written(dataset, folder))


def errors_of(dataset: Dataset, folder: Path) -> list[str]:
    """What dciodvfy finds wrong."""
    program = shutil.which("dciodvfy")
    if program is None:
        pytest.skip("dciodvfy is needed: apt-get install dicom3tools")
    done = subprocess.run(
        [program, "-new", str(written(dataset, folder))], capture_output=True, text=True, timeout=60
    )
    lines = (done.stdout + done.stderr).splitlines()
    assert any(line.strip() in ("Segmentation", "ComprehensiveSR") for line in lines), lines
    return [line for line in lines if line.startswith("Error")]
