"""What a query asks of an attribute, held against the same question asked of Python; on each database."""

import re
from datetime import date, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.imaging.mammograms import film, mammogram

from breastlabel.catalog import Catalog
from breastlabel.catalog.dicom_instance import instance_of
from breastlabel.catalog.dicom_matching import QueryError, condition, level_of
from breastlabel.catalog.dicom_search import search_instances, search_series, search_studies
from breastlabel.catalog.models import ImageRecord
from breastlabel.imaging import Modality

#: Number of the study -> what its header says.
HEADERS = {
    0: {"StudyDate": "20231231", "StudyTime": "235959.5", "PatientName": "Doe^Jane", "PatientID": "A_1"},
    1: {"StudyDate": "20240101", "StudyTime": "000000", "PatientName": "DOE^John", "PatientID": "AB1"},
    2: {"StudyDate": "20240229", "StudyTime": "0930", "PatientName": "Roe^R%x", "PatientID": "a_1"},
    3: {"StudyDate": "", "StudyTime": "", "PatientName": "", "PatientID": ""},
    4: {
        "StudyDate": "20240301",
        "StudyTime": "093001.000001",
        "PatientName": "Østergård^Å",
        "Modality": "US",
    },
}
MORE = {"SeriesNumber": "7", "SeriesDescription": "Left CC", "InstanceNumber": "3", "ViewPosition": "CC"}


def fill(catalog):
    found = []
    for number, tags in HEADERS.items():
        dataset = mammogram(film(), SpecificCharacterSet="ISO_IR 192", **(MORE if number == 2 else {}))
        for keyword, value in tags.items():
            setattr(dataset, keyword, value)
        dataset.StudyInstanceUID, dataset.SeriesInstanceUID = f"1.2.{number}", f"1.3.{number}"
        dataset.SOPInstanceUID = f"1.4.{number}"
        found.append(instance_of(dataset, image_id=None, file=f"{number}.dcm", origin="stow"))
    catalog.dicom.add(found)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory):
    """One catalog for all that only reads."""
    folder = tmp_path_factory.mktemp("matching")
    with Catalog(f"sqlite:///{folder / 'c.sqlite3'}", studies=folder) as opened:
        fill(opened)
        yield opened


def numbers(catalog, search=search_studies, **wanted):
    values = {k: v if isinstance(v, list) else [v] for k, v in wanted.items()}
    found = search(catalog.database, values, limit=50)
    uids = [getattr(f, "study_instance_uid", None) or f.first.study_instance_uid for f in found]
    return {int(uid.rpartition(".")[2]) for uid in uids}


CASES = [
    ({}, {0, 1, 2, 3, 4}),
    ({"StudyInstanceUID": "1.2.1"}, {1}),
    ({"StudyInstanceUID": "1.2.1,1.2.3\\1.2.4"}, {1, 3, 4}),
    ({"StudyInstanceUID": ["1.2.1", "1.2.2"]}, {1, 2}),
    ({"StudyInstanceUID": "../.."}, set()),
    ({"StudyInstanceUID": ""}, {0, 1, 2, 3, 4}),
    ({"PatientName": "doe*"}, {0, 1}),
    ({"PatientName": "DOE^J?N?"}, {0}),
    ({"PatientName": "doe^john"}, {1}),
    ({"PatientName": "doe"}, set()),
    ({"PatientName": "*%x"}, {2}),
    ({"PatientName": "østerGÅRD*"}, {4}),
    ({"PatientName": "*"}, {0, 1, 2, 3, 4}),
    ({"PatientID": "A_1"}, {0}),
    ({"PatientID": "?_1*"}, {0, 2}),
    ({"StudyDate": "20240101"}, {1}),
    ({"StudyDate": "20240101-20240301"}, {1, 2, 4}),
    ({"StudyDate": "-20240101"}, {0, 1}),
    ({"StudyDate": "20240229-"}, {2, 4}),
    ({"StudyDate": ["20240101", "20231231"]}, {0, 1}),
    ({"StudyTime": "0930"}, {2, 4}),
    ({"StudyTime": "093000"}, {2}),
    ({"StudyTime": "-0930"}, {1, 2, 4}),
    ({"StudyTime": "093001.5-"}, {0}),
    ({"StudyTime": "09-235959.4"}, {2, 4}),
    ({"ModalitiesInStudy": "US"}, {4}),
    ({"ModalitiesInStudy": "us,MG"}, {0, 1, 2, 3, 4}),
    ({"Modality": "M?"}, {0, 1, 2, 3}),
    ({"SeriesNumber": "7"}, {2}),
    ({"SeriesDescription": "left*"}, {2}),
    ({"InstanceNumber": "3", "ViewPosition": "cc"}, {2}),
    ({"SOPInstanceUID": "1.4.3", "SeriesInstanceUID": "1.3.3"}, {3}),
    ({"SOPClassUID": "1.2"}, set()),
]


@pytest.mark.parametrize("search", [search_studies, search_series, search_instances])
@pytest.mark.parametrize(("wanted", "expected"), CASES, ids=[str(c[0]) for c in CASES])
def test_queries(lasting, search, wanted, expected):
    assert numbers(lasting, search, **wanted) == expected


def test_queries_on_each_database(catalog):
    fill(catalog)
    for wanted, expected in CASES:
        for search in (search_studies, search_series, search_instances):
            assert numbers(catalog, search, **wanted) == expected, wanted


DAYS = st.dates(date(2023, 12, 29), date(2024, 3, 3))


@given(first=st.none() | DAYS, last=st.none() | DAYS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_range_of_dates_is_what_python_makes_of_it(lasting, first, last):
    if first is None and last is None:
        return
    text = "-".join("" if day is None else day.strftime("%Y%m%d") for day in (first, last))
    expected = {
        number
        for number, tags in HEADERS.items()
        if tags["StudyDate"]
        and (first or date.min).strftime("%Y%m%d") <= tags["StudyDate"]
        and tags["StudyDate"] <= (last or date.max).strftime("%Y%m%d")
    }
    assert numbers(lasting, StudyDate=text) == expected


@given(day=DAYS, before=st.integers(0, 3), after=st.integers(0, 3))
@settings(max_examples=30, deadline=None)
def test_a_range_around_a_day_has_that_day(lasting, day, before, after):
    low, high = day - timedelta(before), day + timedelta(after)
    single = numbers(lasting, StudyDate=day.strftime("%Y%m%d"))
    assert single <= numbers(lasting, StudyDate=f"{low:%Y%m%d}-{high:%Y%m%d}")


@given(pattern=st.text(alphabet="doejan^ *?%_\\'", max_size=8))
@settings(max_examples=80, deadline=None)
def test_wildcards_are_those_of_dicom_and_no_others(lasting, pattern):
    asked = pattern.strip()
    regular = "".join(".*" if c == "*" else "." if c == "?" else re.escape(c) for c in asked)
    expected = {
        n
        for n, t in HEADERS.items()
        if not asked or re.fullmatch(regular, t["PatientName"].casefold(), re.DOTALL)
    }
    assert numbers(lasting, PatientName=pattern) == expected


@pytest.mark.parametrize(
    ("keyword", "value"),
    [
        ("StudyDate", "2024"),
        ("StudyDate", "20240230"),
        ("StudyDate", "20240101-x"),
        ("StudyDate", "-"),
        ("StudyDate", "20240101-20240102-20240103"),
        ("StudyDate", "２０２４０１０１"),
        ("StudyTime", "25"),
        ("StudyTime", "0960"),
        ("StudyTime", "093"),
        ("StudyTime", "9:30"),
    ],
)
def test_what_is_no_date_or_time_is_refused_and_not_repeated(keyword, value):
    with pytest.raises(QueryError, match=f"^{keyword} must be a value or a range") as caught:
        condition(keyword, [value])
    assert value not in str(caught.value).replace("a-b, -b or a-", "")


def test_an_attribute_that_is_not_matched_has_no_level():
    assert level_of("PixelData") is None
    assert level_of("nonsense") is None


def test_missing_images_count_for_no_study(lasting, tmp_path):
    with Catalog(f"sqlite:///{tmp_path / 'c.sqlite3'}", studies=tmp_path) as catalog:
        fill(catalog)
        values = {"dataset": "folder", "patient_key": "p", "group": "g", "modality": Modality.MG}
        catalog.add_images([ImageRecord("gone", "gone.dcm", **values)])
        dataset = mammogram(film(), StudyDate="20240101")
        dataset.StudyInstanceUID, dataset.Modality, dataset.SOPInstanceUID = "1.2.1", "RG", "1.4.99"
        catalog.dicom.add([instance_of(dataset, image_id="gone", file="gone.dcm", origin="file")])
        assert numbers(catalog, ModalitiesInStudy="RG") == {1}
        catalog.update_image("gone", excluded="file-missing")
        assert numbers(catalog, ModalitiesInStudy="RG") == set()
        (left,) = search_studies(catalog.database, {"StudyInstanceUID": ["1.2.1"]}, limit=9)
        assert (left.modalities, left.instances) == (("MG",), 1)
