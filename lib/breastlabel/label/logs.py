"""What the server writes to its log: no requests, no identifiers."""

from __future__ import annotations

import logging
import re
import traceback

__all__ = ["configure_logging", "trace_of", "without_names"]

#: Before the id of an image, or a UID, in a path.
_NAMED = re.compile(r"/(studies|series|instances|images)/[^/?]+")

# The stock modules that log whole requests, file names or label infos at INFO. A file's name may be a
# patient's number.
_TALKATIVE = (
    "monailabel.datastore",
    "monailabel.endpoints",
    "monailabel.interfaces",
    "monailabel.tasks",
    "monailabel.utils",
    "multipart",
    "python_multipart",
    "filelock",
    "dicomweb_client",
    "httpcore",
    "httpx",
    "retrying",
    "urllib3",
)


def without_names(path: str) -> str:
    """A request's path without what follows it and without the image, study, series or instance it names."""
    return _NAMED.sub(r"/\1/*", path.partition("?")[0])


def trace_of(error: BaseException) -> str:
    """Where an error came from and of which kind it is, without what it says: that may name a file."""
    return f"{''.join(traceback.format_tb(error.__traceback__))}{type(error).__qualname__}"


class _WithoutNames(logging.Filter):
    """Takes the query string and the ids of images and studies out of uvicorn's access lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) >= 3 and isinstance(record.args[2], str):
            client, method, path, *rest = record.args
            record.args = (client, method, without_names(str(path)), *rest)
        return True


def configure_logging() -> None:
    """Quieten what would write identifiers to the log. May be called again."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(f, _WithoutNames) for f in access.filters):
        access.addFilter(_WithoutNames())
