"""What the server writes to its log: no requests, no identifiers."""

from __future__ import annotations

import logging

__all__ = ["configure_logging"]

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


class _WithoutQuery(logging.Filter):
    """Takes the query string, where image ids are, out of uvicorn's access lines."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and len(record.args) >= 3 and isinstance(record.args[2], str):
            client, method, path, *rest = record.args
            record.args = (client, method, str(path).partition("?")[0], *rest)
        return True


def configure_logging() -> None:
    """Quieten what would write identifiers to the log. May be called again."""
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.ERROR)
    access = logging.getLogger("uvicorn.access")
    if not any(isinstance(f, _WithoutQuery) for f in access.filters):
        access.addFilter(_WithoutQuery())
