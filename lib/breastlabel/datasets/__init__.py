"""Public datasets and a site's own images -> a studies folder; labels out of it; groups, splits, phantoms."""

from breastlabel.datasets.exporting import ExportSummary, export_labels
from breastlabel.datasets.importing import IMPORTERS, import_dataset
from breastlabel.datasets.loading import LabelledImage, class_of_mask, load_training_images
from breastlabel.datasets.splits import assign_splits
from breastlabel.datasets.summary import ImportSummary

__all__ = [
    "IMPORTERS",
    "ExportSummary",
    "ImportSummary",
    "LabelledImage",
    "assign_splits",
    "class_of_mask",
    "export_labels",
    "import_dataset",
    "load_training_images",
]
