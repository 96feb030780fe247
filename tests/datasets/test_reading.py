"""What the catalog knows completes what the file says."""

from datetime import date

import pytest
from dataset_trees import save, scene, write_dicom

from breastlabel.catalog import ImageRecord
from breastlabel.datasets.reading import read_record
from breastlabel.errors import NotFoundError
from breastlabel.imaging import Density, Laterality, Modality, ViewPosition


def record(file, **changes):
    values = {"dataset": "d", "modality": Modality.MG, "patient_key": "p", "group": "g"}
    return ImageRecord(image_id="a", file=file, **(values | changes))


def test_a_plain_image_is_completed_by_its_record(tmp_path):
    save(tmp_path / "a.png", scene(1))
    image = read_record(
        tmp_path,
        record(
            "a.png",
            laterality=Laterality.R,
            view_position=ViewPosition.MLO,
            spacing_rows=0.2,
            spacing_cols=0.2,
            metadata={
                "acquired": "2026-03-02",
                "age": 61.0,
                "density": "C",
                "implant": False,
                "manufacturer": "Maker",
                "machine": "One",
                "not_analysable": "specimen",
            },
        ),
    )

    assert (image.laterality, image.view_position, image.spacing) == (
        Laterality.R,
        ViewPosition.MLO,
        (0.2, 0.2),
    )
    assert (image.acquisition_date, image.age, image.density) == (date(2026, 3, 2), 61.0, Density.C)
    assert (image.implant, image.manufacturer, image.machine_id) == (False, "Maker", "One")
    assert image.metadata["not_analysable"] == "specimen"


def test_a_file_is_asked_before_the_record(tmp_path):
    write_dicom(tmp_path / "a.dcm", scene(1), patient="4711", modality="MG", ImageLaterality="L")

    assert read_record(tmp_path, record("a.dcm", laterality=Laterality.L)).laterality is Laterality.L
    contradicted = record("a.dcm", metadata={"side_contradicted": True})
    assert read_record(tmp_path, contradicted).laterality is None


def test_an_image_whose_file_is_gone_is_refused(tmp_path):
    with pytest.raises(NotFoundError):
        read_record(tmp_path, record("a.png"))
