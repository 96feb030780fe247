"""Segmentations of the exam of these tests, good and bad."""

from __future__ import annotations

import numpy as np
from tests.findings.seg_writer import as_ohif, image, painted, seg

SHAPE = (12, 16)


def blob(value=2, at=(2, 3), size=(4, 5)):
    mask = np.zeros(SHAPE, np.uint8)
    mask[at[0] : at[0] + size[0], at[1] : at[1] + size[1]] = value
    return mask


def bad_ones(source):
    """Name -> a segmentation that must be refused, of the right mammogram or something like it."""
    right = source("right")

    def drawn(**tags):
        return seg("BINARY", painted(blob(), right, "BINARY"), **tags)

    stranger = image(SHAPE)
    large = image((24, 32), SOPInstanceUID=right.SOPInstanceUID)
    cut = drawn()
    cut.PixelData = cut.PixelData[:10]
    two = [*painted(blob(), right, "BINARY"), *painted(blob(), stranger, "BINARY")]
    return {
        "another patient": drawn(PatientID="SOMEONE-ELSE"),
        "another study": drawn(StudyInstanceUID="1.2.3"),
        "an image of another study": seg(
            "BINARY", [*painted(blob(), right, "BINARY"), *painted(blob(), source("scan"), "BINARY")]
        ),
        "an unknown image": seg("BINARY", painted(blob(), stranger, "BINARY")),
        "a known and an unknown image": seg("BINARY", two),
        "another size": seg("BINARY", painted(np.kron(blob(), np.ones((2, 2), np.uint8)), large, "BINARY")),
        "cut off": cut,
        "a bomb": drawn(NumberOfFrames=10**9),
        "run lengths of nothing": as_ohif(right, blob(1), ["malignant"], Rows=40000, Columns=3000),
    }
