"""How to train: every number in one frozen object that a checkpoint can record."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Literal

__all__ = ["ENOUGH_PATIENTS", "FineTuning", "PieceStage", "TrainingSettings"]

#: Validation patients with an outlined lesion from which on the validation split chooses and decides alone.
ENOUGH_PATIENTS = 20


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """Training options; the defaults are P1's (Adam 1e-4, batch 16, 50 epochs), with early stopping.

    Attributes:
        epochs: at most this many.
        batch_size: cases a step: images, or breasts of several images.
        max_images: images that go through the network at a time, at most (but one case at least); the
            gradients of a step's parts are added up. None for all of a step's.
        drop_views: probability with which an image of a breast is left out in a step; one of the newest exam
            always stays.
        learning_rate: at its peak.
        schedule: ``constant``, or ``cosine`` to zero after a linear warm-up over 5 % of the training.
        weight_decay: decoupled L2 (AdamW).
        patience: epochs without a better validation figure before it stops; None never stops.
        monitor: the figure that chooses the best epoch: the validation ``loss``, or ``score``, the mean
            of validation Dice and malignant AUC; ``last`` keeps the last epoch.
        dice_weight, class_weight, label_smoothing, pooled_dice: see `JointLoss`.
        balance_classes: weight the classes by the inverse square root of their frequency.
        average_decay: decay of the exponential moving average of the weights that is validated and
            kept (Polyak averaging); 0 switches it off.
        keep_statistics: batch normalisation keeps the running statistics it starts with.
        precision: ``bf16`` (autocast), ``fp32``, or ``auto``: bf16 where the processor is fast at it.
        seed: seeds weights, order, augmentation and dropout.
        time_limit: seconds after which training ends with what it has; the cosine schedule then follows
            the clock, so it is not reproducible to the bit.
        clock: what ``time_limit`` counts: ``wall`` time, or the ``process``'s own CPU time, which is
            fairer to two trainings that share a busy machine.
    """

    epochs: int = 50
    batch_size: int = 16
    max_images: int | None = None
    drop_views: float = 0.0
    learning_rate: float = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    weight_decay: float = 1e-4
    patience: int | None = 10
    monitor: Literal["loss", "score", "last"] = "loss"
    dice_weight: float = 1.0
    class_weight: float = 1.0
    label_smoothing: float = 0.0
    pooled_dice: bool = False
    balance_classes: bool = True
    average_decay: float = 0.0
    keep_statistics: bool = False
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    seed: int = 0
    time_limit: float | None = None
    clock: Literal["wall", "process"] = "wall"

    def config(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class PieceStage:
    """What a training from random weights begins with: pieces of the images, in which lesions are large.

    A lesion covers half a percent of a mammogram. On whole images a network that never found one is first
    paid for outlining nothing, and stays there; pieces show it what a lesion is, and whole images then where
    to look.

    Attributes:
        size: rows and columns of a piece; divisible by the network's stride.
        each, beside, offset: pieces of each lesion and of tissue in each image, and how far lesions may be
            off the middle; see `pieces_of`.
        epochs: over the pieces, at most; never more than the images get.
        time_share: at most this part of a time limit; the images get the rest.
        rate_after: learning rate on the images, as a part of that on the pieces.
    """

    size: int = 96
    each: int = 3
    beside: int = 1
    offset: float = 0.3
    epochs: int = 20
    time_share: float = 0.3
    rate_after: float = 0.5

    def epochs_of(self, epochs: int) -> int:
        """Over the pieces, where the images get so many."""
        return min(self.epochs, epochs)

    def first(self, settings: TrainingSettings) -> TrainingSettings:
        """The settings of this stage, of those of the whole training."""
        limit = settings.time_limit
        return replace(
            settings,
            epochs=self.epochs_of(settings.epochs),
            time_limit=None if limit is None else limit * self.time_share,
        )

    def rest(self, settings: TrainingSettings, *, seconds: float) -> TrainingSettings:
        """The settings of the images, after so many seconds of pieces."""
        limit = settings.time_limit
        return replace(
            settings,
            learning_rate=settings.learning_rate * self.rate_after,
            # The last validation may have gone beyond the share.
            time_limit=None if limit is None else max(limit - seconds, limit * (1 - self.time_share)),
        )

    def config(self) -> dict[str, object]:
        """As plain JSON values."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class FineTuning:
    """A recipe for going on from a checkpoint.

    With `ENOUGH_PATIENTS` in the validation split, that split chooses the epoch, the coefficient, the
    temperature and the thresholds. With fewer, any choice among noise would only be paid for: the last epoch
    and the first coefficient are taken, temperature and thresholds stay the start's, and new labels are held
    out in turn to tell whether fine-tuning gains.

    Attributes:
        settings: of the trainer.
        augmentation: a name in `AUGMENTATIONS`, or None.
        least_steps: steps an epoch where one pass over the new labels takes fewer.
        new_share: least share of new labels in a step, while there are old ones beside them.
        coefficients: how far to go from the old weights (0) to the fine-tuned ones (1).
        folds: how many parts the new labels are held out in; 0 for none.
    """

    settings: TrainingSettings
    augmentation: str | None = None
    least_steps: int = 10
    new_share: float = 0.5
    coefficients: tuple[float, ...] = (0.5, 0.75, 1.0)
    folds: int = 3

    @property
    def epochs(self) -> int:
        """Of its settings."""
        return self.settings.epochs
