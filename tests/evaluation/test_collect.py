import numpy as np
import pytest

from breastlabel.errors import InvalidImageError
from breastlabel.evaluation.collect import collect
from breastlabel.imaging.vocabulary import LesionClass


@pytest.fixture
def box() -> np.ndarray:
    mask = np.zeros((40, 60), dtype=np.uint8)
    mask[10:20, 10:30] = 2
    return mask


def test_an_image_is_measured_at_its_own_size(box, labelled, paints_this):
    item = labelled(box, label=LesionClass.MALIGNANT, spacing_rows=0.1, spacing_cols=0.2)
    model = np.roll(box, 10, axis=1)
    (case,) = collect(paints_this(model), [item]).cases
    assert case.dice == pytest.approx(0.5)
    assert case.iou == pytest.approx(1 / 3)
    assert case.reader_area == 200
    assert case.area_fraction == pytest.approx(200 / 2400)
    # 10 rows of 0.1 mm by 20 columns of 0.2 mm.
    assert case.diameter_mm == pytest.approx(2 * np.sqrt(4 / np.pi))
    assert case.hd95_px == pytest.approx(10)
    assert case.hd95_mm == pytest.approx(2)
    assert case.match.hits == (True,)
    assert set(case.seconds) == {"read", "predict", "explain", "measure"}


def test_the_heat_map_is_asked_for_where_there_is_an_outline(box, labelled, paints_this):
    predictor = paints_this(box)
    table = collect(predictor, [labelled(box), labelled(np.zeros_like(box))])
    assert predictor.explained == 1
    assert [case.peak_in_lesion for case in table.cases] == [True, None]


def test_a_normal_image_without_label_map_counts_as_outlined_with_nothing(box, labelled, paints_this):
    (case,) = collect(paints_this(box), [labelled(None, label=LesionClass.NORMAL)]).cases
    assert case.reader_area == 0
    assert case.dice == 0
    assert case.match.hits == ()


def test_a_lesion_image_without_label_map_has_no_dice(box, labelled, paints_this):
    (case,) = collect(paints_this(box), [labelled(None, label=LesionClass.BENIGN)]).cases
    assert np.isnan(case.dice)
    assert case.match is None


def test_metadata_becomes_subgroups(box, labelled, paints_this):
    item = labelled(box, metadata={"age": "51", "device": "GE Logiq", "histology": "IDC", "density": "C"})
    (case,) = collect(paints_this(box), [item]).cases
    assert (case.age, case.machine, case.type, case.density) == (51, "GE Logiq", "IDC", "C")


def test_one_bad_image_does_not_stop_the_rest(box, labelled, paints_this):
    class Fails(paints_this):
        def predict(self, image, *, explain=False):
            if image.shape != self.mask.shape:
                raise InvalidImageError("an image of another size is required")
            return super().predict(image, explain=explain)

    bad = labelled(np.ones((5, 5), dtype=np.uint8), image_id="bad")
    failed = []
    done = []
    table = collect(
        Fails(box),
        [bad, labelled(box)],
        on_error=lambda name, error: failed.append((name, str(error))),
        progress=done.append,
    )
    assert len(table) == 1
    assert failed == [("bad", "an image of another size is required")]
    assert done == [1, 2]
    with pytest.raises(InvalidImageError):
        collect(Fails(box), [bad])


def test_pictures_are_small_copies(box, labelled, paints_this):
    pixels = np.random.default_rng(0).random((600, 900)).astype(np.float32)
    large = np.zeros((600, 900), dtype=np.uint8)
    large[100:300, 100:300] = 1
    (case,) = collect(paints_this(large), [labelled(large, pixels=pixels)]).cases
    assert max(points.max() for points in case.picture.reader) < 280
    assert len(case.picture.png) < 100_000
