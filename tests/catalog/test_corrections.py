import pytest

from breastlabel.catalog.corrections import CorrectionSummary, correction_summary


def corrected(catalog, image_id, version, dice, *, seconds=None, unchanged=False, class_changed=False):
    catalog.labels.save(image_id, b"proposal", tag="original", model="ultrasound", model_version=version)
    saved = catalog.labels.save(image_id, b"reading", seconds_spent=seconds)
    agreement = {"dice": dice, "unchanged": unchanged, "class_changed": class_changed}
    catalog.labels.set_agreement(saved.label_id, agreement)
    return saved


def test_each_model_version_is_summed_up_on_its_own(catalog, add):
    add("abcd")
    corrected(catalog, "a", "1", 0.5, seconds=20.0, class_changed=True)
    corrected(catalog, "b", "1", 0.9, seconds=40.0)
    corrected(catalog, "c", "1", 1.0, unchanged=True)
    corrected(catalog, "d", "2", 0.8)
    assert correction_summary(catalog.database) == [
        CorrectionSummary(
            model="ultrasound",
            model_version="1",
            n=3,
            median_dice=0.9,
            accepted_unchanged=pytest.approx(1 / 3),
            class_changed=pytest.approx(1 / 3),
            median_seconds=30.0,
        ),
        CorrectionSummary(
            model="ultrasound",
            model_version="2",
            n=1,
            median_dice=0.8,
            accepted_unchanged=0.0,
            class_changed=0.0,
            median_seconds=None,
        ),
    ]


def test_rejected_readings_and_those_that_could_not_be_compared_do_not_count(catalog, add):
    add("abc")
    rejected = corrected(catalog, "a", "1", 0.5)
    catalog.labels.set_state("a", rejected.version, "rejected")
    damaged = corrected(catalog, "b", "1", 0.5)
    catalog.labels.set_agreement(damaged.label_id, {"error": "the proposal is damaged"})
    catalog.labels.save("c", b"never compared")
    assert correction_summary(catalog.database) == []
