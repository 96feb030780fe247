"""Pages are filled on the server, and let a browser run nothing but the package's own files."""

from __future__ import annotations

from typing import Any

import jinja2
from fastapi.responses import HTMLResponse

import breastlabel
from breastlabel.evaluation.filling import template_environment
from breastlabel.findings.result import NOTICE
from breastlabel.label.caller import caller

__all__ = ["CONTENT_SECURITY_POLICY", "fragment", "page", "rendered"]

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        # The pictures of an upload are drawn from what the server sent, in the page.
        "img-src 'self' blob: data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'self'",
    )
)
"""Nothing from elsewhere, nothing inline: what a file name or a segment's name smuggles in stays text."""

_HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    # A page names cases; it must not be shown from the cache to whoever logs in next.
    "Cache-Control": "no-store",
}


def page(template: str, *, title: str, **values: Any) -> HTMLResponse:
    """A whole page.

    Args:
        template: its file's name without ``.html.j2``.
        title: of the page; also marks its entry in the navigation.
        values: for the template; all are escaped.
    """
    return _response(
        template,
        title=title,
        version=breastlabel.__version__,
        notice=NOTICE,
        user=caller().user,
        **values,
    )


def fragment(template: str, **values: Any) -> HTMLResponse:
    """A part of a page, which a page's script puts in the place of the older one."""
    return _response(template, **values)


def rendered(template: str, **values: Any) -> str:
    """The template's text, filled; everything in ``values`` is escaped."""
    return _ENVIRONMENT.get_template(f"{template}.html.j2").render(**values)


def _response(template: str, **values: Any) -> HTMLResponse:
    return HTMLResponse(rendered(template, **values), headers=dict(_HEADERS))


def _percent(value: float | None, digits: int = 0) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f} %"


def _number(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _environment() -> jinja2.Environment:
    environment = template_environment("breastlabel.web")
    environment.filters |= {"percent": _percent, "number": _number}
    return environment


_ENVIRONMENT = _environment()
