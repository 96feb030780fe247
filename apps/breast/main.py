"""The MONAI Label app for breast imaging; everything lives in the installed package."""

from breastlabel.label.app import BreastLabelApp

__all__ = ["BreastLabelApp"]
