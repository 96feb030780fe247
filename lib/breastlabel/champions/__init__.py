"""The checkpoints that ship with the package, one folder a model."""

from pathlib import Path

__all__ = ["FOLDER"]

FOLDER = Path(__file__).parent
