"""What became of a lesion since an older image of the same breast in the same view."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Change", "Comparison"]


class Comparison(StrEnum):
    """How a lesion stands to an older image."""

    COMPARED = "compared"
    NEW = "new"
    NOT_COMPARABLE = "not comparable"


@dataclass(frozen=True, kw_only=True)
class Change:
    """A lesion against its prior.

    Attributes:
        comparison: ``new`` where the older image shows no lesion at that place.
        reason: why it cannot be compared, in a few words; else None.
        prior: index of the older image in the sequence; None where there is none.
        months: between the two exams; None where a date is unknown.
        long_axis_mm, area_mm2: now less before; None unless compared.
        long_axis_percent, area_percent: the same in percent of what it was.
    """

    comparison: Comparison
    reason: str | None = None
    prior: int | None = None
    months: int | None = None
    long_axis_mm: float | None = None
    long_axis_percent: float | None = None
    area_mm2: float | None = None
    area_percent: float | None = None

    def to_json(self) -> dict[str, object]:
        """Plain JSON values; mm and mm2 rounded to a hundredth, percents to a tenth."""

        def rounded(value: float | None, digits: int) -> float | None:
            return None if value is None else round(value, digits)

        return {
            "comparison": self.comparison.value,
            "reason": self.reason,
            "prior": self.prior,
            "months": self.months,
            "long_axis_mm": rounded(self.long_axis_mm, 2),
            "long_axis_percent": rounded(self.long_axis_percent, 1),
            "area_mm2": rounded(self.area_mm2, 2),
            "area_percent": rounded(self.area_percent, 1),
        }
