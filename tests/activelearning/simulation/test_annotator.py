import numpy as np
import pytest

from breastlabel.activelearning import PoolError
from breastlabel.activelearning.simulation.annotator import Annotator


def test_it_tells_the_labels_that_were_asked_for_and_no_others(train):
    annotator = Annotator(train)
    annotator.reveal(["train-05", "train-02"])
    labelled = annotator.labelled
    assert list(labelled.ids) == ["train-02", "train-05"]
    np.testing.assert_array_equal(labelled.labels, [2, 2])
    np.testing.assert_array_equal(labelled.masks, train.masks[[2, 5]])
    assert len(annotator) == 2


def test_one_image_of_a_patient_reveals_that_one(train):
    annotator = Annotator(train)
    annotator.reveal(["train-00"])
    assert train.groups[0] == train.groups[1]
    assert "train-01" in annotator.pool_ids


def test_pool_and_labelled_are_the_train_split(train):
    annotator = Annotator(train)
    annotator.reveal(["train-03"])
    assert sorted([*annotator.pool_ids, "train-03"]) == sorted(train.ids)
    assert annotator.pool_images.shape == (17, 16, 16)


@pytest.mark.parametrize("image_id", ["train-01", "elsewhere"])
def test_an_image_that_is_not_in_the_pool_cannot_be_asked_for(train, image_id):
    annotator = Annotator(train)
    annotator.reveal(["train-01"])
    with pytest.raises(PoolError, match=f"must be in the pool; '{image_id}' is not"):
        annotator.reveal([image_id])


def test_the_same_image_twice_in_one_batch_is_refused(train):
    with pytest.raises(PoolError, match="'train-01' is not"):
        Annotator(train).reveal(["train-01", "train-01"])
