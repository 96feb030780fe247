"""Breast imaging in MONAI Label: segment, classify, correct, retrain.

Research software. It is not a medical device and must not be used for diagnosis.
"""

__version__ = "0.1.0"
