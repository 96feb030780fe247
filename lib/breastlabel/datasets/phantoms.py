"""Phantoms: made-up ultrasound images and mammograms with exact outlines, for tests, samples and trials.

Everything is a function of the seed. A figure measured on phantoms is a figure on phantoms.
"""

from breastlabel.datasets.mammogram_exam import MammogramView, mammogram_exam
from breastlabel.datasets.mammogram_studies import write_mammogram_phantoms
from breastlabel.datasets.mammogram_vendor import Machine
from breastlabel.datasets.phantom_image import Phantom, ultrasound_phantom
from breastlabel.datasets.phantom_scanner import ScannerStyle, Style
from breastlabel.datasets.phantom_studies import write_phantom_studies

__all__ = [
    "Machine",
    "MammogramView",
    "Phantom",
    "ScannerStyle",
    "Style",
    "mammogram_exam",
    "ultrasound_phantom",
    "write_mammogram_phantoms",
    "write_phantom_studies",
]
