import pytest

from breastlabel.activelearning.simulation.plan import plan_rounds
from breastlabel.errors import StudiesError


def test_without_more_a_quarter_of_the_split_is_labelled_in_eight_rounds():
    plan = plan_rounds(1467, epochs=2)
    assert (plan.rounds, plan.initial, plan.batch) == (8, 40, 40)
    assert plan.n_labels() == [40, 80, 120, 160, 200, 240, 280, 320, 360]
    assert plan.reference_epochs == 8


def test_a_small_split_gets_a_label_a_round():
    assert plan_rounds(12, epochs=1).n_labels() == [2, 3, 4, 5, 6, 7, 8, 9, 10]


def test_what_is_asked_for_is_taken():
    plan = plan_rounds(100, rounds=3, initial=10, batch=20, epochs=1, reference_epochs=9)
    assert plan.n_labels() == [10, 30, 50, 70]
    assert plan.reference_epochs == 9


def test_more_labels_than_there_are_cannot_be_asked_for():
    with pytest.raises(StudiesError, match=r"must hold 70 images for 10 \+ 3 x 20 labels; it holds 69"):
        plan_rounds(69, rounds=3, initial=10, batch=20, epochs=1)
