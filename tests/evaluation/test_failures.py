from dataclasses import replace

from breastlabel.evaluation.failures import ERROR_RULES, error_kinds
from breastlabel.evaluation.lesions import LesionMatch
from breastlabel.evaluation.table import EvaluationTable


def test_each_image_gets_the_names_of_its_errors(table):
    assert error_kinds(table) == [[], [], ["missed lesion", "malignant taken for normal"], []]


def test_a_painted_normal_image_is_normal_tissue(table):
    painted = replace(table.cases[0], model_area=5.0)
    assert error_kinds(EvaluationTable((painted,))) == [["normal tissue"]]


def test_a_second_mark_beside_the_lesion_is_normal_tissue(table):
    match = LesionMatch(hits=(True,), scores=(0.9, 0.8), lesions=(0, -1), n_painted=2)
    assert error_kinds(EvaluationTable((replace(table.cases[1], match=match),))) == [["normal tissue"]]


def test_a_weak_candidate_that_was_not_painted_is_no_error(table):
    match = LesionMatch(hits=(True,), scores=(0.9, 0.2), lesions=(0, -1), n_painted=1)
    assert error_kinds(EvaluationTable((replace(table.cases[1], match=match),))) == [[]]


def test_the_smallest_faintest_lesion_is_called_so_when_missed(table):
    missed = replace(table.cases[2], label=None, area_fraction=0.01, contrast=0.01, border=0.01)
    others = [replace(table.cases[1], image_id=f"other-{i}") for i in range(9)]
    kinds = error_kinds(EvaluationTable((missed, *others)))
    assert kinds[0] == ["missed lesion", "small", "low contrast", "diffuse border"]
    assert kinds[1] == []


def test_a_bad_outline_of_a_found_lesion(table):
    assert error_kinds(EvaluationTable((replace(table.cases[3], dice=0.4),))) == [["poor outline"]]


def test_every_name_has_a_rule(table):
    assert {kind for kinds in error_kinds(table) for kind in kinds} <= set(ERROR_RULES)
