"""What is measured of views and priors, with a network whose answer is known."""

from datetime import date
from itertools import pairwise

import numpy as np
import pytest
import torch

from breastlabel.errors import StudiesError
from breastlabel.evaluation.company import company_worth
from breastlabel.imaging.context import image_context
from breastlabel.imaging.vocabulary import ViewPosition
from breastlabel.networks.base import HybridOutput
from breastlabel.networks.sequences import SequenceNetwork
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.cases import Cases

VIEWS = (ViewPosition.CC, ViewPosition.MLO)


class Brightest(SequenceNetwork):
    """Calls a breast as malignant as the mean brightness of what it is shown, less that of its priors."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(20.0))

    def encode(self, image):
        return [image]

    def decode(self, features):
        return features[-1]

    def config(self):
        return {}

    def read(self, features, decoded, batch):
        prior = batch.context[:, 3] > 0
        sign = torch.where(prior, -1.0, 1.0) * batch.images.mean((1, 2, 3))
        score = torch.zeros(batch.n_sequences).index_add(0, batch.sequence, sign) / batch.lengths
        logits = torch.stack([-score, torch.zeros_like(score) - 9, score], dim=1)
        return HybridOutput(self.no_outline(batch.images), self.scale * logits)


def breasts(n, *, views=2, priors=False, patients=None):
    """Malignant breasts are brighter; each view alone tells it with noise."""
    rng = np.random.default_rng(0)
    labels = np.arange(n) % 2 * 2
    images, members, newest, contexts = [], [], [], []
    for label in labels:
        rows, own = [], rng.normal(0, 0.3) if priors else 0.0
        for prior in (True, False) if priors else (False,):
            # What is bright already in the prior is no sign of malignancy.
            level = 0.4 + (0.2 if label and not prior else 0.0) + own
            for view in VIEWS[:views]:
                rows.append(len(images))
                images.append(np.full((4, 4), np.clip(level + rng.normal(0, 0.2), 0, 1)))
                contexts.append(
                    image_context(
                        view_position=view, is_prior=prior, acquired=date(2024, 1, 1), newest=date(2026, 1, 1)
                    )
                )
                newest.append(not prior)
        members.append(rows)
    flat, of_case = iter(newest), [len(rows) for rows in members]
    ids = np.array([f"i{i}" for i in range(len(images))])
    at = np.concatenate([[0], np.cumsum(of_case)])
    return TrainingArrays(
        np.stack(images).astype(np.float16),
        np.zeros((len(images), 4, 4), np.uint8),
        np.ones(len(images), bool),
        labels.astype(np.int64),
        ids,
        np.array([f"p{i % (patients or n)}" for i in range(n)]),
        Cases.of_lists(
            [f"b{i}" for i in range(n)],
            members,
            [[next(flat) for _ in range(k)] for k in of_case],
            [np.stack(contexts[a:b]) for a, b in pairwise(at)],
        ),
    )


def test_two_views_of_one_breast_beat_one_and_anothers_does_not():
    found = company_worth(Brightest(), breasts(120), resamples=200)
    assert found["priors"] is None
    views = found["views"]
    assert (views["n_breasts"], views["n_patients"], views["n_malignant"]) == (120, 120, 60)
    gain, against_other, other = (d["mean"] for d in views["differences"])
    assert gain > 0
    assert against_other > 0
    assert other < gain
    low, high = views["differences"][0]["ci95"]
    assert low < gain < high
    aucs = {name: interval["mean"] for name, interval in views["auc"].items()}
    assert aucs["both views"] > max(aucs["CC alone"], aucs["MLO alone"])
    assert gain == pytest.approx(aucs["both views"] - (aucs["CC alone"] + aucs["MLO alone"]) / 2)


def test_breasts_with_priors_are_measured_with_without_and_with_anothers():
    found = company_worth(Brightest(), breasts(40, priors=True), resamples=50)
    assert set(found["priors"]["auc"]) == {"without prior", "with prior", "another's prior"}
    assert found["views"]["n_breasts"] == found["priors"]["n_breasts"] == 40


def test_the_same_seed_swaps_the_same_images():
    arrays = breasts(30, priors=True)
    assert company_worth(Brightest(), arrays, resamples=20) == company_worth(
        Brightest(), arrays, resamples=20
    )


def test_single_views_and_a_single_patient_are_refused():
    with pytest.raises(StudiesError, match="CC and MLO"):
        company_worth(Brightest(), breasts(4, views=1))
    with pytest.raises(StudiesError, match="two patients"):
        company_worth(Brightest(), breasts(4, patients=1))
