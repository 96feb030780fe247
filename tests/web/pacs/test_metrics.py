"""What Prometheus is told of the mirror."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, generate_latest

from breastlabel.web.pacs.intake import Taken
from breastlabel.web.pacs.metrics import mirror_metrics
from breastlabel.web.pacs.mirror import MirrorProgress


def test_each_figure_is_told_once() -> None:
    progress = MirrorProgress(
        taken=Taken(images=8, results=2, left=1, bytes=4096),
        polls=3,
        failed_polls=1,
        trouble="the disk is full",
    )
    progress.disk_full, progress.last_success = True, 1_700_000_000.0

    class Collector:
        def collect(self):
            return mirror_metrics(progress)

    registry = CollectorRegistry()
    registry.register(Collector())
    text = generate_latest(registry).decode()
    for line in (
        'breastlabel_pacs_objects_total{outcome="image"} 8.0',
        'breastlabel_pacs_objects_total{outcome="result"} 2.0',
        'breastlabel_pacs_polls_total{outcome="failed"} 1.0',
        "breastlabel_pacs_bytes_total 4096.0",
        "breastlabel_pacs_up 0.0",
        "breastlabel_pacs_disk_full 1.0",
        "breastlabel_pacs_last_success_seconds 1.7e+09",
    ):
        assert text.count(f"\n{line}\n") == 1, line
