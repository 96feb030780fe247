"""What a table of an ablation consists of: its rows, and what is measured of each."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["PATIENTS", "Row", "Setting", "System"]


@dataclass(frozen=True)
class Setting:
    """From which studies a row learns, and on which it is measured.

    Attributes:
        kind: "patients", by the catalogs' splits, in which no patient is on both sides; "seen", each breast
            dealt out at random, so that a patient may be on both; "other", measured on all breasts of studies
            that it has not learned from.
        learn: positions of the studies that train and val are taken from; None for all.
        test: the same for the test.
    """

    kind: str = "patients"
    learn: tuple[int, ...] | None = None
    test: tuple[int, ...] | None = None


PATIENTS = Setting()


@dataclass(frozen=True)
class Row:
    """One row.

    Attributes:
        name: as shown; tells the rows apart.
        group: heading that rows of one question share.
        network: `create_network` arguments that this row changes.
        preparation: options of the preparation that it changes.
        scale: of the prepared image's rows and columns.
        shown: what is shown of a case: "alone", each image by itself; "views", those of the judged exam;
            "priors", the older ones too. None is what the network uses.
        unknown: beginnings of `CONTEXT_NAMES` that are set to unknown, in training and in the test.
        baseline: a name of `CAD_BASELINES` in the place of a network.
        patches: whether a patch classifier is trained first and starts the network.
        setting: what is learned from and measured on.
        versus: the row that this one is compared with.
        paper: what the paper prints of it, by measure.
    """

    name: str
    group: str = ""
    network: Mapping[str, Any] = field(default_factory=dict)
    preparation: Mapping[str, Any] = field(default_factory=dict)
    scale: float = 1.0
    shown: str | None = None
    unknown: tuple[str, ...] = ()
    baseline: str | None = None
    patches: bool = False
    setting: Setting = PATIENTS
    versus: str | None = None
    paper: Mapping[str, float] = field(default_factory=dict)

    def training(self) -> str:
        """Rows of which this is equal are one training."""
        parts = [
            dict(self.network),
            dict(self.preparation),
            self.scale,
            self.shown,
            self.unknown,
            self.baseline,
            self.patches,
            (self.setting.kind, self.setting.learn, self.setting.test),
        ]
        return json.dumps(parts, sort_keys=True)


@dataclass(frozen=True)
class System:
    """The ablation of one system.

    Attributes:
        title: of the report.
        rows: (arguments of the preset's network, number of studies) -> the rows.
        measures: names in `measures.MEASURES`, in the order of the columns.
        headline: the row whose figures stand beside the paper's in the sentence.
        notes: what must be known to read the table.
        left_out: (arguments of the preset's network, number of studies) -> what is not there, and why.
    """

    title: str
    rows: Callable[[Mapping[str, Any], int], Sequence[Row]]
    measures: tuple[str, ...]
    headline: str
    notes: tuple[str, ...] = ()
    left_out: Callable[[Mapping[str, Any], int], Sequence[str]] = lambda network, studies: ()
