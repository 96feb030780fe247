"""Segmentations that are put into the studies folder by hand become labels, once."""

from __future__ import annotations

import numpy as np
import pytest
from tests.findings.seg_writer import as_ohif, image, painted, seg
from tests.web.segmentations.drawn import SHAPE, bad_ones, blob

from breastlabel.catalog.folder import sync_folder, take_in
from breastlabel.web.seg_folder import FolderSegmentations


@pytest.fixture
def folder(app, client):
    """What the folder's watcher does when files came, and anew as after a restart of the server."""

    class Folder:
        def __init__(self):
            self.looker = FolderSegmentations(app)

        def put(self, **datasets):
            for name, dataset in datasets.items():
                dataset.save_as(app.catalog.studies / f"{name}.dcm", write_like_original=False)
            names = [f"{name}.dcm" for name in datasets]
            take_in(app.catalog, names)
            self.looker.look(names)

        def restart(self):
            sync_folder(app.catalog.studies, catalog=app.catalog, always=True)
            self.looker = FolderSegmentations(app)
            self.looker.look(None)

    return Folder()


def of_right(source, mask=None, **tags):
    return seg("BINARY", painted(blob() if mask is None else mask, source("right"), "BINARY"), **tags)


def labels(app):
    return {image_id: version.version for image_id, version in app.catalog.labels.current_many().items()}


def test_one_is_a_label_and_no_image_and_taken_once(app, folder, source, mask_of):
    drawn = of_right(source, ContentCreatorName="Smith^Ann")
    for _ in range(2):
        folder.put(drawn=drawn)
        folder.restart()
    folder.put(copy=drawn)
    assert labels(app) == {"right": 1}
    np.testing.assert_array_equal(mask_of("right"), blob())
    version = app.catalog.labels.current("right")
    assert (version.author, version.client_id) == ("Smith Ann", None)
    assert len(app.catalog) == 4
    # Viewers load it like any other, and whoever put the file there still has it.
    assert app.archive.dataset(drawn.SOPInstanceUID).PixelData == drawn.PixelData
    assert (app.catalog.studies / "drawn.dcm").is_file()


def test_another_in_its_place_is_taken_as_well(app, folder, source):
    folder.put(drawn=of_right(source))
    folder.put(drawn=of_right(source, blob(1, at=(7, 2))))
    assert labels(app) == {"right": 2}


def test_what_was_put_there_while_no_server_ran_is_taken_at_the_start(app, folder, source):
    of_right(source).save_as(app.catalog.studies / "drawn.dcm", write_like_original=False)
    folder.restart()
    assert labels(app) == {"right": 1}


def test_what_is_refused_changes_nothing_and_is_said_once(app, folder, source, caplog):
    bad = {name.replace(" ", "-"): dataset for name, dataset in bad_ones(source).items()}
    folder.put(**bad)
    assert caplog.text.count("refused") == len(bad)
    for secret in ("4711", "JANE", "DOE", "1.2.276", "SOMEONE", "patient.dcm", "bomb"):
        assert secret not in caplog.text
    folder.looker.look([f"{name}.dcm" for name in bad if "unknown" not in name])
    assert caplog.text.count("refused") == len(bad)
    assert labels(app) == {}
    assert len(app.catalog) == 4
    assert app.catalog.questions.count() == 0
    assert app.catalog.dicom.find(modality="SEG") == []


def test_one_that_comes_before_its_image_waits_for_it(app, folder):
    late = image(SHAPE, StudyInstanceUID="1.2.276.0.4711.9", SeriesInstanceUID="1.2.276.0.4711.9.1")
    folder.put(drawn=seg("BINARY", painted(blob(), late, "BINARY")))
    folder.put(another=image(SHAPE, StudyInstanceUID="1.2.276.0.4711.9"))
    assert labels(app) == {}
    folder.put(late=late)
    assert labels(app) == {"late": 1}


def test_what_is_not_understood_is_asked_about_once(app, folder, source):
    folder.put(drawn=as_ohif(source("scan"), blob(1), ["Segment 1"]))
    folder.restart()
    assert app.catalog.questions.count() == 1
    assert labels(app) == {}


def test_the_database_being_away_loses_nothing(app, folder, source, caplog, monkeypatch):
    with monkeypatch.context() as away:
        away.setattr(folder.looker._intake, "take_stored", lambda dataset: 1 / 0)
        folder.put(drawn=of_right(source))
    assert "left: ZeroDivisionError" in caplog.text
    folder.restart()
    assert labels(app) == {"right": 1}
