import threading
import time

import numpy as np
import pytest

from breastlabel.catalog import Catalog
from breastlabel.imaging import Geometry, write_image
from breastlabel.imaging.volumes import nifti_bytes
from breastlabel.label import corrections
from breastlabel.label.corrections import CorrectionMeasures


def label_map(*rows):
    return nifti_bytes(np.array(rows, np.uint8), Geometry(), compress=True)


PROPOSAL = label_map((0, 1, 1, 0), (0, 0, 0, 0))
READING = label_map((0, 1, 0, 0), (0, 0, 0, 0))


@pytest.fixture
def catalog(tmp_path):
    for name in "abc":
        pixels = np.arange(8, dtype=np.uint8).reshape(2, 4)
        write_image(tmp_path / f"{name}.nrrd", pixels, geometry=Geometry((0.5, 2.0, 1.0)))
    with Catalog.open(tmp_path) as opened:
        yield opened


@pytest.fixture
def measures(catalog):
    built = CorrectionMeasures(catalog)
    yield built
    built.close()


def proposed_and_read(catalog, image_id="a", *, proposal=PROPOSAL, reading=READING, **options):
    catalog.labels.save(image_id, proposal, tag="original", model="ultrasound", model_version="7")
    return catalog.labels.save(image_id, reading, **options)


def agreement(catalog, image_id="a"):
    return catalog.labels.current(image_id).agreement


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_a_saved_correction_is_compared_with_its_proposal(catalog, measures):
    measures.submit(proposed_and_read(catalog))
    assert measures.wait(20)
    found = agreement(catalog)
    # One of two proposed pixels was taken away.
    assert found["dice"] == pytest.approx(2 / 3)
    assert (found["added"], found["removed"], found["unchanged"]) == (0, 0.5, False)
    assert found["distance_unit"] == "px"


def test_distances_are_in_millimetres_where_the_catalog_knows_the_spacing(catalog, measures):
    catalog.update_image("a", spacing_rows=2.0, spacing_cols=0.5)
    measures.submit(proposed_and_read(catalog, reading=label_map((0, 1, 0, 0), (0, 1, 0, 0))))
    assert measures.wait(20)
    found = agreement(catalog)
    assert found["distance_unit"] == "mm"
    # From the proposal: 0 and 0.5 (the second column); from the reading: 0 and 2.0 (the second row).
    assert found["assd"] == pytest.approx((0 + 0.5 + 0 + 2.0) / 4)


def test_saving_does_not_wait_for_the_measure(catalog, measures, monkeypatch):
    go_on = threading.Event()
    real = corrections.compare_masks

    def slow(*arguments):
        assert go_on.wait(20)
        return real(*arguments)

    monkeypatch.setattr(corrections, "compare_masks", slow)
    began = time.monotonic()
    measures.submit(proposed_and_read(catalog))
    assert time.monotonic() - began < 5
    assert agreement(catalog) is None
    assert not measures.wait(0.05)
    go_on.set()
    assert measures.wait(20)
    assert agreement(catalog) is not None


def test_drafts_and_readings_without_a_proposal_are_passed_over(catalog, measures):
    measures.submit(catalog.labels.save("a", READING))
    catalog.labels.save("b", PROPOSAL, tag="original")
    measures.submit(catalog.labels.save("b", READING, tag="draft"))
    assert measures.wait(20)
    assert all(v.agreement is None for name in "ab" for v in catalog.labels.history(name))


def test_what_an_earlier_server_left_is_caught_up_with(catalog, measures, monkeypatch):
    monkeypatch.setattr(corrections, "_BATCH", 2)
    for name in "abc":
        proposed_and_read(catalog, name)
    measures.catch_up()
    assert measures.wait(20)
    assert all(agreement(catalog, name) for name in "abc")
    assert catalog.labels.without_agreement(10) == []


def test_a_damaged_proposal_is_noted_once_and_the_others_go_on(catalog, measures):
    damaged = proposed_and_read(catalog, "a", proposal=b"no label map")
    other_size = proposed_and_read(catalog, "b", proposal=label_map((1, 1)))
    gone = proposed_and_read(catalog, "c")
    catalog.labels.path(catalog.labels.get("c", 1)).unlink()
    for version in (damaged, other_size, gone):
        measures.submit(version)
    assert measures.wait(20)
    assert "is damaged" in agreement(catalog, "a")["error"]
    assert "one size are required" in agreement(catalog, "b")["error"]
    assert "there is none" in agreement(catalog, "c")["error"]
    assert catalog.labels.without_agreement(10) == []
    assert measures.summary() == ()


def test_a_failure_that_may_pass_is_tried_again_at_the_next_start(catalog, measures, monkeypatch, caplog):
    def full(*_):
        raise OSError(28, "No space left on device", "/studies/secret-name.nii.gz")

    with monkeypatch.context() as patched:
        patched.setattr(catalog.labels, "set_agreement", full)
        measures.submit(proposed_and_read(catalog))
        measures.catch_up()
        assert measures.wait(20)
    assert "secret-name" not in caplog.text
    assert agreement(catalog) is None
    measures.catch_up()
    assert measures.wait(20)
    assert agreement(catalog)["dice"] == pytest.approx(2 / 3)


def test_the_summary_follows_the_measures_by_itself(catalog, measures):
    assert measures.summary() == ()
    measures.submit(proposed_and_read(catalog, seconds_spent=30.0))
    until(measures.summary)
    (summary,) = measures.summary()
    assert (summary.model, summary.model_version, summary.n) == ("ultrasound", "7", 1)
    assert summary.median_dice == pytest.approx(2 / 3)
    assert summary.median_seconds == 30.0


def test_the_summary_is_not_made_anew_for_every_label(catalog, measures, monkeypatch):
    made = []
    monkeypatch.setattr(corrections, "_SUMMARY_SECONDS", 600.0)
    real = corrections.correction_summary
    monkeypatch.setattr(corrections, "correction_summary", lambda d: made.append(1) or real(d))
    for name in "abc":
        measures.submit(proposed_and_read(catalog, name))
        until(measures.summary)
    assert measures.wait(20)
    assert len(made) == 1


def test_nothing_is_taken_on_after_the_end(catalog, measures):
    measures.close()
    measures.submit(proposed_and_read(catalog))
    measures.close()
    assert agreement(catalog) is None


def test_closing_ends_the_thread(catalog, measures):
    measures.submit(proposed_and_read(catalog))
    measures.close()
    assert not any(t.name == "corrections" and t.is_alive() for t in threading.enumerate())
