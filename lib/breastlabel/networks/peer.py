"""The plain U-Net that the project measures itself against."""

from __future__ import annotations

from torch import Tensor

from breastlabel.errors import MissingDependencyError
from breastlabel.networks.base import HybridNetwork, HybridOutput

__all__ = ["PlainUNet"]


class PlainUNet(HybridNetwork):
    """`segmentation_models_pytorch.Unet` as it comes, with its own class head.

    Args:
        encoder: name of one of the library's encoders, built from random weights.
        dropout: before the class layer.
        n_classes: outputs of the class head.

    Raises:
        MissingDependencyError: the library is not installed.
    """

    def __init__(self, *, encoder: str = "resnet18", dropout: float = 0.5, n_classes: int = 3) -> None:
        super().__init__()
        try:
            import segmentation_models_pytorch
        except ImportError as error:
            raise MissingDependencyError(
                "segmentation_models_pytorch is required for the plain U-Net; it is not installed; "
                "install breastlabel[peer]"
            ) from error
        self._config: dict[str, object] = {"encoder": encoder, "dropout": dropout, "n_classes": n_classes}
        self.unet = segmentation_models_pytorch.Unet(
            encoder,
            encoder_weights=None,
            in_channels=1,
            classes=1,
            aux_params={"classes": n_classes, "pooling": "avg", "dropout": dropout},
        )
        self.stride = 2 ** len(self.unet.decoder.blocks)

    def encode(self, image: Tensor) -> list[Tensor]:
        """The encoder's maps, the image itself first."""
        return list(self.unet.encoder(image))

    def decode(self, features: list[Tensor]) -> Tensor:
        """The decoder's last map, at the image's size."""
        decoded: Tensor = self.unet.decoder(features)
        return decoded

    def heads(
        self, decoded: Tensor, deepest: Tensor, image: Tensor, *, texture: Tensor | None = None
    ) -> HybridOutput:
        """Mask logits from the decoder, class logits from the deepest map."""
        masks = self.unet.segmentation_head(decoded)
        return HybridOutput(masks.float(), self.unet.classification_head(deepest).float())

    def describe(self, image: Tensor) -> None:
        """None: it uses no texture statistics."""

    def config(self) -> dict[str, object]:
        """The constructor's arguments."""
        return dict(self._config)
