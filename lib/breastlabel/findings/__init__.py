"""Masks and scores -> findings, and the result as JSON."""

from breastlabel.findings.extract import find_findings
from breastlabel.findings.finding import Finding, Orientation
from breastlabel.findings.result import LABEL_NAMES, RESEARCH_USE, result_json

__all__ = ["LABEL_NAMES", "RESEARCH_USE", "Finding", "Orientation", "find_findings", "result_json"]
