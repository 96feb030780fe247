"""A phantom exam as a PACS would hold it, and a folder that mirrors one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from breastlabel.catalog import Catalog
from breastlabel.datasets.mammogram_studies import TRUTH_FOLDER, write_mammogram_phantoms
from breastlabel.label.logs import configure_logging
from breastlabel.web.pacs.pacs import Pacs
from breastlabel.web.pacs.settings import pacs_settings


class Exam:
    """The files of one patient: two exams of four views, and segmentations of the lesions."""

    def __init__(self, folder: Path) -> None:
        self.images = sorted(folder.glob("*.dcm"))
        self.segmentations = sorted((folder / TRUTH_FOLDER).glob("*.dcm"))

    def image(self, name: str = "-rcc") -> Dataset:
        """One view of the newest exam."""
        return pydicom.dcmread(
            next(p for p in self.images if p.stem.endswith(name) and "prior" not in p.stem)
        )

    def another(self, **values: object) -> bytes:
        """The R-CC under UIDs of its own, of another study, with attributes changed."""
        dataset = self.image()
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        for keyword, value in values.items():
            setattr(dataset, keyword, value)
        return file_of(dataset)

    def segmentation(self) -> Dataset:
        """Another program's segmentation of a lesion of the newest exam, under a UID of its own each time."""
        path = next(p for p in self.segmentations if "prior" not in p.stem)
        dataset = pydicom.dcmread(path)
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        dataset.SeriesInstanceUID = generate_uid()
        return dataset


def file_of(dataset: Dataset) -> bytes:
    buffer = io.BytesIO()
    dataset.save_as(buffer, write_like_original=False)
    return buffer.getvalue()


@pytest.fixture(scope="session")
def exam(tmp_path_factory: pytest.TempPathFactory) -> Exam:
    folder = tmp_path_factory.mktemp("pacs-exam")
    write_mammogram_phantoms(folder, exams=1, seed=3, shape=(160, 130), priors=1.0)
    return Exam(folder)


@pytest.fixture
def mirrored(tmp_path: Path) -> Iterator[Callable[..., tuple[Pacs, Catalog]]]:
    """Opens mirrors of a PACS by its URL; all of one test share a folder."""
    configure_logging()
    opened: list[tuple[Pacs, Catalog]] = []

    def mirror(url: str, **environment: str) -> tuple[Pacs, Catalog]:
        env = {f"BREASTLABEL_PACS_{name}": value for name, value in environment.items()}
        catalog = Catalog.open(tmp_path / "studies", create=True)
        pacs = Pacs(pacs_settings(url, {"BREASTLABEL_PACS_KEEP_FREE_MB": "0", **env}), catalog)
        opened.append((pacs, catalog))
        return opened[-1]

    yield mirror
    for pacs, catalog in opened:
        pacs.close()
        catalog.close()
