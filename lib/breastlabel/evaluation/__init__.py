"""Measures with confidence intervals, ablations, reports of both, and agreement between label maps."""

from breastlabel.evaluation.ablation import ULTRASOUND_ROWS, AblationRow, ablate_ultrasound
from breastlabel.evaluation.agreement import MaskAgreement, compare_masks
from breastlabel.evaluation.bootstrap import Bootstrap, Interval, PairedDifference, paired_bootstrap
from breastlabel.evaluation.collect import collect
from breastlabel.evaluation.consensus import Staple, majority, staple
from breastlabel.evaluation.evaluate import evaluate
from breastlabel.evaluation.measures import compute_metrics, explanation_measure
from breastlabel.evaluation.readers import ReaderAgreement, pool_agreement, reader_agreement
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
    "MaskAgreement",
    "PairedDifference",
    "Picture",
    "ReaderAgreement",
    "Staple",
    "ablate_ultrasound",
    "boundary_distances",
    "collect",
    "compare_masks",
    "compute_metrics",
    "dice",
    "evaluate",
    "explanation_measure",
    "iou",
    "majority",
    "paired_bootstrap",
    "pool_agreement",
    "reader_agreement",
    "staple",
    "write_report",
]
