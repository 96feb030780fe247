from datetime import date

import numpy as np
import pytest

from breastlabel.errors import InvalidImageError
from breastlabel.imaging import Laterality, Modality, ViewPosition
from breastlabel.imaging.context import CONTEXT_NAMES, image_context
from breastlabel.imaging.exams import LeftOut, View
from breastlabel.inference import EnsemblePredictor, Predictor, predict_breast

TODAY, BEFORE = date(2024, 3, 5), date(2022, 3, 5)
CC, MLO = ViewPosition.CC, ViewPosition.MLO


def view(image_id, acquired, position, side=Laterality.R, patient="p"):
    return View(
        image_id=image_id,
        modality=Modality.MG,
        patient_key=patient,
        exam_key=f"{patient}-{acquired}",
        acquired=acquired,
        laterality=side,
        view_position=position,
    )


VIEWS = [
    view("r-cc", TODAY, CC),
    view("r-mlo", TODAY, MLO),
    view("r-cc-old", BEFORE, CC),
    view("r-mlo-old", BEFORE, MLO),
    view("l-cc", TODAY, CC, Laterality.L),
    view("l-cc-old", BEFORE, CC, Laterality.L),
    view("other", TODAY, CC, patient="q"),
]


@pytest.fixture
def ask(make_checkpoint, breast_network, bright_square):
    """Asks for an image; gives the answer, what was read and the contexts."""

    def ask(target="r-cc", *, broken=(), refused=(), views=True, priors=True, **asked):
        network = breast_network((-3.0, 0.0, 3.0))
        network.uses_views, network.uses_priors = views, priors
        seen, contexts = [], {}

        def read(image_id):
            if image_id in broken:
                raise InvalidImageError(f"{image_id} is truncated")
            seen.append(image_id)
            return bright_square(metadata={"not_analysable": "specimen"} if image_id in refused else {})

        def context(image_id, image, newest, is_prior):
            known = next(v for v in VIEWS if v.image_id == image_id)
            contexts[image_id] = image_context(
                view_position=known.view_position, acquired=known.acquired, newest=newest, is_prior=is_prior
            )
            return contexts[image_id]

        answer = predict_breast(
            Predictor(make_checkpoint(network=network), device="cpu"),
            next(v for v in VIEWS if v.image_id == target),
            VIEWS,
            read=read,
            context=context,
            **asked,
        )
        return answer, seen, contexts

    return ask


def ids(answer):
    return [v.image_id for v in answer.sequence.views]


def test_the_request_for_r_cc_uses_r_mlo_and_the_r_priors_and_nothing_of_l(ask):
    answer, seen, _ = ask("r-cc")
    assert ids(answer) == ["r-cc-old", "r-mlo-old", "r-cc", "r-mlo"]
    assert sorted(seen) == sorted(ids(answer))
    assert answer.prediction.newest == (False, False, True, True)
    assert len(answer.prediction.images) == len(answer.images) == 4
    assert answer.index("r-cc") == 2
    assert {left.image_id: left.reason for left in answer.sequence.left_out}["l-cc"] == "the other breast"


def test_contexts_say_what_is_a_prior_and_how_old(ask):
    _, _, contexts = ask("r-cc")
    prior, years = CONTEXT_NAMES.index("is_prior"), CONTEXT_NAMES.index("years_before")
    assert contexts["r-cc"][[prior, years]].tolist() == [0, 0]
    assert contexts["r-mlo-old"][prior] == 1
    assert contexts["r-mlo-old"][years] == pytest.approx(0.2, abs=0.001)


def test_a_prior_is_judged_without_what_came_later(ask):
    answer, _, _ = ask("r-mlo-old")
    assert ids(answer) == ["r-cc-old", "r-mlo-old"]


def test_the_model_says_whether_views_and_priors_take_part(ask):
    assert ids(ask("r-cc", views=False, priors=False)[0]) == ["r-cc"]
    assert ids(ask("r-cc", priors=False)[0]) == ["r-cc", "r-mlo"]


def test_what_cannot_be_used_beside_the_target_is_left_out_and_said(ask):
    told = {}
    answer, _, _ = ask(
        "r-cc",
        broken=("r-mlo-old",),
        refused=("r-mlo",),
        on_error=lambda image_id, error: told.setdefault(image_id, str(error)),
        left_out=[LeftOut("gone", "its file is missing")],
    )
    assert ids(answer) == ["r-cc-old", "r-cc"]
    reasons = {left.image_id: left.reason for left in answer.sequence.left_out}
    assert reasons["r-mlo-old"] == "cannot be read"
    assert reasons["r-mlo"] == "cannot be analysed"
    assert reasons["gone"] == "its file is missing"
    assert told["r-mlo-old"] == "r-mlo-old is truncated"
    assert "specimen" in told["r-mlo"]


def test_a_target_that_cannot_be_used_is_the_callers_to_hear(ask):
    with pytest.raises(InvalidImageError, match="r-cc is truncated"):
        ask("r-cc", broken=("r-cc",))
    with pytest.raises(InvalidImageError, match="not analysable"):
        ask("r-cc", refused=("r-cc",))


def test_a_refusal_is_told_without_predicting(make_checkpoint, breast_network, bright_square):
    checkpoints = [make_checkpoint(network=breast_network()) for _ in range(2)]
    spot = bright_square(metadata={"not_analysable": "spot compression"})
    for predictor in (Predictor(checkpoints[0], device="cpu"), EnsemblePredictor(checkpoints, device="cpu")):
        assert predictor.refusal(bright_square()) is None
        assert "spot compression" in predictor.refusal(spot)
    assert np.all([checkpoint.network.encoded == 0 for checkpoint in checkpoints])
