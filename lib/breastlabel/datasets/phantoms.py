"""Ultrasound phantoms: made-up breast images with exact outlines, for tests, samples and demonstrations.

Everything is a function of the seed. A figure measured on phantoms is a figure on phantoms.
"""

from breastlabel.datasets.phantom_image import Phantom, ultrasound_phantom
from breastlabel.datasets.phantom_scanner import ScannerStyle, Style
from breastlabel.datasets.phantom_studies import write_phantom_studies

__all__ = ["Phantom", "ScannerStyle", "Style", "ultrasound_phantom", "write_phantom_studies"]
