"""What an import read, skipped and found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

__all__ = ["ImportSummary"]

_LINES = 20


@dataclass(frozen=True)
class ImportSummary:
    """The outcome of one import.

    Attributes:
        dataset: the importer's name.
        n_read: images read, those that were in the studies already included.
        n_new: images that were not there before.
        by_class: images by class; ``"unknown"`` for those without one.
        n_patients: None where the dataset does not tell patients apart.
        n_groups: groups of one patient's images and near-duplicates.
        contradictory: ids of each group of near-duplicates whose classes differ.
        skipped: (file, reason).
        splits: images by class in ``"train"``, ``"val"``, ``"test"`` and ``"none"`` (kept out of all).
    """

    dataset: str
    n_read: int
    n_new: int
    by_class: Mapping[str, int]
    n_patients: int | None
    n_groups: int
    contradictory: list[list[str]]
    skipped: list[tuple[str, str]]
    splits: Mapping[str, Mapping[str, int]]

    def text(self) -> str:
        """For a person to read: several lines, without markup."""
        patients = "patients not told apart" if self.n_patients is None else f"{self.n_patients} patients"
        lines = [
            f"{self.dataset}: read {self.n_read} images ({_listed(self.by_class)}), {self.n_new} of them new",
            f"  {patients}, {self.n_groups} groups of one patient or near-duplicates",
        ]
        for split, counts in self.splits.items():
            name = "kept out" if split == "none" else split
            if counts:
                lines.append(f"  {name}: {sum(counts.values())} ({_listed(counts)})")
        if self.contradictory:
            lines.append(
                f"  {len(self.contradictory)} groups of near-duplicates with contradictory classes, "
                "kept out of training and evaluation:"
            )
            lines += [f"    {', '.join(group)}" for group in self.contradictory]
        if self.skipped:
            lines.append(f"  skipped {len(self.skipped)}:")
            lines += [f"    {file}: {reason}" for file, reason in self.skipped[:_LINES]]
            if len(self.skipped) > _LINES:
                lines.append(f"    and {len(self.skipped) - _LINES} more")
        return "\n".join(lines)


def _listed(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{n} {label}" for label, n in counts.items())
