"""Readers who save at once, and readers who hang up."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np

from breastlabel.catalog import Catalog
from breastlabel.imaging import read_mask

from .serving import SHAPE, Server
from .test_reader import as_slicer_saves


def test_readers_who_save_the_same_image_at_once_lose_nothing(server: Server, tmp_path: Path) -> None:
    image = server.download("kind-nrrd")
    info = [{"name": "benign", "idx": 1}]

    def save(reader: int) -> None:
        folder = tmp_path / str(reader)
        folder.mkdir()
        mask = np.zeros(SHAPE, np.uint8)
        # Each reader's mark is one that can be told from the others'.
        mask[10 * reader + 2 : 10 * reader + 8, 20:40] = 1
        label = as_slicer_saves(mask, image, folder)
        server.client(f"reader-{reader}").save_label("kind-nrrd", str(label), params={"label_info": info})

    readers = range(6)
    with ThreadPoolExecutor(len(readers)) as pool:
        list(pool.map(save, readers))
    final = server.studies / "labels" / "final" / "kind-nrrd.nii.gz"
    with Catalog.open(server.studies) as catalog:
        kept = [v for v in catalog.labels.history("kind-nrrd") if v.state == "final"]
        masks = {v.client_id: read_mask(catalog.labels.path(v), shape=SHAPE) for v in kept}
    marks = {client: tuple(np.flatnonzero(mask.any(1))) for client, mask in masks.items()}
    assert marks == {f"reader-{r}": tuple(range(10 * r + 2, 10 * r + 8)) for r in readers}
    assert np.array_equal(read_mask(final), masks[kept[-1].client_id])
    leftovers = [
        p.name for p in (server.studies / "labels" / "final").iterdir() if p.suffix not in (".gz", ".nrrd")
    ]
    assert leftovers == []


def test_a_reader_who_hangs_up_midway_harms_nobody(server: Server) -> None:
    address = urlsplit(server.url)
    body = b"--b\r\nContent-Disposition: form-data; name=params\r\n\r\n{}\r\n--b--\r\n"
    requests = (
        # Half an upload, and an inference whose answer nobody waits for.
        (
            b"PUT /datastore/label?image=kind-grey",
            b"Content-Length: 100000\r\n",
            b"--b\r\nContent-Disposition",
        ),
        (b"POST /infer/ultrasound?image=kind-grey", b"Content-Length: %d\r\n" % len(body), body),
    )
    before = server.request("GET", "/datastore/label/info", params={"label": "kind-grey", "tag": "final"})
    for line, length, content in requests:
        with socket.create_connection((address.hostname or "", address.port or 0), timeout=10) as connection:
            head = line + b" HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            connection.sendall(head + length + b"\r\n" + content)
    after = server.request("GET", "/datastore/label/info", params={"label": "kind-grey", "tag": "final"})
    assert (after.status_code, after.text) == (before.status_code, before.text)
    _, params = server.client().infer("ultrasound", "kind-grey", {"result_extension": ".nrrd"})
    assert params["label_names"] == {"benign": 1, "malignant": 2}
