"""Predictors and what they are made of: uncertainty, superpixels, morphology, Grad-CAM, calibration."""

from breastlabel.inference.breasts import BreastAnswer, predict_breast
from breastlabel.inference.ensemble import EnsemblePredictor
from breastlabel.inference.overlay import render_overlay, write_overlay
from breastlabel.inference.prediction import Prediction, decide
from breastlabel.inference.predictor import Predictor
from breastlabel.inference.sequence_prediction import SequencePrediction

__all__ = [
    "BreastAnswer",
    "EnsemblePredictor",
    "Prediction",
    "Predictor",
    "SequencePrediction",
    "decide",
    "predict_breast",
    "render_overlay",
    "write_overlay",
]
