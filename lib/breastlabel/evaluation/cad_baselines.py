"""The old CAD that P2 compares itself with: hand-made features, and a support vector machine or a forest.

P2, "Introduction": features of a segmented region, classified by SVM or random forest. Nothing of it is
stored: it is fitted and judged within one ablation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import RandomForestClassifier
from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from breastlabel.errors import StudiesError, UnknownNameError
from breastlabel.imaging.image import FloatArray
from breastlabel.imaging.vocabulary import LesionClass
from breastlabel.inference.lesion_features import lesion_features
from breastlabel.inference.morphology import BoolArray
from breastlabel.inference.region_growing import grow_regions

__all__ = ["CAD_BASELINES", "CadBaseline", "cad_features"]

IntArray = npt.NDArray[np.int64]


def cad_features(image: FloatArray, *, breast: BoolArray | None = None) -> FloatArray:
    """Features of the region that stands out most, of the breast where none does; see `lesion_features`.

    Args:
        image: (rows, cols) in [0, 1].
        breast: (rows, cols), where there is breast; where None, what is not black.
    """
    regions = grow_regions(image, breast=breast, most_regions=1)
    region = regions.mask
    if not region.any():
        region = image > 0 if breast is None else breast
    # An image that is black throughout has features too: those of nothing.
    return lesion_features(image, region if region.any() else np.ones(image.shape, np.bool_))


class CadBaseline:
    """Standardise, then classify; its settings are searched by cross-validation over patients.

    Classes weigh alike, however rare.
    """

    def __init__(self, name: str, *, seed: int = 0, folds: int = 3) -> None:
        """Args:
            name: "svm" (radial kernel) or "random-forest"; a name in `CAD_BASELINES`.
            seed: of the forest and of the folds.
            folds: of the search; fewer where there are fewer patients of a class. 0 searches nothing.

        Raises:
            UnknownNameError: there is no such baseline.
        """
        if name not in CAD_BASELINES:
            raise UnknownNameError("CAD baseline", name, CAD_BASELINES)
        self.name = name
        self.seed = seed
        self.folds = folds
        self._model: Any = None
        self._classes: IntArray = np.zeros(0, np.int64)
        self.settings: dict[str, object] = {}
        """What the search chose; empty before `fit` and without a search."""

    def fit(
        self, features: FloatArray, classes: IntArray, patients: npt.ArrayLike | None = None
    ) -> CadBaseline:
        """Learn from N images.

        Args:
            features: (N, F), of `cad_features`.
            classes: (N,), values of `LesionClass`.
            patients: (N,), whose image it is, so that none is on both sides of a fold; each its own if None.

        Raises:
            StudiesError: fewer than two classes, or other values than those of `LesionClass`.
        """
        present = np.unique(classes)
        if len(present) < 2 or not set(present.tolist()) <= {int(kind) for kind in LesionClass}:
            raise StudiesError(
                f"images of at least two of the classes 0, 1, 2 are required; got {present.tolist()}; "
                "add labelled images"
            )
        groups = np.arange(len(classes)) if patients is None else np.unique(patients, return_inverse=True)[1]
        kind = CAD_BASELINES[self.name]
        model = kind.build(self.seed)
        splits = self._splits(features, classes, groups)
        if splits:
            search = GridSearchCV(model, kind.choices, scoring="balanced_accuracy", cv=splits, n_jobs=1)
            search.fit(features, classes)
            model, self.settings = search.best_estimator_, dict(search.best_params_)
        else:
            model.fit(features, classes)
        if kind.scaled:
            # Platt's scaling on answers to patients that the machine was not taught, where there are folds.
            everything = np.arange(len(classes))
            folds = splits or [(everything, everything)]
            model = CalibratedClassifierCV(clone(model), cv=folds, ensemble=False).fit(features, classes)
        self._model = model
        self._classes = present.astype(np.int64)
        return self

    def predict_proba(self, features: FloatArray) -> FloatArray:
        """(N, F) -> (N, 3) probabilities in the order of `LesionClass`; 0 for a class that was not taught."""
        if self._model is None:
            raise RuntimeError("the baseline must be fitted before it predicts; call fit first")
        result = np.zeros((len(features), len(LesionClass)), np.float32)
        result[:, self._classes] = self._model.predict_proba(features)
        return result

    def _splits(self, features: FloatArray, classes: IntArray, groups: IntArray) -> list[Any]:
        """(train, test) indices of each fold; none where a class has too few patients."""
        fewest = min(len(np.unique(groups[classes == kind])) for kind in np.unique(classes))
        folds = min(self.folds, fewest)
        if folds < 2:
            return []
        splitter = StratifiedGroupKFold(folds, shuffle=True, random_state=self.seed)
        return list(splitter.split(features, classes, groups))


@dataclass(frozen=True)
class _Kind:
    """How a baseline is built from a seed, what is searched, and whether its answers need scaling."""

    build: Callable[[int], Any]
    choices: dict[str, list[Any]]
    scaled: bool


CAD_BASELINES: dict[str, _Kind] = {
    "svm": _Kind(
        lambda seed: make_pipeline(StandardScaler(), SVC(class_weight="balanced", random_state=seed)),
        {"svc__C": [0.1, 1.0, 10.0, 100.0], "svc__gamma": ["scale", 0.003, 0.03]},
        scaled=True,
    ),
    "random-forest": _Kind(
        lambda seed: make_pipeline(
            StandardScaler(), RandomForestClassifier(100, class_weight="balanced", random_state=seed)
        ),
        {"randomforestclassifier__min_samples_leaf": [1, 3, 10]},
        scaled=False,
    ),
}
"""Radial-kernel support vector machine, and random forest."""
