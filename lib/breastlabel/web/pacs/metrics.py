"""How the mirror of a PACS goes, for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric

from breastlabel.web.pacs.mirror import MirrorProgress

__all__ = ["mirror_metrics"]


def mirror_metrics(progress: MirrorProgress) -> Iterator[Metric]:
    """Counts and moments; no name of anything."""
    objects = CounterMetricFamily(
        "breastlabel_pacs_objects", "Objects of the PACS, by what became of them", labels=["outcome"]
    )
    objects.add_metric(["image"], progress.taken.images)
    objects.add_metric(["result"], progress.taken.results)
    objects.add_metric(["left"], progress.taken.left)
    objects.add_metric(["gone"], progress.taken.gone)
    yield objects
    yield CounterMetricFamily("breastlabel_pacs_bytes", "Bytes fetched", value=progress.taken.bytes)
    polls = CounterMetricFamily("breastlabel_pacs_polls", "Looks at the PACS", labels=["outcome"])
    polls.add_metric(["done"], progress.polls)
    polls.add_metric(["failed"], progress.failed_polls)
    yield polls
    for name, what, value in (
        ("up", "Whether the newest look at the PACS came to its end", progress.trouble is None),
        ("disk_full", "Whether nothing is fetched for want of space", progress.disk_full),
        ("watching", "Whether this server fetches; of several on one folder, one does", progress.watching),
        ("studies", "Studies listed in the newest look", progress.studies),
        ("studies_waiting", "Studies of it that are still to be looked through", progress.waiting),
        (
            "last_success_seconds",
            "When a look came to its end, since 1970; 0 never",
            progress.last_success or 0,
        ),
    ):
        yield GaugeMetricFamily(f"breastlabel_pacs_{name}", what, value=float(value))
