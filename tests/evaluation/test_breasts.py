"""Breasts judged as one: what is counted by breast, and what by image."""

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from breastlabel.errors import InvalidImageError
from breastlabel.evaluation.collect_breasts import collect_breasts
from breastlabel.evaluation.consistency import ViewAnswers, consistency_measure
from breastlabel.evaluation.evidence import Evidence, evidence_measure, without_lesion
from breastlabel.evaluation.labelled_breasts import LabelledBreast
from breastlabel.evaluation.measures import compute_metrics
from breastlabel.evaluation.report import write_report
from breastlabel.imaging import BreastImage, LesionClass, Modality, ViewPosition
from breastlabel.imaging.context import CONTEXT_SIZE
from breastlabel.inference.prediction import LesionBox

NORMAL, BENIGN, MALIGNANT = LesionClass


class Brightness:
    """Outlines what is brighter than 150; malignant by the share of images in which there is such a thing."""

    uses_views = uses_priors = True

    def __init__(self):
        self.asked = []

    def invasive(self, share):
        return None

    def boxes(self, found):
        return None

    def predict_sequence(self, images, *, contexts=None, newest=None, explain=False):
        assert contexts.shape == (len(images), CONTEXT_SIZE)
        self.asked.append(len(images))
        newest = newest or [True] * len(images)
        found = [image.pixels > 150 for image in images]
        share = float(np.mean([f.any() for f, new in zip(found, newest, strict=True) if new]))
        p = {"normal": 0.9 - 0.8 * share, "benign": 0.1, "malignant": 0.8 * share}
        predicted = MALIGNANT if share > 0.5 else NORMAL
        answers = [
            SimpleNamespace(
                mask=np.where(f & (predicted is MALIGNANT), 2, 0).astype(np.uint8),
                lesion_probability=f.astype(np.float32),
                class_probabilities=p,
                predicted=predicted,
                heat_map=f.astype(np.float32) if explain else None,
                boxes=self.boxes(f),
            )
            for f in found
        ]
        return SimpleNamespace(
            images=answers,
            class_probabilities=p,
            malignancy_probability=p["malignant"],
            predicted=predicted,
            invasive_probability=self.invasive(share),
        )


def film(labelled, name, patient, *, lesion, view, label=None, outlined=True, **record):
    pixels = np.full((60, 50), 100, np.float32)
    pixels[0, 0] = 0
    mask = np.zeros((60, 50), np.uint8)
    if lesion:
        pixels[20:30, 10:22] = 200
        mask[20:30, 10:22] = 2
    found = labelled(
        mask if outlined else None,
        label=(MALIGNANT if lesion else NORMAL) if label is None else label,
        pixels=pixels,
        image_id=name,
        group=patient,
        patient_key=patient,
        view_position=view,
        **record,
    )
    found.image = BreastImage(pixels, Modality.MG, spacing=(0.5, 0.5))
    return found


def breast(key, *images, newest=None, label=None):
    newest = newest or (True,) * len(images)
    contexts = np.zeros((len(images), CONTEXT_SIZE), np.float32)
    return LabelledBreast(key, images, newest, contexts, label)


@pytest.fixture
def breasts(labelled):
    """Malignant in both views; malignant in one view of two; normal; malignant with a normal prior."""
    cc, mlo = ViewPosition.CC, ViewPosition.MLO

    def make(*args, **fields):
        return film(labelled, *args, **fields)

    return [
        breast(
            "a-cc",
            make("a-cc", "a", lesion=True, view=cc, metadata={"density": "D"}),
            make("a-mlo", "a", lesion=True, view=mlo),
            label=MALIGNANT,
        ),
        breast(
            "b-cc",
            make("b-cc", "b", lesion=True, view=cc),
            make("b-mlo", "b", lesion=False, view=mlo),
            label=MALIGNANT,
        ),
        breast("c-cc", make("c-cc", "c", lesion=False, view=cc), label=NORMAL),
        breast(
            "d-cc",
            make("d-old", "d", lesion=False, view=cc),
            make("d-cc", "d", lesion=True, view=cc),
            newest=(False, True),
            label=MALIGNANT,
        ),
    ]


def measured(breasts, predictor=None, **options):
    found = collect_breasts(predictor or Brightness(), breasts, **options)
    names = {"model": "mammography", "checkpoint": "v1", "studies": "s", "split": "test"}
    return found, compute_metrics(found.table, **names, resamples=50)


def test_classes_are_counted_by_breast_and_outlines_by_image(breasts):
    _, metrics = measured(breasts)
    assert metrics["analysed"] == "breast"
    assert metrics["n_breasts"] == 4
    # The prior is looked at, not judged.
    assert metrics["n_images"] == 6
    assert metrics["n_patients"] == 4
    # Breast b is found in one view of two and called normal; the others are right.
    assert metrics["classification"]["accuracy"]["mean"] == 0.75
    assert metrics["classification"]["sensitivity"]["mean"] == pytest.approx(2 / 3)
    assert metrics["classification"]["confusion_matrix"] == [[1, 0, 0], [0, 0, 0], [1, 0, 2]]
    assert metrics["classification"]["auc_malignant"]["mean"] == 1.0
    # Of four outlined lesions three are painted, exactly.
    assert metrics["segmentation"]["dice"]["mean"] == 0.75
    assert metrics["segmentation"]["lesion_sensitivity"]["mean"] == 0.75
    assert metrics["segmentation"]["froc"]["sensitivity"][0] == 1.0
    assert metrics["segmentation"]["distance_unit"] == "mm"
    json.dumps(metrics, allow_nan=False)


def test_subgroups_count_a_breast_once_where_one_of_its_images_belongs(breasts):
    _, metrics = measured(breasts)
    views = metrics["subgroups"]["view"]
    assert {name: part["n"] for name, part in views.items()} == {"CC": 4, "MLO": 2}
    assert views["CC"]["auc_malignant"]["mean"] == 1.0
    # The breasts with an MLO view are all malignant, so nothing can be ranked.
    assert views["MLO"]["auc_malignant"] is None
    assert views["CC"]["dice"]["mean"] == pytest.approx(2 / 3)
    assert metrics["subgroups"]["density"]["D"]["n"] == 1


def test_time_is_shared_by_the_images_that_are_judged(breasts):
    found, _ = measured(breasts)
    a, b = found.table.cases[:2]
    assert a.seconds["predict"] == b.seconds["predict"]
    assert set(a.seconds) == {"read", "predict", "explain", "measure"}
    assert a.peak_in_lesion is True
    assert a.breast == b.breast == "a-cc"


def test_a_breast_that_cannot_be_analysed_is_named_and_the_rest_goes_on(breasts):
    class Refuses(Brightness):
        def predict_sequence(self, images, **asked):
            if len(images) == 1:
                raise InvalidImageError("no breast was found")
            return super().predict_sequence(images, **asked)

    told = {}
    found = collect_breasts(Refuses(), breasts, on_error=lambda key, error: told.setdefault(key, str(error)))
    assert told == {"c-cc": "no breast was found"}
    assert [case.breast for case in found.table.breasts.cases] == ["a-cc", "b-cc", "d-cc"]
    with pytest.raises(InvalidImageError):
        collect_breasts(Refuses(), breasts)


def test_views_alone_contradict_each_other_where_one_shows_what_the_other_does_not(breasts):
    found, _ = measured(breasts, checks=True, explain=False)
    assert [answer.predicted for answer in found.consistency] == [(2, 2), (2, 0)]
    measure = consistency_measure(found.consistency, resamples=50)
    assert measure["n_breasts"] == 2
    assert measure["contradicting"]["mean"] == 0.5
    assert measure["contradicting_lesion"]["mean"] == 0.5
    assert measure["score_spread"]["mean"] == pytest.approx(0.4)


def test_by_one_view_and_together_are_ranked_on_the_same_breasts():
    answers = [
        ViewAnswers("a", 2, (2, 0), (0.8, 0.2), 0.6),
        ViewAnswers("b", 0, (0, 0), (0.3, 0.3), 0.3),
        ViewAnswers("c", None, (0, 1), (0.1, 0.1), 0.1),
    ]
    measure = consistency_measure(answers, resamples=20)
    assert measure["auc_malignant_one_view"]["mean"] == 0.5
    assert measure["auc_malignant_together"]["mean"] == 1.0
    assert measure["contradicting"]["mean"] == pytest.approx(2 / 3)
    assert consistency_measure([], resamples=20)["contradicting"] is None


def test_the_score_falls_where_what_was_outlined_is_masked_out(breasts):
    found, _ = measured(breasts, checks=True, explain=False)
    # Breast b and the normal one were not outlined.
    assert len(found.evidence) == 2
    measure = evidence_measure(found.evidence, resamples=50)
    assert measure["n_breasts"] == 2
    assert measure["lesion_score_fall"]["mean"] == pytest.approx(0.8)
    assert measure["falling"]["mean"] == 1.0
    assert measure["malignancy_fall"]["mean"] == pytest.approx(0.8)


def test_a_score_that_does_not_fall_is_said():
    measure = evidence_measure([Evidence("a", 2, -0.1, -0.2), Evidence("b", 1, 0.3, 0.0)], resamples=20)
    assert measure["falling"]["mean"] == 0.5
    assert measure["malignancy_fall"]["mean"] == pytest.approx(-0.2)
    assert evidence_measure([], resamples=20)["falling"] is None


def test_a_masked_lesion_takes_the_grey_of_the_tissue_around_and_the_rest_stays():
    rows, cols = np.mgrid[:90, :80]
    pixels = (100 + cols % 3).astype(np.float32)
    pixels[:, 70:] = 0
    lesion = (rows - 40) ** 2 + (cols - 35) ** 2 <= 64
    # Brighter than the outline says by a pixel: the rim goes too.
    pixels[(rows - 40) ** 2 + (cols - 35) ** 2 <= 81] = 250
    before = pixels.copy()
    image = without_lesion(BreastImage(pixels, Modality.MG), lesion)
    assert image.pixels[lesion].min() >= 99
    assert image.pixels[lesion].max() <= 125
    far = (rows - 40) ** 2 + (cols - 35) ** 2 > 144
    np.testing.assert_array_equal(image.pixels[far], before[far])
    np.testing.assert_array_equal(pixels, before)


def test_invasive_cancers_are_ranked_among_the_cancers_of_which_it_is_known(breasts, tmp_path):
    class Tells(Brightness):
        def invasive(self, share):
            return 0.2 + 0.6 * share

    a, b, c, d = breasts
    cancers = [replace(a, invasive=True), replace(b, invasive=False), c, d]
    found, metrics = measured(cancers, Tells())
    # Of a and b, by shares of 1 and 1/2; of d, which is malignant, nobody says it.
    assert metrics["invasive"] == {"n": 2, "n_invasive": 1, "auc": {"mean": 1.0, "ci95": [1.0, 1.0]}}
    wrong = measured([replace(a, invasive=False), replace(b, invasive=True), c, d], Tells())[1]
    assert wrong["invasive"]["auc"]["mean"] == 0.0
    assert measured(breasts, Tells())[1]["invasive"] == {"n": 0, "n_invasive": 0, "auc": None}
    assert "invasive" not in measured(cancers)[1]
    html = write_report(tmp_path / "report.html", metrics, found.table).read_text()
    assert "malignant breasts of which it is known, 1 of them invasive" in html


def test_boxes_are_measured_against_outlines_and_drawn_boxes_of_the_judged_exam(breasts, tmp_path):
    class Draws(Brightness):
        def boxes(self, found):
            box = LesionBox((20.0, 10.0, 30.0, 22.0), MALIGNANT, 0.9)
            return (box,) if found.any() else ()

    a, b, c, d = breasts
    # Of the first image there is no outline: a box of which the model's is the upper half.
    record = a.images[0].record
    record.metadata = {"boxes": [[20, 10, 40, 22]]}
    a.images[0].mask = None
    found, metrics = measured([a, b, c, d], Draws())
    measures = metrics["boxes"]
    # Lesions in both images of a, one of b, and d: the prior is not judged.
    assert (measures["n_images"], measures["n_lesions"]) == (6, 4)
    assert measures["sensitivity"]["mean"] == 1.0
    assert measures["froc"]["sensitivity"][0] == 1.0
    assert "boxes" not in measured(breasts)[1]
    html = write_report(tmp_path / "report.html", metrics, found.table).read_text()
    assert "IoU of at least 0.2, at one false box an image" in html


def test_the_report_speaks_of_breasts(breasts, tmp_path):
    found, metrics = measured(breasts, checks=True)
    metrics["consistency"] = consistency_measure(found.consistency, resamples=20)
    metrics["evidence"] = evidence_measure(found.evidence, resamples=20)
    html = write_report(tmp_path / "report.html", metrics, found.table).read_text()
    assert "4 breasts with a class" in html
    assert "Contradicting views" in html
    assert "masked out" in html
    assert "breasts that they show" in html
