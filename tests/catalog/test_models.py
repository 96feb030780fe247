import pytest

from breastlabel.catalog import ImageRecord
from breastlabel.catalog.models import record_columns, record_from_row, row_from_record
from breastlabel.errors import StudiesError
from breastlabel.imaging import Laterality, Modality, ViewPosition


def record(**changes):
    values = {
        "image_id": "a",
        "file": "a.png",
        "dataset": "folder",
        "modality": Modality.US,
        "patient_key": "p",
        "group": "g",
    }
    return ImageRecord(**(values | changes))


def test_a_record_survives_the_table():
    full = record(
        laterality=Laterality.L,
        view_position=ViewPosition.MLO,
        split="val",
        label="benign",
        reviewed=True,
        spacing_rows=0.1,
        spacing_cols=0.2,
        metadata={"birads": 4},
    )
    row = row_from_record(full)
    assert record_from_row([row[column.key] for column in record_columns()]) == full


def test_spacing_needs_both_directions():
    assert record(spacing_rows=0.1, spacing_cols=0.2).spacing == (0.1, 0.2)
    assert record(spacing_rows=0.1).spacing is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_id": "../a"}, "plain file stem"),
        ({"image_id": ""}, "plain file stem"),
        ({"image_id": ".hidden"}, "plain file stem"),
        ({"file": "/etc/passwd"}, "below its studies folder"),
        ({"file": "../a.png"}, "below its studies folder"),
        ({"split": "training"}, "split must be one of train, val, test or None; got 'training'"),
        ({"label": "cyst"}, "label must be one of normal, benign, malignant or None; got 'cyst'"),
    ],
)
def test_an_invalid_record_cannot_exist(changes, message):
    with pytest.raises(StudiesError, match=message):
        record(**changes)
