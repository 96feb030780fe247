"""The page at the server's own address."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["router"]

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>breastlabel</title>
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:42em;margin:3em auto;padding:0 1em}}
code{{background:#eee;padding:.1em .3em}}</style></head><body>
<h1>breastlabel {version}</h1>
<p>{description}.</p>
<p>{labelled} of {total} images have a label.</p>
<table><tr><th align="left">Model</th><th align="left">serves version</th></tr>{models}</table>
<h2>In 3D Slicer</h2>
<ol><li>Open the module <b>MONAI Label</b> and enter this page's address as the server.</li>
<li>Press <b>Next Sample</b>: the image comes with a proposed outline.</li>
<li>Correct it in the Segment Editor, press <b>Submit Label</b>, and now and then <b>Train</b>.</li></ol>
<p>For programs: <a href="info/"><code>info/</code></a>,
<a href="openapi.json"><code>openapi.json</code></a>.</p>
</body></html>"""
_ROW = "<tr><td>{name}</td><td>{version}</td></tr>"


def router(app: BreastLabelApp) -> APIRouter:
    """``GET /``."""
    routes = APIRouter(include_in_schema=False)

    @routes.get("/")
    def home() -> HTMLResponse:
        status = app.datastore().status()
        rows = "".join(
            _ROW.format(name=html.escape(name), version=html.escape(version or "not trained yet"))
            for name, version in ((name, app.predictors.version(name)) for name in app.trainers())
        )
        return HTMLResponse(
            _PAGE.format(
                version=html.escape(app.version),
                description=html.escape(app.description),
                labelled=status["completed"],
                total=status["total"],
                models=rows,
            )
        )

    return routes
