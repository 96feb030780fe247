"""What a dataset says of a cancer holds while its image is called malignant."""

import pytest

from breastlabel.catalog import ImageRecord
from breastlabel.datasets.invasiveness import invasive_cancer, worst_invasive
from breastlabel.imaging import LesionClass, Modality


def record(**metadata):
    return ImageRecord("a", "a.png", "rsna", Modality.MG, "p", "p", metadata=metadata)


@pytest.mark.parametrize("said", [True, False])
def test_it_is_known_of_a_cancer_and_of_nothing_else(said):
    known = record(invasive=said)
    assert invasive_cancer(known, LesionClass.MALIGNANT) is said
    for label in (LesionClass.BENIGN, LesionClass.NORMAL, None):
        assert invasive_cancer(known, label) is None


@pytest.mark.parametrize("metadata", [{}, {"invasive": None}, {"invasive": "1"}])
def test_what_is_no_yes_and_no_no_is_not_known(metadata):
    assert invasive_cancer(record(**metadata), LesionClass.MALIGNANT) is None


def test_a_breast_with_an_invasive_cancer_has_one_whatever_lies_beside_it():
    assert worst_invasive([None, False, True]) is True
    assert worst_invasive([False, None]) is False
    assert worst_invasive([None]) is None
