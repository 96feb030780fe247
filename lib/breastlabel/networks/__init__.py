"""Encoders, decoders, recurrence and heads, and the systems built from them."""

from breastlabel.networks.base import HybridNetwork, HybridOutput
from breastlabel.networks.baselines import PixelLogisticRegression
from breastlabel.networks.cad import CadNet
from breastlabel.networks.dropout import dropout_modules, set_dropout, stochastic_passes
from breastlabel.networks.fusionview import FusionViewNet
from breastlabel.networks.mammography import MammographyHybrid
from breastlabel.networks.patches import PatchNet, load_patch_weights, patch_network_for
from breastlabel.networks.presets import EFFICIENT_MAMMOGRAPHY, EFFICIENT_ULTRASOUND
from breastlabel.networks.registry import NETWORKS, create_network, network_config
from breastlabel.networks.screening import ScreeningNet
from breastlabel.networks.texture import TEXTURE_NAMES, texture_features
from breastlabel.networks.tiles import reach_of, tiled_mask_logits
from breastlabel.networks.ultrasound import UltrasoundHybrid

__all__ = [
    "EFFICIENT_MAMMOGRAPHY",
    "EFFICIENT_ULTRASOUND",
    "NETWORKS",
    "TEXTURE_NAMES",
    "CadNet",
    "FusionViewNet",
    "HybridNetwork",
    "HybridOutput",
    "MammographyHybrid",
    "PatchNet",
    "PixelLogisticRegression",
    "ScreeningNet",
    "UltrasoundHybrid",
    "create_network",
    "dropout_modules",
    "load_patch_weights",
    "network_config",
    "patch_network_for",
    "reach_of",
    "set_dropout",
    "stochastic_passes",
    "texture_features",
    "tiled_mask_logits",
]
