"""Results of a simulation that is under way, each whole or absent, so that it may be stopped at any time."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from breastlabel.activelearning.simulation.learner import Answers
from breastlabel.errors import StudiesError
from breastlabel.imaging.atomic import write_bytes_atomically

__all__ = ["Results"]


class Results:
    """JSON files below one folder.

    Args:
        folder: made if needed.
        design: everything that decides the results but seeds and strategies, as JSON values. Those may be
            added to later.

    Raises:
        StudiesError: the folder holds results of another design.
    """

    def __init__(self, folder: Path, design: Mapping[str, Any]) -> None:
        self.folder = folder
        held = self._read("design.json")
        wanted = json.loads(json.dumps(design))
        if held is None:
            self._write("design.json", wanted)
        elif held != wanted:
            changed = sorted(k for k in held.keys() | wanted.keys() if held.get(k) != wanted.get(k))
            raise StudiesError(
                "--output must be a new folder, or one of the same simulation to go on with; the one in it "
                f"differs in {', '.join(changed)}; give another name, or the same options"
            )

    def choice(self, seed: int, strategy: str, number: int) -> list[str] | None:
        """Ids that a strategy chose for a round; None where it has not."""
        held = self._read(_name(seed, strategy, number, "choice"))
        return None if held is None else [str(image_id) for image_id in held["image_ids"]]

    def keep_choice(self, seed: int, strategy: str, number: int, image_ids: Sequence[str]) -> None:
        """Record a choice."""
        self._write(_name(seed, strategy, number, "choice"), {"image_ids": list(image_ids)})

    def has_answers(self, seed: int, strategy: str, number: int) -> bool:
        """Whether a round is done."""
        return (self.folder / _name(seed, strategy, number, "answers")).is_file()

    def answers(self, seed: int, strategy: str, number: int, split: str) -> Answers:
        """How the network of a round that is done answers a split."""
        of_split = self._read(_name(seed, strategy, number, "answers"))[split]
        dice = [np.nan if value is None else value for value in of_split["dice"]]
        return Answers(np.asarray(dice, np.float64), np.asarray(of_split["malignant"], np.float64))

    def keep_answers(self, seed: int, strategy: str, number: int, answers: Mapping[str, Answers]) -> None:
        """Record the answers of a round's network to every split, rounded to what is told apart."""
        self._write(
            _name(seed, strategy, number, "answers"),
            {
                split: {
                    "dice": [None if np.isnan(v) else round(float(v), 5) for v in given.dice],
                    # Ranked later, so more places than are read.
                    "malignant": [round(float(v), 8) for v in given.malignant],
                }
                for split, given in answers.items()
            },
        )

    def _read(self, name: str) -> Any:
        try:
            return json.loads((self.folder / name).read_bytes())
        except FileNotFoundError:
            return None

    def _write(self, name: str, content: Any) -> None:
        write_bytes_atomically(self.folder / name, json.dumps(content).encode())


def _name(seed: int, strategy: str, number: int, what: str) -> str:
    return f"seed-{seed}/{strategy}/{what}-{number}.json"
