"""The datasets that can be imported, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from breastlabel.datasets.bus_bra import list_bus_bra
from breastlabel.datasets.bus_uclm import list_bus_uclm
from breastlabel.datasets.busi import list_busi
from breastlabel.datasets.cbis_ddsm import list_cbis_ddsm
from breastlabel.datasets.cdd_cesm import list_cdd_cesm
from breastlabel.datasets.cmmd import list_cmmd
from breastlabel.datasets.folder import list_folder
from breastlabel.datasets.inbreast import list_inbreast
from breastlabel.datasets.mini_mias import list_mini_mias
from breastlabel.datasets.rsna import list_rsna
from breastlabel.datasets.source import SourceListing
from breastlabel.datasets.vindr_mammo import list_vindr_mammo

__all__ = ["IMPORTERS"]

IMPORTERS: Mapping[str, Callable[[Path], SourceListing]] = {
    "busi": list_busi,
    "bus-bra": list_bus_bra,
    "bus-uclm": list_bus_uclm,
    "cbis-ddsm": list_cbis_ddsm,
    "cdd-cesm": list_cdd_cesm,
    "cmmd": list_cmmd,
    "inbreast": list_inbreast,
    "mini-mias": list_mini_mias,
    "rsna": list_rsna,
    "vindr-mammo": list_vindr_mammo,
    "folder": list_folder,
}
"""Name -> what lists the dataset's images as its authors distribute it; `StudiesError` where it is not."""
