"""The order in which images are found does not matter: a breast's sequence has one order."""

from datetime import date

import pytest
import torch

from breastlabel.imaging.context import image_context
from breastlabel.imaging.exams import View, breast_sequence
from breastlabel.imaging.vocabulary import Laterality, Modality, ViewPosition
from breastlabel.networks import MammographyHybrid


def views() -> list[View]:
    return [
        View(
            f"{acquired.year}-{position}",
            Modality.MG,
            patient_key="p",
            acquired=acquired,
            laterality=Laterality.R,
            view_position=position,
        )
        for acquired in (date(2020, 3, 1), date(2022, 3, 1))
        for position in (ViewPosition.MLO, ViewPosition.CC)
    ]


@pytest.mark.parametrize("recurrence", ["lstm", "bilstm", "transformer"])
def test_any_order_of_finding_the_images_gives_the_same_answer(recurrence):
    network = MammographyHybrid(widths=(4, 8), recurrent_hidden=8, recurrence=recurrence).eval()
    found = views()
    images = {view.image_id: torch.rand(1, 16, 16) for view in found}
    answers = []
    for order in ([0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]):
        sequence = breast_sequence(found[2], [found[i] for i in order])
        newest = sequence.newest.acquired
        context = [
            image_context(
                view_position=view.view_position,
                acquired=view.acquired,
                newest=newest,
                is_prior=view.acquired != newest,
            )
            for view in sequence.views
        ]
        stacked = torch.stack([images[view.image_id] for view in sequence.views])
        with torch.inference_mode():
            answers.append(
                network(
                    stacked,
                    torch.zeros(len(stacked), dtype=torch.int64),
                    torch.stack([torch.from_numpy(c) for c in context]),
                ).class_logits
            )
    assert len(sequence.views) == 4
    assert torch.equal(answers[0], answers[1])
    assert torch.equal(answers[0], answers[2])
