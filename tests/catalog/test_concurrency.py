"""Everything that a busy site does, at once: nothing waits for each other, and all books agree afterwards."""

import random
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import select

from breastlabel.catalog import ByScore, First, RandomOrder, Revisit
from breastlabel.catalog.tables import images_table, scores_table

IDS = [f"i{n:02}" for n in range(12)]


def work(catalog, seed):
    """One client's morning, in an order of its own."""
    rng = random.Random(seed)
    client = f"client {seed}"
    orders = (First(), RandomOrder(), ByScore("bald", "us", "1"), Revisit("us", "1"))
    for _ in range(8):
        image_id = rng.choice(IDS)
        act = rng.randrange(8)
        if act == 0:
            catalog.scores.write("bald", "us", "1", {i: rng.random() for i in rng.sample(IDS, 8)})
        elif act == 1:
            catalog.scores.write("revisit", "us", "1", {i: rng.random() for i in rng.sample(IDS, 8)})
        elif act == 2:
            catalog.scores.clear("bald", "us")
        elif act == 3:
            catalog.labels.remove(image_id, "final")
        elif act == 4:
            changes = {i: {"excluded": rng.choice([None, "unreadable"])} for i in rng.sample(IDS, 4)}
            catalog.update_images(changes)
        else:
            lease = catalog.leases.acquire(client, rng.choice(orders), strategy="any", author=client)
            tag = rng.choice(["final", "draft", "original"])
            catalog.labels.save(
                lease.image_id if lease else image_id, b"%d" % seed, tag=tag, client_id=client
            )


def test_clients_that_do_everything_at_once(catalog, add):
    add(IDS)
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda seed: work(catalog, seed), range(12)))
    records = {r.image_id: r for r in catalog.images()}
    final = catalog.labels.current_many()
    waiting = {i for i, r in records.items() if not r.reviewed and r.excluded is None}
    assert {i for i, r in records.items() if r.reviewed} == set(final)
    counts = catalog.counts()
    assert (counts.total, counts.waiting) == (len(IDS), len(waiting))
    current = {tag: catalog.labels.ids(tag) for tag in ("final", "draft", "original")}
    assert counts.labelled == {tag: len(ids) for tag, ids in current.items() if ids}
    with catalog.database.read() as connection:
        scored = connection.execute(select(scores_table.c.image_id, scores_table.c.waiting)).all()
        labelled = set(
            connection.scalars(select(images_table.c.image_id).where(images_table.c.labelled_at.is_not(None)))
        )
    assert all(row.waiting == (row.image_id in waiting) for row in scored)
    assert labelled == set(final)
    for image_id in IDS:
        history = catalog.labels.history(image_id)
        assert [v.version for v in history] == list(range(1, len(history) + 1))
    assert sum(s.n_saved for s in catalog.sessions.list()) == sum(len(catalog.labels.history(i)) for i in IDS)
