"""How much of a proposal the reader had to change, measured after the save was acknowledged."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from breastlabel.catalog import Catalog, LabelVersion
from breastlabel.catalog.corrections import CorrectionSummary, correction_summary
from breastlabel.errors import InvalidLabelError, NotFoundError
from breastlabel.evaluation.agreement import compare_masks
from breastlabel.imaging import read_mask

__all__ = ["CorrectionMeasures", "measure_correction"]

logger = logging.getLogger(__name__)

_BATCH = 100
_CLOSE_SECONDS = 5.0
# The summary reads every measure there is. It is made anew at most this often, and so seldom that it takes
# no more than this share of the time.
_SUMMARY_SECONDS = 10.0
_SUMMARY_SHARE = 0.02
#: In the queue: look for what was left over. And: end.
_CATCH_UP, _END = "catch up", "end"


def measure_correction(catalog: Catalog, version: LabelVersion) -> dict[str, Any]:
    """Compare a reading with the proposal that it started from.

    Returns:
        `MaskAgreement.to_json`; ``{"error": reason}`` where one of the two cannot be read.

    Raises:
        StudiesError: the catalog cannot be read now.
    """
    try:
        proposals = [v for v in catalog.labels.history(version.image_id) if v.label_id == version.proposal_id]
        if not proposals:
            raise NotFoundError("the proposal that the reading started from is not in the catalog")
        image = catalog.image(version.image_id)
        spacing = None
        if image.spacing_rows is not None and image.spacing_cols is not None:
            spacing = (image.spacing_rows, image.spacing_cols)
        proposal, reading = (read_mask(catalog.labels.path(v)) for v in (proposals[0], version))
        return compare_masks(proposal, reading, spacing).to_json()
    except (InvalidLabelError, NotFoundError) as error:
        # It will not be otherwise the next time, so that is noted instead of tried for ever.
        return {"error": str(error)}


class CorrectionMeasures:
    """Measures corrections one after the other in a thread of its own, and notes them in the catalog.

    Nothing of it reaches the reader: what fails stays unmeasured, and `catch_up` finds it again. A process
    may end at any time; what was queued then is found likewise.
    """

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._queue: queue.Queue[LabelVersion | str] = queue.Queue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._closed = False
        self._summary: tuple[CorrectionSummary, ...] = ()
        self._next_summary = 0.0
        self._stale = False

    def submit(self, version: LabelVersion) -> None:
        """Measure an accepted reading soon; returns at once. Others are passed over."""
        if version.proposal_id is not None and version.state == "final":
            self._put(version)

    def catch_up(self) -> None:
        """Measure soon what an earlier server, or a full disk, left unmeasured; returns at once."""
        self._put(_CATCH_UP)

    def summary(self) -> tuple[CorrectionSummary, ...]:
        """What readers had to change of each model version, as last summed up; takes no time.

        Empty until something was measured or `catch_up` has run.
        """
        return self._summary

    def wait(self, seconds: float) -> bool:
        """Wait until nothing is left to measure; False where it takes longer."""
        end = time.monotonic() + seconds
        with self._queue.all_tasks_done:
            while self._queue.unfinished_tasks:
                left = end - time.monotonic()
                if left <= 0:
                    return False
                self._queue.all_tasks_done.wait(left)
        return True

    def close(self) -> None:
        """End after what is being measured; the rest is left for the next start."""
        with self._lock:
            self._closed = True
            thread = self._thread
        if thread is not None:
            self._queue.put(_END)
            thread.join(_CLOSE_SECONDS)

    def _put(self, work: LabelVersion | str) -> None:
        with self._lock:
            if self._closed:
                return
            self._queue.put(work)
            # Not before there is work: a process may build the app only to ask it something, or to fork.
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="corrections", daemon=True)
                self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                work = self._queue.get(timeout=self._until_summary())
            except queue.Empty:
                self._guarded(self._sum_up)
                continue
            try:
                if work == _END:
                    return
                self._guarded(self._measure_all, [work] if isinstance(work, LabelVersion) else None)
            finally:
                self._queue.task_done()

    def _guarded(self, do: Callable[..., None], *arguments: Any) -> None:
        try:
            do(*arguments)
        except Exception as error:
            # No message: it may hold a path, and with it an image's name.
            logger.warning("corrections could not be measured now: %s", type(error).__name__)

    def _measure_all(self, versions: Iterable[LabelVersion] | None) -> None:
        """Measure these, or where None all that were left over."""
        for version in self._left_over() if versions is None else versions:
            self._guarded(self._measure, version)
            if self._closed:
                return
        self._stale = True

    def _left_over(self) -> Iterator[LabelVersion]:
        seen: set[int] = set()
        while True:
            found = [v for v in self._catalog.labels.without_agreement(_BATCH) if v.label_id not in seen]
            if not found:
                return
            seen.update(v.label_id for v in found)
            yield from found

    def _measure(self, version: LabelVersion) -> None:
        self._catalog.labels.set_agreement(version.label_id, measure_correction(self._catalog, version))

    def _until_summary(self) -> float | None:
        """Seconds until the summary is to be made anew; None where nothing was measured since."""
        return max(0.0, self._next_summary - time.monotonic()) if self._stale else None

    def _sum_up(self) -> None:
        began = time.monotonic()
        self._stale = False
        self._summary = tuple(correction_summary(self._catalog.database))
        took = time.monotonic() - began
        self._next_summary = began + max(_SUMMARY_SECONDS, took / _SUMMARY_SHARE)
