"""Our own SEG and SR in the archive: which of them whoever asks may have before their own reading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import TYPE_CHECKING

from breastlabel.label.blinding import Blinding
from breastlabel.web.reading import REPORT, SEGMENTATION

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["OwnObjects"]


class OwnObjects:
    """Where first readings are blinded, an object of ours is shown once all images that it is about may be.

    Args:
        app: whose catalog and setting these are.
    """

    def __init__(self, app: BreastLabelApp) -> None:
        self._app = app
        self._blinding = Blinding(app)

    @property
    def is_on(self) -> bool:
        """Whether anything is withheld at all."""
        return self._blinding.is_on

    def shown(self, study: str | None) -> frozenset[str] | None:
        """Series of ours that whoever asks may have; None: all that there are.

        Args:
            study: in which they are looked for; None: in all, where nothing of ours is shown to anybody, for
                what the whole archive holds could not be searched in good time.
        """
        if not self.is_on:
            return None
        if study is None:
            return frozenset()
        catalog = self._app.catalog
        instances = catalog.dicom.find(study=study)
        images = [instance.image_id for instance in instances if instance.image_id is not None]
        hidden = self._blinding.withheld(images, None)
        if images and not hidden:
            return frozenset(one.series_instance_uid for one in instances if one.origin == "ours")
        # All objects of a series are about the same images. One that no proposal names is not shown.
        about: dict[str, set[str]] = defaultdict(set)
        for image_id in images:
            for version in catalog.labels.history(image_id):
                for kind in (SEGMENTATION, REPORT):
                    if isinstance(place := version.info.get(kind), Mapping):
                        about[str(place.get("series_instance_uid"))].add(image_id)
        return frozenset(series for series, of in about.items() if not of & hidden)
