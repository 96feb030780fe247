"""What went wrong, as an HTTP status and one line of JSON: ``{"detail": reason}``."""

from __future__ import annotations

import errno
import logging
from collections.abc import Mapping
from typing import TypeVar

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from monailabel.interfaces.exception import (
    ImageNotFoundException,
    LabelNotFoundException,
    MONAILabelException,
)

from breastlabel.errors import (
    BreastLabelError,
    CheckpointError,
    InvalidImageError,
    InvalidLabelError,
    MissingDependencyError,
    NotFoundError,
    StudiesError,
    UnknownNameError,
)
from breastlabel.label.logs import trace_of, without_names

__all__ = [
    "BadRequestError",
    "BusyError",
    "ConflictError",
    "RunningError",
    "UpstreamError",
    "add_error_handlers",
    "named",
    "status_of",
]

T = TypeVar("T")

logger = logging.getLogger(__name__)


class BadRequestError(BreastLabelError, ValueError):
    """A request's parameters are not what the route needs."""


class BusyError(BreastLabelError, RuntimeError):
    """The server has as much work waiting as it can take; the same request will pass later."""


class RunningError(BusyError):
    """There is one of its kind at a time, and one runs; MONAI Label's status for it is 429."""


class ConflictError(BreastLabelError, RuntimeError):
    """The request is well formed, but what exists already stands against it."""


class UpstreamError(BreastLabelError, RuntimeError):
    """Another server, on which this one depends, did not do what it was asked for."""


# The first class that fits counts, so subclasses stand before their bases.
_STATUS: tuple[tuple[type[Exception], int], ...] = (
    (RunningError, 429),
    (BusyError, 503),
    (ConflictError, 409),
    (UpstreamError, 502),
    (NotFoundError, 404),
    (ImageNotFoundException, 404),
    (LabelNotFoundException, 404),
    (CheckpointError, 409),
    (StudiesError, 409),
    (MissingDependencyError, 501),
    (InvalidImageError, 422),
    (InvalidLabelError, 400),
    (UnknownNameError, 400),
    (BreastLabelError, 400),
)


def status_of(error: Exception) -> int:
    """The HTTP status that says what kind of error it is; 500 for one that is the program's own."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return 507
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 500)


def named(kind: str, name: str, offered: Mapping[str, T]) -> T:
    """The entry of that name.

    Raises:
        NotFoundError: there is none; the message lists the valid names.
    """
    found = offered.get(name)
    if found is None:
        raise NotFoundError(str(UnknownNameError(kind, name, offered)))
    return found


def add_error_handlers(server: FastAPI) -> None:
    """Answer every error with ``{"detail": reason}``; what the program did wrong goes to the log."""
    server.add_exception_handler(RequestValidationError, _invalid_request)
    # Starlette hands a handler of `Exception` the error only after it went to its own outermost
    # middleware, which raises it again; so each known kind is named.
    for kind in (BreastLabelError, MONAILabelException, OSError):
        server.add_exception_handler(kind, _answer)
    server.add_exception_handler(Exception, _answer)


def _answer(request: Request, error: Exception) -> JSONResponse:
    status = status_of(error)
    if status == 507:
        return JSONResponse(
            {"detail": "the server's disk is full; nothing was stored; free some space"}, status
        )
    if status == 500:
        path = without_names(request.url.path)
        logger.error("%s %s failed\n%s", request.method, path, trace_of(error))
        return JSONResponse(
            {"detail": f"the server failed ({type(error).__name__}); its log says more"}, status
        )
    headers = {"Retry-After": "5"} if status == 503 else None
    return JSONResponse({"detail": getattr(error, "msg", None) or str(error)}, status, headers)


def _invalid_request(request: Request, error: Exception) -> JSONResponse:
    if not isinstance(error, RequestValidationError):
        raise error
    # The offending input itself is left out: it may be an image, or carry an identifier.
    reasons = (f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}" for e in error.errors())
    return JSONResponse({"detail": "; ".join(reasons)}, 422)
