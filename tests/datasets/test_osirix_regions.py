"""Regions in OsiriX's XML: what is read, what is refused, and how it is painted."""

import plistlib

import numpy as np
import pytest

from breastlabel.datasets.osirix_regions import paint_osirix_region, read_osirix_regions
from breastlabel.errors import InvalidLabelError


def write(path, regions):
    rois = [
        {"Name": name, "NumberOfPoints": len(points), "Point_px": points} if points is not None else {}
        for name, points in regions
    ]
    path.write_bytes(plistlib.dumps({"Images": [{"NumberOfROIs": len(rois), "ROIs": rois}]}))
    return path


def test_names_and_points_are_read_and_regions_without_points_left_out(tmp_path):
    file = write(
        tmp_path / "1.xml",
        [("Mass ", ["(1.500000, 2.000000)", "(10, -3.25)", "( 4.0,5.0 )"]), ("Cluster", []), ("", None)],
    )

    [region] = read_osirix_regions(file)

    assert (region.name, region.points) == ("Mass", ((1.5, 2.0), (10.0, -3.25), (4.0, 5.0)))


@pytest.mark.parametrize(
    "point", ["(1, 2, 3)", "__import__('os')", "(nan, 1)", "(1e9, 1)", "", "(9999999, 1)"]
)
def test_what_is_no_point_is_refused(tmp_path, point):
    with pytest.raises(
        InvalidLabelError, match=r"regions in XML, as OsiriX writes them, are required; 1\.xml"
    ):
        read_osirix_regions(write(tmp_path / "1.xml", [("Mass", [point])]))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<plist>not really",
        b"bplist00\x00",
        b"<plist><array/></plist>",
        b"<plist><dict><key>Images</key><string>x</string></dict></plist>",
        b"<plist><dict><key>Images</key><array><dict/></array></dict></plist>",
        b'<?xml version="1.0" encoding="UTF48"?><plist/>',
        b"<plist><date>yesterday</date></plist>",
        b'<!DOCTYPE p [<!ENTITY a "x"><!ENTITY b "&a;&a;">]><plist><string>&b;</string></plist>',
    ],
)
def test_damaged_files_and_entities_are_refused(tmp_path, content):
    file = tmp_path / "1.xml"
    file.write_bytes(content)

    with pytest.raises(InvalidLabelError, match="copy the file again"):
        read_osirix_regions(file)


def test_a_huge_file_and_a_missing_one_are_refused(tmp_path):
    with (tmp_path / "1.xml").open("wb") as file:
        file.truncate(60_000_000)

    for name in ("1.xml", "2.xml"):
        with pytest.raises(InvalidLabelError):
            read_osirix_regions(tmp_path / name)


def test_a_polygon_is_filled_its_border_included():
    mask = np.zeros((12, 10), np.uint8)

    paint_osirix_region(mask, [(2, 3), (6, 3), (6, 8), (2, 8)], radius=1)

    expected = np.zeros((12, 10), np.uint8)
    expected[3:9, 2:7] = 1
    np.testing.assert_array_equal(mask, expected)


def test_each_of_two_points_becomes_a_disc():
    mask = np.zeros((20, 30), np.uint8)

    paint_osirix_region(mask, [(5.2, 7.9), (20, 8)], radius=2)

    assert mask[8, 3:8].all()
    assert mask[8, 18:23].all()
    assert mask[6:11, 5].all()
    assert not mask[8, 8:18].any()


def test_parts_beyond_the_image_are_cut_off():
    mask = np.zeros((5, 5), np.uint8)

    paint_osirix_region(mask, [(-9, -9), (2, -9), (2, 1), (-9, 1)], radius=1)

    assert mask[:2, :3].all()
    assert mask.sum() == 6
