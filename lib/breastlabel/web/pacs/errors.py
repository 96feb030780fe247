"""What goes wrong between this server and a PACS. No message names an object, a patient or a secret."""

from __future__ import annotations

from breastlabel.label.errors import BusyError, UpstreamError

__all__ = ["PacsAwayError", "PacsError", "PacsMissingError", "PacsObjectError", "PacsRefusalError"]


class PacsError(UpstreamError):
    """The PACS did not do what it was asked for."""


class PacsAwayError(BusyError, PacsError):
    """The PACS cannot be reached, or has too much to do; the same request will pass later."""


class PacsRefusalError(PacsError):
    """The PACS does not let this server in; its engineer must set that right."""


class PacsObjectError(PacsError):
    """The PACS is there, but does not give, or does not take, this one object."""


class PacsMissingError(PacsObjectError):
    """The PACS says that there is nothing at the address that was asked for."""
