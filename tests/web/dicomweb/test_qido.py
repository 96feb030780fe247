"""Searches over HTTP; what they find is tested with the index."""

from __future__ import annotations

import pytest
from tests.imaging.mammograms import STUDY_UID, film, mammogram, write_mammogram

from breastlabel.web.dicomweb import qido

from .conftest import Site, parts

#: Of a study, PS3.18 Table 10.6.3-3.
OF_STUDY = (
    *("00080020", "00080030", "00080050", "00080056", "00080061", "00080090", "00081190", "00100010"),
    *("00100020", "00100030", "00100040", "0020000D", "00200010", "00201206", "00201208"),
)
OF_SERIES = ("00080060", "00081190", "0020000E", "00200011", "00201209")
OF_INSTANCE = ("00080016", "00080018", "00081190", "0020000E", "00200013", "00280010", "00280011", "00280100")


def fill(site: Site) -> None:
    """Two studies: of one film and a segmentation, and of two films in two series."""
    for number, (study, series) in enumerate([(STUDY_UID, "1.1"), ("1.2", "1.2.1"), ("1.2", "1.2.2")]):
        dataset = mammogram(film(), StudyDate=f"2024010{number + 1}", SeriesInstanceUID=series)
        dataset.StudyInstanceUID, dataset.SOPInstanceUID = study, f"1.3.{number}"
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        dataset.save_as(site.folder / f"f{number}.dcm", write_like_original=False)
        site.instance(f"f{number}")
    seg = mammogram(film(), SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4", Modality="SEG")
    seg.SOPInstanceUID, seg.SeriesInstanceUID = "1.3.9", "1.9"
    site.archive.store(seg, origin="stow")


def test_a_study_says_what_it_has_to(site: Site) -> None:
    fill(site)
    answer = site.get("/studies", "application/dicom+json", StudyInstanceUID=STUDY_UID)
    assert answer.headers["content-type"] == "application/dicom+json"
    (study,) = answer.json()
    assert set(OF_STUDY) <= set(study)
    assert list(study) == sorted(study)
    assert study["00080061"]["Value"] == ["MG", "SEG"]
    assert (study["00201206"]["Value"], study["00201208"]["Value"]) == ([2], [2])
    assert study["00100010"]["Value"] == [{"Alphabetic": "DOE^JANE"}]
    assert study["00080050"] == {"vr": "SH"}
    url = study["00081190"]["Value"][0]
    assert url == f"http://127.0.0.1:8000/dicom-web/studies/{STUDY_UID}"
    assert len(parts(site.client.get(url))) == 2


def test_series_and_instances_say_what_they_have_to(site: Site) -> None:
    fill(site)
    series = site.get("/studies/1.2/series").json()
    assert [one["0020000E"]["Value"][0] for one in series] == ["1.2.1", "1.2.2"]
    assert all(set(OF_SERIES) <= set(one) and "00100010" not in one for one in series)
    (one,) = site.get("/studies/1.2/series/1.2.1/instances").json()
    assert set(OF_INSTANCE) <= set(one)
    assert len(site.get("/studies/1.2/instances").json()) == 2
    assert len(site.client.get(one["00081190"]["Value"][0]).content) > 2000


def test_searches_across_studies_say_whose_they_are(site: Site) -> None:
    fill(site)
    series = site.get("/series", Modality="MG").json()
    assert len(series) == 3
    assert all(set(OF_STUDY) - {"00080061", "00201206", "00201208"} <= set(one) for one in series)
    instances = site.get("/instances", SOPClassUID="1.2.840.10008.5.1.4.1.1.66.4").json()
    assert [one["00080018"]["Value"] for one in instances] == [["1.3.9"]]


def test_the_path_counts_and_not_a_parameter_that_contradicts_it(site: Site) -> None:
    fill(site)
    found = site.get("/studies/1.2/series", StudyInstanceUID=STUDY_UID).json()
    assert {one["0020000D"]["Value"][0] for one in found} == {"1.2"}


def test_nothing_found_is_an_empty_list(site: Site) -> None:
    answer = site.get("/studies", PatientID="nobody")
    assert (answer.status_code, answer.json()) == (200, [])
    assert site.get("/studies/1.99/series").json() == []


def test_a_host_without_its_port_is_completed_on_this_machine_only(site: Site) -> None:
    """As dicomweb-client names it."""
    fill(site)
    for host, headers, expected in (
        ("127.0.0.1", {}, "http://127.0.0.1:8000/"),
        ("pacs.example", {}, "http://pacs.example/"),
        ("localhost", {"x-forwarded-for": "10.0.0.1"}, "http://localhost/"),
    ):
        answer = site.client.get("/dicom-web/studies", headers={"host": host, **headers})
        assert answer.json()[0]["00081190"]["Value"][0].startswith(expected)


def test_a_site_behind_a_proxy_says_its_address(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site)
    monkeypatch.setenv("BREASTLABEL_PUBLIC_URL", "https://breast.example/")
    study = site.get("/studies").json()[0]
    assert study["00081190"]["Value"] == ["https://breast.example/dicom-web/studies/1.2"]


def test_pages(site: Site) -> None:
    fill(site)
    first, second = (site.get("/studies", limit="1", offset=str(n)).json() for n in (0, 1))
    assert [s[0]["0020000D"]["Value"][0] for s in (first, second)] == ["1.2", STUDY_UID]
    assert site.get("/studies", limit="1", offset="2").json() == []
    assert site.get("/studies", limit="0").json() == []


def test_a_long_answer_says_that_there_may_be_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(site)
    monkeypatch.setitem(qido._MOST, "instances", 2)
    answer = site.get("/instances")
    assert len(answer.json()) == 2
    assert "offset" in answer.headers["Warning"]


def test_names_may_be_tags(site: Site) -> None:
    fill(site)
    (study,) = site.get("/studies", **{"00080020": "20240101", "0020000d": f"{STUDY_UID},1.2"}).json()
    assert study["0020000D"]["Value"] == [STUDY_UID]


def test_parameters_that_are_not_matched_are_named_and_ignored(site: Site) -> None:
    fill(site)
    query = {"PixelData": "1", "nonsense": "2", "99999999": "3", "<script>": "4", "fuzzymatching": "true"}
    answer = site.get("/studies", includefield="all", **query)
    assert len(answer.json()) == 2
    assert answer.headers["Warning"].startswith("299 breastlabel ")
    assert "99999999, PixelData, nonsense" in answer.headers["Warning"].replace("(not repeated), ", "")
    assert "script" not in answer.headers["Warning"]
    assert "Warning" not in site.get("/studies", fuzzymatching="true", includefield="00081030").headers


@pytest.mark.parametrize(
    "query",
    [
        {"StudyDate": "yesterday"},
        {"StudyTime": "noon"},
        {"limit": "-1"},
        {"limit": "many"},
        {"offset": "1e3"},
        {"offset": "9" * 30},
    ],
)
def test_malformed_values_are_400_and_not_repeated(site: Site, query: dict[str, str]) -> None:
    answer = site.get("/studies", **query)
    assert answer.status_code == 400
    assert next(iter(query.values())) not in answer.text


def test_a_nul_in_a_value_is_no_error(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm")
    site.instance("film")
    assert site.get("/studies", PatientID="SECRET\0-4711").status_code == 200


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        (None, 200),
        ("*/*", 200),
        ("application/json", 200),
        ("application/dicom+json, multipart/related; type=x;q=0.1", 200),
        ('multipart/related; type="application/dicom+xml"', 406),
        ("text/html", 406),
        ("application/dicom+json;q=0", 406),
    ],
)
def test_json_has_to_be_acceptable(site: Site, accept: str | None, status: int) -> None:
    assert site.get("/studies", accept).status_code == status
