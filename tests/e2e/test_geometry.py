"""A written label lies over its image: SimpleITK and nibabel find the same pixels.

The mask has no symmetry, so that a flip or a transposition would be seen.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

from .serving import KINDS, SHAPE, SPACED, Server


@pytest.fixture
def mask() -> np.ndarray[Any, Any]:
    """An L of benign and one malignant corner."""
    array = np.zeros(SHAPE, np.uint8)
    array[20:60, 30:40] = 1
    array[50:60, 30:90] = 1
    array[3:9, 100:117] = 2
    return array


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("suffix", [".nii.gz", ".nrrd"])
def test_saved_label_lies_over_its_image(
    server: Server, kind: str, suffix: str, mask: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    downloaded = server.download(kind)
    image = SimpleITK.ReadImage(str(downloaded))
    drawn = SimpleITK.GetImageFromArray(mask[None])
    drawn.CopyInformation(image)
    SimpleITK.WriteImage(drawn, str(tmp_path / f"label{suffix}"))
    info = [{"name": "benign", "idx": 1}, {"name": "malignant", "idx": 2}]
    server.client().save_label(kind, str(tmp_path / f"label{suffix}"), params={"label_info": info})
    saved = server.studies / "labels" / "final" / f"{kind}.nii.gz"

    by_itk = SimpleITK.ReadImage(str(saved))
    assert by_itk.GetSize() == image.GetSize()
    assert by_itk.GetSpacing() == pytest.approx(image.GetSpacing())
    assert by_itk.GetOrigin() == pytest.approx(image.GetOrigin())
    assert by_itk.GetDirection() == pytest.approx(image.GetDirection())
    assert np.array_equal(SimpleITK.GetArrayFromImage(by_itk)[0], mask)
    # Resampling goes through the patient's space, so it is the same only where both spaces are.
    laid = SimpleITK.Resample(by_itk, image, SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    assert np.array_equal(SimpleITK.GetArrayFromImage(laid)[0], mask)

    by_nibabel: Any = nibabel.load(saved)
    assert np.array_equal(np.asarray(by_nibabel.dataobj)[:, :, 0].T, mask)
    # nibabel's world is RAS, ITK's is LPS.
    voxel = (100, 3, 0)
    world = np.diag([-1, -1, 1, 1]) @ by_nibabel.affine @ [*voxel, 1]
    assert world[:3] == pytest.approx(image.TransformIndexToPhysicalPoint(voxel), abs=1e-4)
    if downloaded.name.endswith(".nii.gz"):
        assert by_nibabel.affine == pytest.approx(nibabel.load(downloaded).affine, abs=1e-5)
        assert by_nibabel.shape == (*nibabel.load(downloaded).shape[:2], 1)


@pytest.mark.parametrize("kind", KINDS)
def test_inferred_mask_and_heat_map_have_the_images_geometry(server: Server, kind: str) -> None:
    image = SimpleITK.ReadImage(str(server.download(kind)))
    for model in ("ultrasound", "explain"):
        for suffix in (".nrrd", ".nii.gz"):
            file, _ = server.client().infer(model, kind, {"result_extension": suffix})
            result = SimpleITK.ReadImage(file)
            assert result.GetSize() == image.GetSize()
            assert result.GetSpacing() == pytest.approx(image.GetSpacing())
            assert result.GetOrigin() == pytest.approx(image.GetOrigin())


def test_a_label_flipped_in_its_affine_is_paired_by_index(
    server: Server, mask: np.ndarray[Any, Any], tmp_path: Path
) -> None:
    """What other viewers save for a PNG: the same pixels, an affine without the flips to RAS."""
    nibabel.save(nibabel.Nifti1Image(mask.T[:, :, None], np.eye(4)), tmp_path / "label.nii.gz")
    info = [{"name": "malignant", "idx": 2}, {"name": "benign", "idx": 1}]
    server.client().save_label("kind-grey", str(tmp_path / "label.nii.gz"), params={"label_info": info})
    saved = SimpleITK.ReadImage(str(server.studies / "labels" / "final" / "kind-grey.nii.gz"))
    assert np.array_equal(SimpleITK.GetArrayFromImage(saved)[0], mask)


def test_sizes_of_findings_are_in_millimetres_where_spacing_is_known(server: Server) -> None:
    assert SPACED.spacing == (0.2, 0.3, 1.0)
    for kind, unit in (("kind-nrrd", [0.3, 0.2]), ("kind-dicom", [0.25, 0.25]), ("kind-grey", None)):
        _, params = server.client().infer("ultrasound", kind, {})
        assert params["image"]["spacing_mm"] == (unit if unit is None else pytest.approx(unit))
        length, area = ("px", "px2") if unit is None else ("mm", "mm2")
        assert params["findings"]
        for finding in params["findings"]:
            assert (finding["length_unit"], finding["area_unit"]) == (length, area)
            # The number is in that unit too: an ellipse of these axes has about the finding's area.
            ellipse = np.pi / 4 * finding["long_axis"] * finding["short_axis"]
            assert finding["area"] == pytest.approx(ellipse, rel=0.5)
