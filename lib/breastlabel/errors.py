"""Errors a user can meet.

Every message says what was required, what came, and the remedy, in one line and without patient
identifiers. Each class also inherits the standard exception that a caller would expect.
"""

__all__ = [
    "BreastLabelError",
    "CheckpointError",
    "InvalidImageError",
    "InvalidLabelError",
    "MissingDependencyError",
    "NotFoundError",
    "StoppedError",
    "StudiesError",
    "UnknownNameError",
]


class BreastLabelError(Exception):
    """Base of all errors that are the input's or the site's, not the program's."""


class InvalidImageError(BreastLabelError, ValueError):
    """An image cannot be read, or is not what the task can analyse."""


class InvalidLabelError(BreastLabelError, ValueError):
    """A label map has the wrong size, unknown values or unknown segment names."""


class NotFoundError(BreastLabelError, LookupError):
    """An image, label, checkpoint or file that was named does not exist."""


class StoppedError(BreastLabelError, RuntimeError):
    """Work was given up because its caller asked for that; nothing was stored."""


class UnknownNameError(BreastLabelError, ValueError):
    """A model, strategy, dataset or option name is not one of the valid ones."""

    def __init__(self, kind: str, name: object, valid: object) -> None:
        names = ", ".join(sorted(str(v) for v in valid))  # type: ignore[attr-defined]
        super().__init__(f"{kind} must be one of {names}; got '{name}'")


class CheckpointError(BreastLabelError, ValueError):
    """A checkpoint folder is missing, incomplete or of another version."""


class StudiesError(BreastLabelError, ValueError):
    """A dataset source or a studies folder is not laid out as required, or holds too little."""


class MissingDependencyError(BreastLabelError, ImportError):
    """An optional package is needed; the message names the extra to install."""
