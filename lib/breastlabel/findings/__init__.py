"""Masks and scores -> findings, and the result as JSON."""

from breastlabel.findings.breast_result import BreastResults
from breastlabel.findings.change import Change, Comparison
from breastlabel.findings.extract import find_findings
from breastlabel.findings.finding import Finding, Orientation
from breastlabel.findings.matching import changes
from breastlabel.findings.result import LABEL_NAMES, RESEARCH_USE, result_json

__all__ = [
    "LABEL_NAMES",
    "RESEARCH_USE",
    "BreastResults",
    "Change",
    "Comparison",
    "Finding",
    "Orientation",
    "changes",
    "find_findings",
    "result_json",
]
