import multiprocessing
from concurrent.futures import ThreadPoolExecutor

import pytest

from breastlabel.catalog import ByScore, Catalog, First, RandomOrder, Revisit

FORK = multiprocessing.get_context("fork")
BALD = ByScore("bald", "ultrasound", "1")


@pytest.fixture
def ask(catalog):
    """The id of the image that a client is offered; None where there is none."""

    def acquire(client_id, order=First(), **options):
        lease = catalog.leases.acquire(client_id, order, strategy="test", **options)
        return lease and lease.image_id

    return acquire


def test_two_clients_get_different_images(catalog, add, ask):
    add("abc")
    assert [ask("anna"), ask("ben")] == ["a", "b"]
    leases = catalog.leases.live()
    assert [(lease.image_id, lease.client_id, lease.strategy) for lease in leases] == [
        ("a", "anna", "test"),
        ("b", "ben", "test"),
    ]
    assert (leases[0].expires_at - leases[0].leased_at).total_seconds() == 900


def test_who_asks_again_skips_and_comes_round(ask, add):
    add("abc")
    assert [ask("anna") for _ in range(5)] == ["a", "b", "c", "a", "b"]


def test_a_skipped_image_stays_leased(ask, add):
    add("abc")
    assert [ask("anna"), ask("anna"), ask("ben"), ask("ben")] == ["a", "b", "c", "c"]


def test_nothing_is_offered_where_others_hold_all_or_none_waits(ask, add, catalog):
    assert ask("anna") is None
    add("a")
    ask("anna")
    assert ask("ben") is None
    catalog.labels.save("a", b"x", client_id="anna")
    assert ask("anna") is None


def test_a_lease_ends_by_time_or_release(ask, add, catalog):
    add("ab")
    ask("anna", seconds=-1.0)
    assert catalog.leases.live() == []
    assert ask("ben") == "a"
    catalog.leases.release("a", "anna")
    assert ask("carl") == "b"
    catalog.leases.release("a", "ben")
    assert ask("carl") == "a"


@pytest.mark.parametrize("order", [First(), RandomOrder(), BALD])
def test_neither_reviewed_nor_excluded_images_are_offered(ask, add, catalog, order):
    add("ab")
    add("c", reviewed=True)
    add("d", excluded="file-missing")
    catalog.scores.write("bald", "ultrasound", "1", {"a": 1, "b": 2, "c": 3, "d": 4})
    catalog.update_image("b", excluded="unreadable")
    assert ask("anna", order) == "a"
    assert ask("ben", order) is None
    catalog.update_image("b", excluded=None)
    assert ask("ben", order) == "b"


def test_chance_is_uniform_and_repeats_nothing(tmp_path, monkeypatch, record):
    monkeypatch.delenv("BREASTLABEL_DATABASE_URL", raising=False)
    firsts = []
    for n in range(40):
        with Catalog(f"sqlite:///{tmp_path / str(n)}.sqlite3") as catalog:
            catalog.add_images(record(i) for i in "abcd")
            order = [catalog.leases.acquire("x", RandomOrder(), strategy="random").image_id for _ in "abcd"]
        assert sorted(order) == list("abcd")
        firsts.append(order[0])
    # Each comes first 10 times of 40; fewer than 2 times has a probability of 1 in 7,000.
    assert min(firsts.count(i) for i in "abcd") >= 2


def test_the_highest_score_first_and_the_unscored_last(ask, add, catalog):
    add("abcde")
    catalog.scores.write("bald", "ultrasound", "1", {"a": 0.1, "b": 0.9, "c": 0.5})
    offered = [ask("anna", BALD) for _ in "abcde"]
    assert offered[:3] == ["b", "c", "a"]
    assert set(offered[3:]) == {"d", "e"}


def test_scores_of_another_version_do_not_count(ask, add, catalog):
    add("ab")
    catalog.scores.write("bald", "ultrasound", "1", {"a": 1.0, "b": 2.0})
    catalog.scores.write("bald", "ultrasound", "2", {"a": 2.0, "b": 1.0})
    assert ask("anna", ByScore("bald", "ultrasound", "2")) == "a"


def test_without_scores_the_order_is_chance(ask, add):
    add("abc")
    assert [ask("anna", BALD) for _ in "abc"] == [ask("anna", RandomOrder()) for _ in "abc"]


def test_revisits_begin_with_the_oldest_label_and_end_with_ones_own(ask, add, catalog):
    add("abcd")
    for image_id, author in (("c", "anna"), ("a", "ben"), ("b", "carl")):
        catalog.labels.save(image_id, b"x", author=author)
    order = Revisit("ultrasound", "1")
    assert [ask("s1", order, author="anna") for _ in "abc"] == ["a", "b", "c"]


def test_revisits_begin_with_the_worst_score(ask, add, catalog):
    add("abcd")
    for image_id in "abcd":
        catalog.labels.save(image_id, b"x", author="ben" if image_id == "d" else "anna")
    catalog.scores.write("revisit", "ultrasound", "1", {"b": 0.2, "c": 0.7, "d": 0.9})
    order = Revisit("ultrasound", "1")
    assert [ask("s", order, author="ben") for _ in "abcd"] == ["c", "b", "a", "d"]


def test_a_revisited_image_goes_to_the_end(ask, add, catalog):
    add("ab")
    for image_id in "ab":
        catalog.labels.save(image_id, b"x", author="anna")
    catalog.scores.write("revisit", "ultrasound", "1", {"a": 0.9, "b": 0.1})
    order = Revisit("ultrasound", "1")
    assert ask("s", order, author="ben") == "a"
    # The score was about the label that is now replaced.
    catalog.labels.save("a", b"y", author="ben", client_id="s")
    assert catalog.scores.of("a") == []
    assert ask("t", order, author="carl") == "b"


def test_rejected_and_excluded_images_are_not_revisited(ask, add, catalog):
    add("abc")
    for image_id in "abc":
        catalog.labels.save(image_id, b"x")
    catalog.labels.remove("a", "final")
    catalog.exclude("b", "unreadable")
    assert [ask("anna", Revisit()) for _ in "ab"] == ["c", "c"]


def test_threads_never_share_an_image(ask, add):
    add(f"i{n:02}" for n in range(40))
    with ThreadPoolExecutor(8) as pool:
        offered = list(pool.map(lambda n: ask(f"client {n}", RandomOrder()), range(44)))
    given = [image_id for image_id in offered if image_id]
    assert len(given) == len(set(given)) == 40


def _ask_many(catalog, who, offered):
    for n in range(10):
        lease = catalog.leases.acquire(f"{who} {n}", BALD, strategy="bald")
        offered.put(lease.image_id)


def test_processes_never_share_an_image(add, catalog):
    ids = [f"i{n:02}" for n in range(30)]
    add(ids)
    catalog.scores.write("bald", "ultrasound", "1", dict.fromkeys(ids, 0.5))
    offered = FORK.Queue()
    clients = [FORK.Process(target=_ask_many, args=(catalog, f"p{n}", offered)) for n in range(3)]
    for client in clients:
        client.start()
    given = [offered.get(timeout=60) for _ in ids]
    for client in clients:
        client.join(60)
        assert client.exitcode == 0
    assert sorted(given) == ids
