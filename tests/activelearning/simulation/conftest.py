"""Images so small that a training takes milliseconds, with labels that are hidden."""

import dataclasses

import numpy as np
import pytest
import torch

from breastlabel.activelearning.simulation.learner import Learner
from breastlabel.activelearning.simulation.loop import Replay
from breastlabel.activelearning.simulation.plan import Plan
from breastlabel.activelearning.simulation.store import Results
from breastlabel.training.arrays import TrainingArrays
from breastlabel.training.settings import TrainingSettings

NETWORK = {
    "name": "ultrasound",
    "widths": (4, 8),
    "recurrence": None,
    "texture": False,
    "gabor": False,
}
SETTINGS = TrainingSettings(
    batch_size=4, learning_rate=1e-2, schedule="cosine", precision="fp32", patience=None
)
PLAN = Plan(rounds=2, initial=4, batch=3, epochs=1, reference_epochs=2, passes=3)


def squares(n, *, seed, name="train"):
    """Normal, benign and malignant in turn: noise, a grey square, a bright one."""
    rng = np.random.default_rng(seed)
    images = rng.uniform(0, 0.3, size=(n, 16, 16))
    masks = np.zeros((n, 16, 16), np.uint8)
    labels = np.arange(n) % 3
    for i, label in enumerate(labels):
        if label:
            row, col = rng.integers(2, 8, size=2)
            masks[i, row : row + 6, col : col + 6] = 1
            images[i][masks[i] == 1] += 0.3 * label
    return TrainingArrays(
        images.astype(np.float16),
        masks,
        np.ones(n, bool),
        labels.astype(np.int64),
        np.array([f"{name}-{i:02d}" for i in range(n)]),
        np.array([f"{name}-patient-{i // 2}" for i in range(n)]),
    )


@dataclasses.dataclass(frozen=True)
class CountingLearner(Learner):
    """Remembers which labels it was given."""

    fits: list = dataclasses.field(default_factory=list)

    def fit(self, labelled, *, epochs, seed):
        self.fits.append((seed, epochs, [str(i) for i in labelled.ids]))
        return super().fit(labelled, epochs=epochs, seed=seed)


@pytest.fixture(scope="session", autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def train():
    return squares(18, seed=0)


@pytest.fixture(scope="session")
def judges():
    return {"val": squares(6, seed=1, name="val"), "test": squares(6, seed=2, name="test")}


@pytest.fixture
def learner(train):
    return CountingLearner(NETWORK, SETTINGS, None, n_train=len(train), device="cpu")


@pytest.fixture
def plan():
    return PLAN


@pytest.fixture
def replay(train, judges, learner, tmp_path):
    """Makes the replay of a small plan; what it is not told is as above."""

    def make(folder="state", *, train=train, judges=judges, learner=learner, **options):
        results = Results(tmp_path / folder, {"plan": PLAN.config()})
        return Replay(train, judges, learner=learner, plan=PLAN, results=results, **options)

    return make


@pytest.fixture
def files(tmp_path):
    """Name -> content of every result below a folder."""

    def read(folder="state"):
        root = tmp_path / folder
        return {str(p.relative_to(root)): p.read_text() for p in sorted(root.rglob("*.json"))}

    return read
