"""A mask predicted on the crop of the breast lands on the right pixels of the original film."""

import numpy as np
import pytest
from tests.imaging.mammograms import write_mammogram

from breastlabel.imaging import Modality, read_image, read_mask, write_mask
from breastlabel.inference import Predictor
from breastlabel.transforms import preparation_from_config

SHAPE = (160, 120)


def film(*, right):
    """Stored values of a MONOCHROME2 film: a breast in a dark field, and a lesion brighter than all of it."""
    rows, cols = np.mgrid[: SHAPE[0], : SHAPE[1]]
    breast = ((rows - 85) / 62) ** 2 + (cols / 88) ** 2 <= 1
    pixels = np.where(breast, 1200 + 11 * (rows % 7), 20)
    # Neither in the middle nor symmetric, so that no flip goes unnoticed.
    lesion = np.zeros(SHAPE, bool)
    lesion[48:66, 30:62] = True
    lesion[66:78, 30:42] = True
    pixels[lesion] = 4000
    pixels, lesion = pixels.astype(np.uint16), lesion
    return (pixels[:, ::-1], lesion[:, ::-1]) if right else (pixels, lesion)


@pytest.mark.parametrize("side", ["R", "L"])
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("spacing", [[0.1, 0.1], [0.1, 0.2]])
def test_the_mask_lies_on_the_lesion(tmp_path, make_checkpoint, breast_network, side, photometric, spacing):
    pixels, lesion = film(right=side == "R")
    stored = 4095 - pixels if photometric == "MONOCHROME1" else pixels
    path = write_mammogram(
        tmp_path / "film.dcm",
        np.ascontiguousarray(stored.astype(np.uint16)),
        PhotometricInterpretation=photometric,
        ImageLaterality=side,
        ViewPosition="CC",
        ImagerPixelSpacing=spacing,
    )
    checkpoint = make_checkpoint(network=breast_network((-3.0, 0.0, 3.0)), thresholds={"mask": 0.5})
    checkpoint.preparation = preparation_from_config(
        {"name": "mammography", "size": (128, 96), "percentiles": (0.5, 99.9)}
    )
    image = read_image(path, modality=Modality.MG)
    prediction = Predictor(checkpoint, device="cpu").predict(image)
    write_mask(tmp_path / "mask.nrrd", prediction.mask, geometry=image.geometry)
    mask = read_mask(tmp_path / "mask.nrrd", shape=SHAPE) > 0
    overlap = (mask & lesion).sum() / (mask | lesion).sum()
    # The outline may be off by a prepared pixel, which is about one of the film's.
    assert overlap > 0.8
    assert prediction.mask.max() == 2
