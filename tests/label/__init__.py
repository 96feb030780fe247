"""Tests of the MONAI Label adapters."""
