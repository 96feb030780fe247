"""Pictures: windowed as a reader sees the image, cut out, scaled."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.imaging.mammograms import film, mammogram, write_mammogram

from .conftest import Site, path_of
from .test_frames import COLOUR, write_cine

RAMP = np.tile(np.arange(256, dtype=np.uint16) * 16, (8, 1))
"""12 bits, 256 columns."""


def png(answer: Any) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "image/png"
    return np.asarray(Image.open(io.BytesIO(answer.content)))


def linear(values: np.ndarray[Any, Any], centre: float, width: float) -> np.ndarray[Any, Any]:
    """PS3.3 C.11.2.1.2.1, onto 0 to 255."""
    return np.clip((values.astype(float) - (centre - 0.5)) / (width - 1) + 0.5, 0, 1) * 255


def test_the_instances_own_window_is_applied(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm", RAMP, WindowCenter="2000", WindowWidth="1000")
    picture = png(site.get(site.path("film") + "/rendered", "image/png"))
    np.testing.assert_allclose(picture, linear(RAMP, 2000, 1000), atol=0.6)


def test_a_window_of_the_request_comes_first(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm", RAMP, WindowCenter="100", WindowWidth="50")
    path = site.path("film") + "/rendered"
    picture = png(site.get(path, "image/png", window="1000,800,linear"))
    np.testing.assert_allclose(picture, linear(RAMP, 1000, 800), atol=0.6)
    exact = png(site.get(path, "image/png", window="1000,800,linear-exact"))
    np.testing.assert_allclose(exact, np.clip((RAMP - 1000.0) / 800 + 0.5, 0, 1) * 255, atol=0.6)
    sigmoid = png(site.get(path, "image/png", window="1000,800,sigmoid"))
    np.testing.assert_allclose(sigmoid, 255 / (1 + np.exp(-4 * (RAMP - 1000.0) / 800)), atol=0.6)


def test_a_window_wider_than_the_image_leaves_it_grey(site: Site) -> None:
    narrow = RAMP // 8 + 1000
    write_mammogram(site.folder / "film.dcm", narrow, WindowCenter="2048", WindowWidth="4096")
    picture = png(site.get(site.path("film") + "/rendered", "image/png"))
    np.testing.assert_allclose(picture, linear(narrow, 2048, 4096), atol=0.6)


def test_without_a_window_the_image_fills_the_scale(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm", RAMP // 2)
    picture = png(site.get(site.path("film") + "/rendered", "image/png"))
    assert (picture.min(), picture.max()) == (0, 255)


def test_monochrome1_is_turned_round_once(site: Site) -> None:
    write_mammogram(
        site.folder / "film.dcm",
        RAMP,
        PhotometricInterpretation="MONOCHROME1",
        PresentationLUTShape="INVERSE",
        WindowCenter="2048",
        WindowWidth="4096",
    )
    picture = png(site.get(site.path("film") + "/rendered", "image/png"))
    np.testing.assert_allclose(picture, 255 - linear(RAMP, 2048, 4096), atol=0.6)


def test_a_voi_lut_is_applied(site: Site) -> None:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.LUTDescriptor = [4096, 0, 8]
    table = (np.arange(4096) // 32).astype("<u2")  # to 127 of 255: half as bright
    item.add_new(0x00283006, "OW", table.tobytes())
    write_mammogram(site.folder / "film.dcm", RAMP, VOILUTSequence=[item])
    picture = png(site.get(site.path("film") + "/rendered", "image/png"))
    np.testing.assert_allclose(picture, RAMP // 32, atol=0.6)


def test_signed_values_and_rescale(site: Site) -> None:
    signed = (RAMP.astype(int) - 2048).astype(np.int16)
    write_mammogram(
        site.folder / "film.dcm",
        signed,
        RescaleSlope="2",
        RescaleIntercept="100",
        WindowCenter="100",
        WindowWidth="2000",
    )
    picture = png(site.get(site.path("film") + "/rendered", "image/png"))
    np.testing.assert_allclose(picture, linear(signed * 2.0 + 100, 100, 2000), atol=0.6)


def test_viewports_cut_out_and_scale(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm", film(40, 32), WindowCenter="2048", WindowWidth="4096")
    path = site.path("film") + "/rendered"
    whole = png(site.get(path, "image/png"))
    assert whole.shape == (40, 32)
    assert png(site.get(path, "image/png", viewport="16,100")).shape == (20, 16)
    part = png(site.get(path, "image/png", viewport="8,6,4,10,8,6"))
    np.testing.assert_array_equal(part, whole[10:16, 4:12])
    assert png(site.get(path, "image/png", viewport="64,64,0,0,32,32")).shape == (64, 64)


def test_thumbnails_of_a_study_a_series_and_an_instance(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm", film(400, 300))
    one = site.instance("film")
    study = f"/studies/{one.study_instance_uid}"
    for path in (study, f"{study}/series/{one.series_instance_uid}", path_of(one)):
        answer = site.get(f"{path}/thumbnail")
        assert answer.headers["content-type"] == "image/jpeg"
        assert Image.open(io.BytesIO(answer.content)).size == (192, 256)
        assert png(site.get(f"{path}/rendered", "image/png")).shape == (400, 300)


def test_the_thumbnail_of_a_study_is_that_of_an_image(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm")
    study = site.instance("film").study_instance_uid
    report = mammogram(film())
    for keyword in ("Rows", "Columns", "BitsAllocated", "PixelData"):
        del report[keyword]
    report.Modality, report.SOPInstanceUID, report.SeriesInstanceUID = "SR", "1.1", "1.1.1"
    site.archive.store(report, origin="stow")
    assert site.get(f"/studies/{study}/thumbnail").status_code == 200


def test_a_frame_of_a_colour_loop(site: Site) -> None:
    write_cine(site, COLOUR)
    picture = png(site.get(site.path("cine") + "/frames/3/rendered", "image/png"))
    np.testing.assert_array_equal(picture, COLOUR[2])
    assert site.get(site.path("cine") + "/frames/1,2/rendered").status_code == 400
    assert site.get(site.path("cine") + "/frames/4/rendered").status_code == 404
    assert site.get(site.path("cine") + "/frames/2/thumbnail").status_code == 200


def test_quality_and_type_are_the_clients_choice(site: Site) -> None:
    write_mammogram(site.folder / "film.dcm", film(200, 200))
    path = site.path("film") + "/rendered"
    low, high = (site.get(path, "image/jpeg", quality=quality) for quality in ("5", "100"))
    assert len(low.content) < len(high.content)
    assert png(site.get(path, accept="image/png")).shape == (200, 200)
    assert png(site.client.get(f"/dicom-web{path}?accept=image/png")).shape == (200, 200)
    assert site.get(path, "image/*").headers["content-type"] == "image/jpeg"
    assert site.get(path, "image/png;q=0.9, image/jpeg;q=0.1").headers["content-type"] == "image/png"
    assert site.get(path, "image/gif").status_code == 406


@pytest.mark.parametrize(
    "query",
    [
        {"window": "1,2,3"},
        {"window": "x,1,linear"},
        {"window": "1,0,linear"},
        {"window": "nan,1,linear"},
        {"viewport": "0,1"},
        {"viewport": "99999,1"},
        {"viewport": "1,1,1"},
        {"viewport": "10,10,500,500,10,10"},
        {"viewport": "10,10,-5,0,10,10"},
        {"viewport": "10,10,1e300,0,1,1"},
        {"quality": "0"},
        {"quality": "high"},
    ],
)
def test_what_cannot_be_followed_is_400(site: Site, query: dict[str, str]) -> None:
    write_mammogram(site.folder / "film.dcm")
    answer = site.get(site.path("film") + "/rendered", **query)
    assert answer.status_code == 400
    assert "required" in answer.json()["detail"]


def test_a_malformed_table_is_422(site: Site) -> None:
    from pydicom.dataset import Dataset

    item = Dataset()
    item.LUTDescriptor = [4096, 0, 12]
    write_mammogram(site.folder / "film.dcm", VOILUTSequence=[item])
    assert site.get(site.path("film") + "/rendered").status_code == 422
