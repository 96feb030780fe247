"""What viewers ask of the DICOM index is read along its indexes, however many images there are."""

import re

import pytest
from sqlalchemy import event
from tests.imaging.mammograms import film, mammogram

from breastlabel.catalog import Catalog
from breastlabel.catalog.dicom_instance import instance_of
from breastlabel.catalog.dicom_search import search_instances, search_series, search_studies


@pytest.fixture(scope="module")
def catalog(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plans")
    with Catalog(f"sqlite:///{folder / 'c.sqlite3'}", studies=folder) as opened:
        found = []
        for number in range(12):
            dataset = mammogram(film(), StudyDate="20240101")
            dataset.StudyInstanceUID, dataset.SOPInstanceUID = f"1.2.{number // 4}", f"1.4.{number}"
            found.append(instance_of(dataset, image_id=None, file="x", origin="stow"))
        opened.dicom.add(found)
        yield opened


ACTS = {
    "a page of studies": lambda c: search_studies(c.database, {}, limit=10),
    "a patient": lambda c: search_studies(c.database, {"PatientID": ["a"]}, limit=10),
    "days": lambda c: search_studies(c.database, {"StudyDate": ["20240101-"]}, limit=10),
    "a modality": lambda c: search_studies(c.database, {"ModalitiesInStudy": ["MG"]}, limit=10),
    "series of a study": lambda c: search_series(c.database, {"StudyInstanceUID": ["1.2.0"]}, limit=10),
    "instances of a series": lambda c: search_instances(
        c.database, {"StudyInstanceUID": ["1.2.0"], "SeriesInstanceUID": ["1.3"]}, limit=10
    ),
    "an instance": lambda c: c.dicom.instance("1.4.1"),
    "an image's instance": lambda c: c.dicom.of_image("nobody"),
    "a study's instances": lambda c: c.dicom.find(study="1.2.1"),
}
#: Sorted after they were found along an index: the few rows of one study or one patient.
SORTS_FEW = {
    "instances of a series",
    "an instance",
    "an image's instance",
    "a study's instances",
    "a patient",
}


@pytest.mark.parametrize("name", ACTS)
def test_no_table_is_read_from_end_to_end(catalog, name):
    executed = []

    def note(_connection, _cursor, sql, parameters, _context, _many):
        if sql.split()[0] == "SELECT":
            executed.append((sql, parameters))

    event.listen(catalog.database.engine, "before_cursor_execute", note)
    ACTS[name](catalog)
    event.remove(catalog.database.engine, "before_cursor_execute", note)
    assert executed
    with catalog.database.read() as connection:
        for sql, parameters in executed:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}", parameters)
            steps = [row.detail for row in plan]
            assert not [s for s in steps if re.fullmatch(r"SCAN \w+", s)], steps
            if name not in SORTS_FEW:
                assert not [s for s in steps if "TEMP B-TREE FOR ORDER BY" in s], steps
