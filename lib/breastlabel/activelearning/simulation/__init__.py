"""Labelling replayed on a labelled set: which strategy reaches most with fewest labels."""

from breastlabel.activelearning.simulation.simulate import simulate

__all__ = ["simulate"]
