"""UIDs that are equal for equal content and known as ours."""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset
from pydicom.uid import generate_uid

from breastlabel.findings.dicom_identity import is_our_uid, is_ours, our_uid


@given(st.lists(st.text() | st.binary(), max_size=4))
def test_a_uid_of_ours_is_valid_and_known(parts):
    uid = our_uid(*parts)
    assert uid == our_uid(*parts)
    assert is_our_uid(uid)
    assert len(uid) <= 64
    made = uuid.UUID(int=int(uid.removeprefix("2.25.")))
    assert (made.version, made.variant) == (8, uuid.RFC_4122)


def test_parts_are_told_apart():
    uids = {our_uid(*parts) for parts in (("ab", "c"), ("a", "bc"), ("abc",), ("ab", "c", ""), ())}
    assert len(uids) == 5


@given(st.integers(0, 2**128 - 1))
def test_no_other_uid_is_taken_for_ours(number):
    assert not is_our_uid(f"2.25.{number}")


@given(st.integers(0, 127))
def test_a_uid_with_one_bit_changed_is_no_longer_ours(bit):
    changed = int(our_uid("SEG", "1.2.3").removeprefix("2.25.")) ^ (1 << bit)
    assert not is_our_uid(f"2.25.{changed}")


# The same in every process, for it names a test.
_ANOTHERS = generate_uid(entropy_srcs=["another's"])


@pytest.mark.parametrize(
    "uid", ["", "2.25", "2.25.", "1.2.3", "2.25.-1", "2.25.1e3", "2.25.٣", "2.25." + "9" * 60, _ANOTHERS]
)
def test_what_is_no_uid_or_of_another_root_is_not_ours(uid):
    assert not is_our_uid(uid)


def test_a_dataset_is_ours_by_its_instance_uid_alone():
    dataset = Dataset()
    assert not is_ours(dataset)
    # A viewer that corrects a result may keep series and maker, but gives the instance a UID of its own.
    dataset.Manufacturer, dataset.SeriesInstanceUID = "breastlabel", our_uid("series")
    dataset.SOPInstanceUID = generate_uid(prefix=None)
    assert not is_ours(dataset)
    dataset.SOPInstanceUID = our_uid("instance")
    assert is_ours(dataset)
