"""A transform's constructor is its configuration: plain JSON values out, the same object back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any

from breastlabel.errors import UnknownNameError

__all__ = ["arguments_from_config", "config_of"]


def config_of(transform: Any) -> dict[str, Any]:
    """The constructor's arguments of a dataclass as JSON values (tuples become lists)."""
    values = {field.name: getattr(transform, field.name) for field in fields(transform)}
    return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}


def arguments_from_config(transform: type[Any], config: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword arguments for `transform` from `config_of`'s dictionary; ``"name"`` is left out.

    Raises:
        UnknownNameError: a key is not one of the constructor's options.
    """
    valid = {field.name for field in fields(transform)}
    for key in config:
        if key != "name" and key not in valid:
            raise UnknownNameError(f"an option of {transform.__name__}", key, valid)
    return {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in config.items()
        if key != "name"
    }
