"""The pictures of an app's images: made once, kept on the disk, two at a time."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from breastlabel.catalog.label_version import LabelVersion
from breastlabel.errors import NotFoundError
from breastlabel.imaging import FloatArray, LabelArray, Modality, read_image, read_mask
from breastlabel.imaging.stamps import stamp_of
from breastlabel.imaging.volumes import read_volume
from breastlabel.training.registry import site_folder
from breastlabel.web.cases.overlays import Layer, drawn_in, heat_layer, mask_layer
from breastlabel.web.cases.picture_cache import PictureCache
from breastlabel.web.cases.thumbnails import thumbnail
from breastlabel.web.reading import model_for, proposal_of

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["Pictures"]

_EXPLAIN = "explain"


class Pictures:
    """Thumbnails and overlays by an image's id; a path is no id, so no other file can be had.

    Args:
        app: whose images these are.
    """

    def __init__(self, app: BreastLabelApp) -> None:
        self._app = app
        self._cache = PictureCache(site_folder(Path(app.studies)) / "cache" / ".pictures")

    def thumbnail(self, image_id: str, longest: int) -> bytes:
        """A grey PNG of an image.

        Raises:
            NotFoundError: unknown image, or its file is gone.
            InvalidImageError: it cannot be read.
        """
        path, modality = self._image(image_id)
        made_of = ("thumbnail", image_id, stamp_of(path), modality, longest)
        return self._cache.get(
            made_of, lambda: thumbnail(read_image(path, modality=modality).pixels, longest)
        )

    def overlay(self, image_id: str, layer: Layer, *, tag: str, background: bool) -> bytes:
        """A PNG of an image's outlines or heat map.

        Args:
            tag: of the label whose outlines are drawn.
            background: draw them into the image, instead of on nothing.

        Raises:
            NotFoundError: unknown image, or it has no label of the tag.
            InvalidImageError: it cannot be read or analysed.
            CheckpointError: no model that could have looked at it is trained.
        """
        path, modality = self._image(image_id)
        version = self._app.catalog.labels.current(image_id, tag)
        stamp = stamp_of(path)
        if layer is Layer.MASK:
            if version is None:
                raise NotFoundError(f"a label '{tag[:32]}' is required; the image has none; save one first")
            made_of: tuple[object, ...] = (layer, image_id, stamp, version.label_id, background)
            return self._cache.get(made_of, lambda: self._mask_picture(path, modality, version, background))
        model = self._explaining(image_id)
        serving = self._app.predictors.version(model)
        label = version.label_id if version is not None and background else None
        made_of = (layer, image_id, stamp, model, serving, label, background)
        return self._cache.get(
            made_of, lambda: self._heat_picture(path, modality, image_id, model, version, background)
        )

    def _image(self, image_id: str) -> tuple[Path, Modality]:
        path = self._app.datastore().path(image_id)
        return path, self._app.catalog.image(image_id).modality

    def _explaining(self, image_id: str) -> str:
        """The model whose proposal the image has, as far as it is served; else that of its modality."""
        try:
            proposed = proposal_of(self._app, image_id).model
        except NotFoundError:
            proposed = None
        if proposed is not None and proposed in self._app.trainers():
            return proposed
        return model_for(self._app, self._app.catalog.image(image_id))

    def _mask_picture(self, path: Path, modality: Modality, version: LabelVersion, background: bool) -> bytes:
        mask = read_mask(self._app.catalog.labels.path(version))
        if not background:
            return mask_layer(mask)
        return drawn_in(read_image(path, modality=modality).pixels, mask)

    def _heat_picture(
        self,
        path: Path,
        modality: Modality,
        image_id: str,
        model: str,
        version: LabelVersion | None,
        background: bool,
    ) -> bytes:
        options: dict[str, Any] = {"model": _EXPLAIN, "image": image_id, "explain_model": model}
        answer = self._app.infer(options)
        file = Path(answer["file"])
        try:
            # Not as an image, which may not be constant: of a class that nothing speaks for it is.
            heat: FloatArray = read_volume(file, suffix=file.suffix).array.astype(np.float32)
        finally:
            file.unlink(missing_ok=True)
        if not background:
            return heat_layer(heat)
        pixels = read_image(path, modality=modality).pixels
        mask: LabelArray = np.zeros(pixels.shape, np.uint8)
        if version is not None:
            mask = read_mask(self._app.catalog.labels.path(version))
        return drawn_in(pixels, mask, heat)
