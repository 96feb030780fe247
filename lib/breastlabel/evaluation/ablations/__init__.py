"""The ablations of the four systems for mammography: rows, trainings, figures with intervals, a report."""

from breastlabel.evaluation.ablations.row import Row, Setting, System
from breastlabel.evaluation.ablations.run import SYSTEMS, ablate

__all__ = ["SYSTEMS", "Row", "Setting", "System", "ablate"]
