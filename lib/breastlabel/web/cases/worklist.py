"""The cases of a studies folder, listed, found and given to readers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from breastlabel.activelearning import DEFAULT_STRATEGY
from breastlabel.catalog import ByScore, Lease, Order, Revisit
from breastlabel.catalog.case_leases import lease_case, questioned_cases, release_cases
from breastlabel.catalog.case_order import CaseCounts, CaseList, CaseStatus, RankedCase, case_page
from breastlabel.catalog.cases import Case, key_of_case_id, key_of_image, leased_cases, load_cases
from breastlabel.errors import NotFoundError
from breastlabel.imaging import Modality
from breastlabel.label.caller import caller
from breastlabel.label.errors import named
from breastlabel.web.cases.described import Described, describe
from breastlabel.web.cases.reasons import score_json

if TYPE_CHECKING:
    from breastlabel.label.app import BreastLabelApp

__all__ = ["MOST_CASES", "Worklist"]

#: In one page of a list.
MOST_CASES = 200
#: So many clients must be faster in a row before one of them is asked to come again.
_ATTEMPTS = 100


class Worklist:
    """The cases that an app serves, in the orders of its strategies.

    Args:
        app: whose catalog, strategies and model versions these are.
    """

    def __init__(self, app: BreastLabelApp) -> None:
        self._app = app
        self._catalog = app.catalog
        self._counts = CaseCounts(app.catalog.database)

    def page(
        self,
        *,
        status: CaseStatus = CaseStatus.WAITING,
        modality: Modality | None = None,
        strategy: str | None = None,
        offset: int = 0,
        limit: int = 50,
    ) -> dict[str, Any]:
        """``cases``, ``total``, ``strategies`` (the default one first) and the ``strategy`` that was used.

        Raises:
            NotFoundError: unknown strategy.
        """
        name = strategy or DEFAULT_STRATEGY
        orders = self._orders(name, modality)
        with self._catalog.database.read() as connection:
            leases = leased_cases(connection)
            listed = CaseList(orders, status, modality, _busy(leases, questioned_cases(connection)))
            ranked = case_page(connection, listed, offset=offset, limit=min(limit, MOST_CASES))
            cases = load_cases(connection, [place.key for place in ranked])
        known = describe(self._catalog, cases.values(), leases)
        places = {place.key: place for place in ranked}
        return {
            "cases": [known.case_json(c, self._score(name, orders, places[k], c)) for k, c in cases.items()],
            "total": self._counts.total(listed),
            "strategies": list(self._app.strategies()),
            "strategy": name,
        }

    def case(self, case_id: str) -> Case:
        """The case of that id.

        Raises:
            NotFoundError: there is none.
        """
        with self._catalog.database.read() as connection:
            key = key_of_case_id(connection, case_id)
            found = {} if key is None else load_cases(connection, [key])
        if not found:
            raise NotFoundError("a case's id is required; there is none of this one; list the cases")
        return next(iter(found.values()))

    def case_of_image(self, image_id: str) -> Case:
        """The case that an image belongs to.

        Raises:
            NotFoundError: the catalog has no such image.
        """
        with self._catalog.database.read() as connection:
            key = key_of_image(connection, image_id)
            found = {} if key is None else load_cases(connection, [key])
        if not found:
            raise NotFoundError("an image of the studies folder is required; there is none of this id")
        return next(iter(found.values()))

    def case_of_uid(self, *, study: str | None = None, instance: str | None = None) -> Case:
        """The case of a DICOM study, or of one instance, which may be an image or refer to one's study.

        Raises:
            NotFoundError: the archive has no such study or instance.
        """
        index = self._catalog.dicom
        if instance is not None:
            found = index.instance(instance)
            if found is not None and found.image_id is not None:
                return self.case_of_image(found.image_id)
            study = None if found is None else found.study_instance_uid
        of_study = [] if study is None else index.find(study=study)
        image_id = next((i.image_id for i in of_study if i.image_id is not None), None)
        if image_id is None:
            raise NotFoundError("a study of the archive is required; there is none of this UID")
        return self.case_of_image(image_id)

    def describe(self, case: Case, *, score: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """One case as JSON, by the default strategy's scores."""
        known = self.known(case)
        if score is None:
            place = RankedCase(case.key, case.images[0].image_id, None)
            score = self._score(DEFAULT_STRATEGY, self._orders(DEFAULT_STRATEGY, None), place, case)
        return known.case_json(case, score)

    def known(self, *cases: Case) -> Described:
        """What is to be said of cases now."""
        with self._catalog.database.read() as connection:
            leases = leased_cases(connection)
        return describe(self._catalog, cases, leases)

    def next(
        self,
        client_id: str,
        *,
        strategy: str | None = None,
        modality: Modality | None = None,
        skip: Iterable[str] = (),
    ) -> dict[str, Any]:
        """The first case of a strategy that nobody reads, with all its images on lease to the client.

        A client that asks again gets another case; where nothing else is free, the one that it has had for
        longest. What it skips is free for others from now on.

        Raises:
            NotFoundError: unknown strategy, or no case waits.
        """
        name = strategy or DEFAULT_STRATEGY
        orders = self._orders(name, modality)
        with self._catalog.database.read() as connection:
            keys = (key_of_case_id(connection, case_id) for case_id in skip)
            passed = {key for key in keys if key is not None}
        release_cases(self._catalog.database, passed, client_id)
        author = caller().author()
        again = any(isinstance(order, Revisit) for order in orders)
        for _ in range(_ATTEMPTS):
            place = self._first_free(orders, modality, passed, client_id, read=again)
            if place is None:
                break
            if lease_case(
                self._catalog.database,
                place.key,
                client_id=client_id,
                author=author,
                strategy=name,
                seconds=self._app.lease_seconds,
                labelled=again,
            ):
                case = self._loaded(place.key)
                return self.describe(case, score=self._score(name, orders, place, case))
            passed.add(place.key)
        raise NotFoundError("no case waits that is free; ask again later, or list what is being read")

    def _first_free(
        self,
        orders: Sequence[Order],
        modality: Modality | None,
        skip: set[str],
        client_id: str,
        *,
        read: bool,
    ) -> RankedCase | None:
        status = CaseStatus.READ if read else CaseStatus.WAITING
        with self._catalog.database.read() as connection:
            leases = leased_cases(connection)
            busy = _busy(leases, questioned_cases(connection))
            page = case_page(connection, CaseList(orders, status, modality, busy, skip), limit=1)
            if page:
                return page[0]
            own = [key for key, lease in leases.items() if lease.client_id == client_id and key not in skip]
            cases = load_cases(connection, own)
        kept = (c for c in cases.values() if modality in (None, c.modality) and (read or c.is_open))
        return next((RankedCase(case.key, case.images[0].image_id, None) for case in kept), None)

    def _loaded(self, key: str) -> Case:
        with self._catalog.database.read() as connection:
            return load_cases(connection, [key])[key]

    def _orders(self, strategy: str, modality: Modality | None) -> list[Order]:
        chosen = named("strategy", strategy, self._app.strategies())
        return list(chosen.orders(self._catalog, modality))

    def _score(self, name: str, orders: Sequence[Order], place: RankedCase, case: Case) -> dict[str, Any]:
        older = False
        for order in orders:
            if isinstance(order, ByScore | Revisit) and order.model is not None:
                mine = order.modality in (None, case.modality)
                older = older or (mine and order.model_version != self._app.predictors.version(order.model))
        return score_json(name, orders, place, of_older_model=older)


def _busy(leases: Mapping[str, Lease], questions: Sequence[str]) -> dict[CaseStatus, Sequence[str]]:
    return {CaseStatus.READING: list(leases), CaseStatus.QUESTION: questions}
