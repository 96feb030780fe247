"""What is known of every image of a studies folder, in SQL. Knows nothing of MONAI Label."""

from breastlabel.catalog.audit import AuditEntry
from breastlabel.catalog.catalog import Catalog
from breastlabel.catalog.counts import Counts
from breastlabel.catalog.database import DATABASE_URL_VARIABLE
from breastlabel.catalog.folder import (
    CATALOG_FILE,
    LABELS_FOLDER,
    hashed_split,
    label_path,
    sync_folder,
)
from breastlabel.catalog.label_files import LABEL_SUFFIXES, VERSIONS_FOLDER
from breastlabel.catalog.label_version import LabelVersion
from breastlabel.catalog.leases import Lease
from breastlabel.catalog.models import SPLITS, ImageRecord
from breastlabel.catalog.orders import ByScore, First, Order, RandomOrder, Revisit
from breastlabel.catalog.patients import Exam, Patient
from breastlabel.catalog.scores import Score, ScoreRun
from breastlabel.catalog.sessions import Session

__all__ = [
    "CATALOG_FILE",
    "DATABASE_URL_VARIABLE",
    "LABELS_FOLDER",
    "LABEL_SUFFIXES",
    "SPLITS",
    "VERSIONS_FOLDER",
    "AuditEntry",
    "ByScore",
    "Catalog",
    "Counts",
    "Exam",
    "First",
    "ImageRecord",
    "LabelVersion",
    "Lease",
    "Order",
    "Patient",
    "RandomOrder",
    "Revisit",
    "Score",
    "ScoreRun",
    "Session",
    "hashed_split",
    "label_path",
    "sync_folder",
]
