import numpy as np

from breastlabel.evaluation.subgroups import tertiles


def test_tertiles_part_the_known_values_evenly():
    values = np.array([1, 2, 3, 4, 5, 6, np.nan])
    parts = list(tertiles(values, "mm").values())
    assert [part.sum() for part in parts] == [2, 2, 2]
    assert not any(part[-1] for part in parts)
    assert np.sum(parts) == 6


def test_too_few_values_have_no_tertiles():
    assert tertiles(np.array([1.0, 1.0, 1.0, 2.0]), "mm") == {}
