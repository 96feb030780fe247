"""Options of a request, as any of the clients sends them."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from typing import Any

from breastlabel.errors import UnknownNameError
from breastlabel.label.errors import BadRequestError

__all__ = ["DEVICES", "Options", "short_name"]

#: What viewers are offered as ``device``.
DEVICES = ("auto", "cpu", "cuda")
#: A name is there to tell people and programs apart, not a place to store things.
_LONGEST = 128
_TRUE, _FALSE = ("true", "yes", "on", "1"), ("false", "no", "off", "0", "")


class Options:
    """Typed access to a request's options.

    3D Slicer sends scalars, OHIF a list where the default is a list (its first entry is the choice), and
    both send numbers and flags as text now and then. All of these are accepted for every key.
    """

    def __init__(self, values: Mapping[str, Any] | None = None) -> None:
        self._values = dict(values or {})

    def _get(self, name: str) -> Any:
        value = self._values.get(name)
        while isinstance(value, list | tuple):
            value = value[0] if value else None
        return value

    def text(self, name: str, default: str | None = None) -> str | None:
        """A string; empty counts as not given."""
        value = self._get(name)
        return default if value is None or value == "" else str(value)

    def name(self, name: str) -> str | None:
        """`text` as `short_name`."""
        return short_name(self.text(name))

    def choice(self, name: str, valid: Collection[str], default: str) -> str:
        """One of the valid names.

        Raises:
            UnknownNameError: another one.
        """
        value = self.text(name, default)
        if value not in valid:
            raise UnknownNameError(name, value, valid)
        return str(value)

    def flag(self, name: str, default: bool | None = None) -> bool | None:
        """True, false, or the default where it is not given.

        Raises:
            BadRequestError: neither.
        """
        value = self._get(name)
        if value is None:
            return default
        text = str(value).strip().lower()
        if text in _TRUE:
            return True
        if text in _FALSE:
            return False if text else default
        raise BadRequestError(f"{name} must be true or false; got '{value}'")

    def device(self) -> str | None:
        """``cpu``, or None: a GPU where there is one.

        MONAI Label's clients ask for ``cuda``, ``cuda:0`` or a GPU's name, whatever the server has.

        Raises:
            UnknownNameError: something else.
        """
        device = self.text("device", "auto") or "auto"
        if device.lower().startswith(("auto", "cuda", "nvidia")):
            return None
        return self.choice("device", DEVICES, "auto")

    def integer(self, name: str, default: int, *, low: int, high: int) -> int:
        """A whole number in ``low`` to ``high``.

        Raises:
            BadRequestError: anything else.
        """
        value = self._get(name)
        if value is None or value == "":
            return default
        try:
            number = float(value)
            whole = int(number)
        except (TypeError, ValueError, OverflowError):
            number, whole = 0.5, 0
        if number != whole or not low <= whole <= high:
            raise BadRequestError(f"{name} must be a whole number from {low} to {high}; got '{value}'")
        return whole

    def number(self, name: str, *, low: float, high: float) -> float | None:
        """A finite number in ``low`` to ``high``, None where it is not given.

        Raises:
            BadRequestError: anything else.
        """
        value = self._get(name)
        if value is None or value == "":
            return None
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            number = math.nan
        if not low <= number <= high:
            raise BadRequestError(f"{name} must be a number from {low:g} to {high:g}; got '{value}'")
        return number


def short_name(text: str | None) -> str | None:
    """What is printable of a name, at most 128 characters; None where nothing is left."""
    # Neither database nor log can hold control characters, PostgreSQL no NUL at all.
    plain = "".join(c for c in text or "" if c.isprintable()).strip()[:_LONGEST]
    return plain or None
