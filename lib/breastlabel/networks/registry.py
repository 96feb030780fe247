"""Networks by name, and back."""

from __future__ import annotations

import inspect
from typing import Any

from breastlabel.errors import UnknownNameError
from breastlabel.networks.base import HybridNetwork
from breastlabel.networks.baselines import PixelLogisticRegression
from breastlabel.networks.cad import CadNet
from breastlabel.networks.fusionview import FusionViewNet
from breastlabel.networks.mammography import MammographyHybrid
from breastlabel.networks.patches import PatchNet
from breastlabel.networks.peer import PlainUNet
from breastlabel.networks.screening import ScreeningNet
from breastlabel.networks.ultrasound import UltrasoundHybrid

__all__ = ["NETWORKS", "create_network", "network_config"]

NETWORKS: dict[str, type[HybridNetwork]] = {
    "ultrasound": UltrasoundHybrid,
    "mammography": MammographyHybrid,
    "cad": CadNet,
    "screening": ScreeningNet,
    "fusionview": FusionViewNet,
    "patch": PatchNet,
    "pixel-logistic-regression": PixelLogisticRegression,
    "plain-unet": PlainUNet,
}


def create_network(name: str, **arguments: Any) -> HybridNetwork:
    """Build a network; ``create_network(**network_config(other))`` fits the other's weights.

    Raises:
        UnknownNameError: there is no such network, or it has no such argument.
    """
    if name not in NETWORKS:
        raise UnknownNameError("network", name, NETWORKS)
    network = NETWORKS[name]
    valid = inspect.signature(network).parameters
    for argument in arguments:
        if argument not in valid:
            raise UnknownNameError(f"argument of network '{name}'", argument, valid)
    return network(**arguments)


def network_config(network: HybridNetwork) -> dict[str, object]:
    """``{"name": ..., **arguments}`` of JSON values.

    Raises:
        UnknownNameError: the network is not one of the registered ones.
    """
    for name, kind in NETWORKS.items():
        if type(network) is kind:
            return {"name": name, **network.config()}
    raise UnknownNameError("network", type(network).__name__, NETWORKS)
