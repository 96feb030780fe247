"""What is known of every image of a studies folder, in SQL. Knows nothing of MONAI Label."""

from breastlabel.catalog.catalog import Catalog
from breastlabel.catalog.folder import (
    CATALOG_FILE,
    LABEL_SUFFIXES,
    LABELS_FOLDER,
    hashed_split,
    label_path,
    sync_folder,
)
from breastlabel.catalog.models import SPLITS, ImageRecord

__all__ = [
    "CATALOG_FILE",
    "LABELS_FOLDER",
    "LABEL_SUFFIXES",
    "SPLITS",
    "Catalog",
    "ImageRecord",
    "hashed_split",
    "label_path",
    "sync_folder",
]
