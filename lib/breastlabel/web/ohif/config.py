"""OHIF's configuration, ``/ohif/app-config.js``: our archive, our extension, and nothing from elsewhere."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["app_config", "content_security_policy"]

ARCHIVE = "/dicom-web"
EXTENSION = "/ohif/breastlabel/index.js"
MODE = "/ohif/breastlabel/mode.js"
#: Offered by OHIF for studies that we do not have; they would only be buttons that lead nowhere.
_HIDDEN_MODES = (
    "@ohif/mode-longitudinal",
    "@ohif/mode-basic",
    "@ohif/mode-tmtv",
    "@ohif/mode-microscopy",
    "@ohif/mode-preclinical-4d",
    "@ohif/mode-ultrasound-pleura-bline",
)


def app_config() -> str:
    """The JavaScript file that OHIF reads before it starts."""
    return f"window.config = {json.dumps(_settings(), indent=2)};\n"


def _settings() -> dict[str, Any]:
    return {
        "name": "breastlabel",
        "routerBasename": "/ohif",
        "extensions": [EXTENSION],
        # Before OHIF's own: of two modes with one id the first is kept, and ours is its segmentation mode.
        "modes": [MODE],
        "modesConfiguration": {mode: {"hide": {"$set": True}} for mode in _HIDDEN_MODES},
        "customizationService": {},
        # Else the first stroke in a view only makes it the active one, and paints nothing.
        "activateViewportBeforeInteraction": False,
        "showStudyList": True,
        "showLoadingIndicator": True,
        "showCPUFallbackMessage": False,
        "showWarningMessageForCrossOrigin": False,
        "investigationalUseDialog": {"option": "never"},  # the panel and every page of ours say it
        "maxNumberOfWebWorkers": 2,
        "maxNumRequests": {"interaction": 20, "thumbnail": 5, "prefetch": 10},
        "defaultDataSourceName": "breastlabel",
        "dataSources": [
            {
                "namespace": "@ohif/extension-default.dataSourcesModule.dicomweb",
                "sourceName": "breastlabel",
                "configuration": {
                    "friendlyName": "breastlabel",
                    "name": "breastlabel",
                    "qidoRoot": ARCHIVE,
                    "wadoRoot": ARCHIVE,
                    "wadoUriRoot": ARCHIVE,
                    "stowRoot": ARCHIVE,
                    "qidoSupportsIncludeField": False,
                    "imageRendering": "wadors",
                    "thumbnailRendering": "wadors",
                    "enableStudyLazyLoad": True,
                    "supportsFuzzyMatching": False,
                    "supportsWildcard": False,
                    "supportsStow": True,
                    "dicomUploadEnabled": True,
                    "singlepart": "bulkdata",
                    "bulkDataURI": {"enabled": True, "relativeResolution": "studies"},
                    "omitQuotationForMultipartRequest": True,
                },
            }
        ],
    }


def content_security_policy() -> str:
    """What the viewer's page may load: its own server's files, and what it makes itself.

    OHIF brings a tool that fetches weights from a hub of models. With this the browser refuses it, and
    whatever else would reach for another host.
    """
    own = "'self'"
    return "; ".join(
        (
            f"default-src {own}",
            f"script-src {own} 'unsafe-inline' 'unsafe-eval' 'wasm-unsafe-eval' blob:",
            f"style-src {own} 'unsafe-inline'",
            f"img-src {own} data: blob:",
            f"font-src {own} data:",
            f"connect-src {own} data: blob:",
            f"worker-src {own} blob:",
            f"frame-src {own}",
            f"frame-ancestors {own}",
            f"base-uri {own}",
            f"form-action {own}",
            "object-src 'none'",
        )
    )
