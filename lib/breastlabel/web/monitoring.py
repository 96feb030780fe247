"""What Prometheus is told of the server: counts and seconds, and never a name, an id or a UID."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from breastlabel.errors import BreastLabelError
from breastlabel.web.pacs.metrics import mirror_metrics

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["Monitoring", "RequestTimes"]

#: Requests of no route: without this, whoever tries addresses would make as many time series.
_UNKNOWN = "unknown"
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH")
_REQUEST_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
_INFERENCE_SECONDS = (0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0, 60.0, 120.0)


class Monitoring:
    """The figures of one server, in a registry of their own.

    Args:
        app: whose counters are read at each scrape; it tells of each inference.
    """

    def __init__(self, app: BreastLabelApp) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "breastlabel_requests",
            "Requests answered, by the route's template",
            ["method", "route", "status"],
            registry=self.registry,
        )
        self._request_seconds = Histogram(
            "breastlabel_request_seconds",
            "Seconds from a request to the end of its answer",
            ["method", "route"],
            buckets=_REQUEST_SECONDS,
            registry=self.registry,
        )
        self._inference_seconds = Histogram(
            "breastlabel_inference_seconds",
            "Seconds of inferences, the waiting for their turn aside",
            ["model"],
            buckets=_INFERENCE_SECONDS,
            registry=self.registry,
        )
        self.registry.register(_AppCollector(app))
        app.on_inference.append(self.inference)

    def request(self, method: str, route: str | None, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: its template, ``/api/images/{image_id}/run``; None where no route answered.
        """
        method = method if method in _METHODS else _UNKNOWN
        route = route or _UNKNOWN
        self._requests.labels(method, route, str(status)).inc()
        self._request_seconds.labels(method, route).observe(seconds)

    def inference(self, model: str, seconds: float) -> None:
        """Count an inference."""
        self._inference_seconds.labels(model).observe(seconds)

    def text(self) -> bytes:
        """All figures in Prometheus' text format."""
        return generate_latest(self.registry)


class RequestTimes:
    """Tells `Monitoring` of each request."""

    def __init__(self, app: ASGIApp, *, monitoring: Monitoring) -> None:
        self._app = app
        self._monitoring = monitoring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status = time.perf_counter(), 500

        async def noting(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            # The router has left here which of its routes it was.
            route = getattr(scope.get("route"), "path", None)
            seconds = time.perf_counter() - began
            self._monitoring.request(scope["method"], route, status, seconds)


class _AppCollector(Collector):
    """What is not counted as it happens, but looked up when it is asked for; none of it takes long."""

    def __init__(self, app: BreastLabelApp) -> None:
        self._app = app

    def collect(self) -> Iterator[Metric]:
        yield _gauge("breastlabel_inferences_present", "Inferences that run or wait", self._app.gate.present)
        try:
            counts = self._app.catalog.counts()
        except BreastLabelError:
            yield _gauge("breastlabel_catalog_up", "Whether the catalog answers", 0)
        else:
            yield _gauge("breastlabel_catalog_up", "Whether the catalog answers", 1)
            images = GaugeMetricFamily("breastlabel_images", "Images by status", labels=["status"])
            images.add_metric(["total"], counts.total)
            images.add_metric(["missing"], counts.missing)
            images.add_metric(["waiting"], counts.waiting)
            yield images
            labels = GaugeMetricFamily("breastlabel_labelled_images", "Images by label", labels=["tag"])
            for tag in ("final", "draft", "original"):
                labels.add_metric([tag], counts.labelled.get(tag, 0))
            yield labels
        jobs = GaugeMetricFamily("breastlabel_jobs_running", "Background jobs that run", labels=["kind"])
        jobs.add_metric(["training"], self._app.jobs.running() is not None)
        jobs.add_metric(["scoring"], self._app.scoring_jobs.running() is not None)
        yield jobs
        models = GaugeMetricFamily(
            "breastlabel_model", "1 for the version that serves", labels=["model", "version"]
        )
        for name in self._app.trainers():
            version = self._app.predictors.version(name)
            if version is not None:
                models.add_metric([name, version], 1)
        yield models
        if (arrivals := self._app.arrivals) is not None:
            yield _gauge("breastlabel_arrivals_waiting", "Images that came and are unread", arrivals.waiting)
            read = CounterMetricFamily("breastlabel_arrivals", "Images read unasked", labels=["outcome"])
            read.add_metric(["read"], arrivals.read)
            read.add_metric(["failed"], arrivals.failed)
            yield read
        if self._app.pacs is not None:
            yield from mirror_metrics(self._app.pacs.mirror.progress)


def _gauge(name: str, what: str, value: float) -> Metric:
    return GaugeMetricFamily(name, what, value=value)
