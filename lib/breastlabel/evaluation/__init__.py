"""Measures with confidence intervals, ablations, and reports of both."""

from breastlabel.evaluation.ablation import ULTRASOUND_ROWS, AblationRow, ablate_ultrasound
from breastlabel.evaluation.bootstrap import Bootstrap, Interval, PairedDifference, paired_bootstrap
from breastlabel.evaluation.collect import collect
from breastlabel.evaluation.evaluate import evaluate
from breastlabel.evaluation.measures import compute_metrics, explanation_measure
from breastlabel.evaluation.report import write_report
from breastlabel.evaluation.segmentation import boundary_distances, dice, iou
from breastlabel.evaluation.table import Case, EvaluationTable, Picture

__all__ = [
    "ULTRASOUND_ROWS",
    "AblationRow",
    "Bootstrap",
    "Case",
    "EvaluationTable",
    "Interval",
    "PairedDifference",
    "Picture",
    "ablate_ultrasound",
    "boundary_distances",
    "collect",
    "compute_metrics",
    "dice",
    "evaluate",
    "explanation_measure",
    "iou",
    "paired_bootstrap",
    "write_report",
]
