"""MONAI Label's own inference pipeline over its own datastore, around a network of ours."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from monai.transforms import (
    Activationsd,
    AsDiscreted,
    EnsureChannelFirstd,
    EnsureTyped,
    LoadImaged,
    Resized,
    ScaleIntensityd,
)
from monailabel.datastore.local import LocalDatastore
from monailabel.datastore.utils.convert import dicom_to_nifti
from monailabel.interfaces.tasks.infer_v2 import InferType
from monailabel.tasks.infer.basic_infer import BasicInferTask
from monailabel.transform.post import Restored
from torch import nn

from breastlabel.training.checkpoint import load_checkpoint

__all__ = ["StockPipeline"]

# As 3D Slicer sends them.
_OPTIONS = {"result_extension": ".nrrd", "result_dtype": "uint8", "device": "cpu"}


class StockPipeline:
    """Seconds of requests less those of their forward passes.

    Args:
        checkpoint: its network is used.
        studies: .nii.gz files by their ids, and DICOM files.
        folder: made here, for a copy of the .nii.gz files and the index that the datastore writes.
        size: (rows, cols) of the network's input.
    """

    def __init__(self, checkpoint: Path, studies: Path, folder: Path, size: tuple[int, int]) -> None:
        self._studies = studies
        folder.mkdir()
        for file in studies.glob("*.nii.gz"):
            shutil.copy(file, folder)
        self._store = LocalDatastore(str(folder), extensions=["*.nii.gz"], auto_reload=False)
        self._task = _Task(_MaskOnly(load_checkpoint(checkpoint).network), size)

    def infer(self, image_id: str) -> float:
        """For an image that the datastore has."""
        started = time.perf_counter()
        return self._run(str(self._store.get_image_uri(image_id)), started)

    def convert_and_infer(self, image_id: str) -> float:
        """For a DICOM file, which its DICOMweb datastore first converts with this function."""
        started = time.perf_counter()
        converted = Path(dicom_to_nifti(str(self._studies / f"{image_id}.dcm")))
        try:
            return self._run(str(converted), started)
        finally:
            converted.unlink()

    def _run(self, image: str, started: float) -> float:
        file, _ = self._task({"image": image, **_OPTIONS})
        seconds = time.perf_counter() - started
        assert file is not None, "the stock pipeline wrote no mask"
        Path(str(file)).unlink()
        return seconds - self._task.forward


class _MaskOnly(nn.Module):
    """The same network for a volume of one slice, (1, 1, W, H, 1) -> the same."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.network(image.as_tensor()[..., 0]).mask_logits  # type: ignore[operator]
        return logits[..., None]


class _Task(BasicInferTask):  # type: ignore[misc]
    """The steps of the stock sample apps' segmentation models, and the time of the network alone."""

    def __init__(self, network: nn.Module, size: tuple[int, int]) -> None:
        super().__init__(
            path=None,
            network=network,
            type=InferType.SEGMENTATION,
            labels={"lesion": 1},
            dimension=2,
            description="stock",
            preload=False,
            config={},
        )
        self._size = size
        self.forward = 0.0

    def pre_transforms(self, data: Any = None) -> Sequence[Any]:
        rows, cols = self._size
        return [
            LoadImaged(keys="image"),
            EnsureTyped(keys="image"),
            EnsureChannelFirstd(keys="image"),
            Resized(keys="image", spatial_size=(cols, rows, 1), mode="area"),
            ScaleIntensityd(keys="image"),
        ]

    def post_transforms(self, data: Any = None) -> Sequence[Any]:
        return [
            EnsureTyped(keys="pred"),
            Activationsd(keys="pred", sigmoid=True),
            AsDiscreted(keys="pred", threshold=0.5),
            Restored(keys="pred", ref_image="image"),
        ]

    def run_inferer(self, data: Any, convert_to_batch: bool = True, device: str = "cpu") -> Any:
        started = time.perf_counter()
        result = super().run_inferer(data, convert_to_batch=convert_to_batch, device=device)
        self.forward = time.perf_counter() - started
        return result
