"""Requests to a PACS: credentials, certificates, redirects, answers without end, servers that page badly."""

from __future__ import annotations

import asyncio
import datetime
import json
import ssl
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from fastapi import HTTPException

from breastlabel.errors import StudiesError
from breastlabel.label.logs import configure_logging
from breastlabel.web.pacs.addresses import resource_of
from breastlabel.web.pacs.client import PacsClient, Place
from breastlabel.web.pacs.errors import PacsAwayError, PacsError, PacsObjectError, PacsRefusalError
from breastlabel.web.pacs.settings import PacsSettings
from breastlabel.web.pacs.upstream import Upstream, tls_context

from .web_server import Answer, Fake


def client_of(fake: Fake, **environment: str) -> PacsClient:
    return PacsClient(fake.settings(**environment), name="here")


PLACE = Place("1.1", "1.2", "1.3")


@pytest.fixture(autouse=True)
def _quiet() -> None:
    configure_logging()


@pytest.fixture
def fake() -> Iterator[Fake]:
    server = Fake()
    yield server
    server.close()


def test_a_token_goes_with_each_request_and_the_host_has_its_port(fake: Fake) -> None:
    assert client_of(fake, TOKEN="kept-secret").series("1.1") == []
    ((path, headers),) = fake.requests
    assert path.startswith("/dicom-web/studies/1.1/series?")
    assert headers["authorization"] == "Bearer kept-secret"
    assert headers["host"] == f"localhost:{fake.server.server_port}"
    assert headers["x-breastlabel-mirror"] == "here"


@pytest.mark.parametrize(
    ("status", "kind", "reason"),
    [
        (401, PacsRefusalError, "credentials that the PACS accepts are required"),
        (403, PacsRefusalError, "credentials that the PACS accepts are required"),
        (404, PacsObjectError, "it said 404"),
        (500, PacsObjectError, "it said 500"),
        (502, PacsAwayError, "busy or down"),
        (503, PacsAwayError, "busy or down"),
        (508, PacsRefusalError, "got that of this server itself"),
    ],
)
def test_a_status_says_who_must_act(fake: Fake, status: int, kind: type[Exception], reason: str) -> None:
    fake.answer = lambda path: (status, {}, b"a text with Doe^Jane")
    with pytest.raises(kind, match=reason) as error:
        client_of(fake, USERNAME="alice", PASSWORD="kept-secret").studies({"PatientName": "Doe^Jane"})
    for hidden in ("Doe", "kept-secret", "localhost", "\n"):
        assert hidden not in str(error.value)
    assert len(fake.requests) == (3 if status == 503 else 1)


def test_a_redirect_is_not_followed(fake: Fake) -> None:
    fake.answer = lambda path: (302, {"Location": "http://127.0.0.1:1/elsewhere"}, b"")
    with pytest.raises(PacsRefusalError, match="leads elsewhere"):
        client_of(fake, TOKEN="kept-secret").retrieve(PLACE)
    assert len(fake.requests) == 1


def test_what_is_no_dicomweb_is_said_without_quoting_it(fake: Fake) -> None:
    fake.answer = lambda path: (200, {"Content-Type": "text/html"}, b"<h1>Doe^Jane</h1>")
    with pytest.raises(PacsError, match="answers of DICOMweb are required") as error:
        client_of(fake).studies({})
    assert "Doe" not in str(error.value)


@pytest.mark.parametrize("announced", [True, False])
def test_an_answer_without_end_is_cut_off(fake: Fake, announced: bool) -> None:
    body = b"x" * 3_000_000
    headers = {} if announced else {"Content-Length": "", "Connection": "close"}
    fake.answer = lambda path: (200, {"Content-Type": "application/dicom", **headers}, body)
    with pytest.raises(PacsObjectError, match="an answer of at most 1 MB is required"):
        client_of(fake, MOST_MB="1").retrieve(PLACE)
    assert client_of(fake, MOST_MB="4").retrieve(PLACE) == body


def test_an_object_comes_byte_for_byte_out_of_a_multipart_message(fake: Fake) -> None:
    content = bytes(range(256)) * 10
    kind = 'multipart/related; type="application/dicom"; boundary=b0undary'
    message = b"--b0undary\r\nContent-Type: application/dicom\r\n\r\n" + content + b"\r\n--b0undary--"
    fake.answer = lambda path: (200, {"Content-Type": kind}, message)
    assert client_of(fake).retrieve(PLACE) == content
    assert "transfer-syntax=*" in fake.requests[0][1]["accept"]
    for place in (Place("1.1", "1.2", "../x"), Place("1.1", "", "1.3"), Place("1", "2", "1" * 65)):
        with pytest.raises(PacsObjectError, match="UIDs of a study"):
            client_of(fake).retrieve(place)


def test_a_pacs_that_is_not_there_is_away(fake: Fake) -> None:
    fake.close()
    with pytest.raises(
        PacsAwayError, match=r"a PACS that answers is required; it does not \(ConnectionError\)"
    ):
        client_of(fake).studies({})


ALL = [f"1.{number}" for number in range(1, 451)]


def _pages_well(limit: int | None, offset: int) -> list[str]:
    return ALL[offset:][: limit or len(ALL)]


def _caps_at_a_hundred(limit: int | None, offset: int) -> list[str]:
    return ALL[offset:][: min(limit or 100, 100)]


def _knows_no_paging(limit: int | None, offset: int) -> list[str]:
    return ALL


def _as_orthanc(limit: int | None, offset: int) -> list[str]:
    """Takes the limit off first, then the offset; without a limit it gives everything."""
    return ALL if limit is None else ALL[:limit][offset:]


def _ignores_the_offset(limit: int | None, offset: int) -> list[str]:
    return ALL[: limit or len(ALL)]


@pytest.mark.parametrize(
    "pages", [_pages_well, _caps_at_a_hundred, _knows_no_paging, _as_orthanc, _ignores_the_offset]
)
def test_all_studies_are_found_however_a_server_pages(
    fake: Fake, pages: Callable[[int | None, int], list[str]]
) -> None:
    def answer(path: str) -> Answer:
        query = parse_qs(urlsplit(path).query)
        limit = int(query["limit"][0]) if "limit" in query else None
        uids = pages(limit, int(query.get("offset", ["0"])[0]))
        found = [
            {
                "0020000D": {"vr": "UI", "Value": [uid]},
                "00201206": {"vr": "IS", "Value": [1]},
                "00201208": {"vr": "IS", "Value": ["4"]},
            }
            for uid in uids
        ]
        return 200, {"Content-Type": "application/dicom+json"}, json.dumps(found).encode()

    fake.answer = answer
    studies = client_of(fake).studies({"ModalitiesInStudy": "MG"})
    assert sorted(found.uid for found in studies) == sorted(ALL)
    assert {(found.series, found.instances) for found in studies} == {(1, 4)}
    assert len(fake.requests) <= 7


def test_what_is_no_uid_is_passed_over(fake: Fake) -> None:
    found = [{"0020000E": {"Value": [uid]}} for uid in ("../x", "1.2", 7, None, "1" * 65)] + ["x", {}]
    fake.answer = lambda path: (200, {"Content-Type": "application/dicom+json"}, json.dumps(found).encode())
    assert [entry.uid for entry in client_of(fake).series("1.1")] == ["1.2"]


class Authority:
    """Certificates of a hospital's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "a hospital")])
        self.file = folder / "ca.pem"
        self.file.write_bytes(_pem(self._signed(self._name, self._key, is_authority=True)))

    def issue(self, name: str) -> tuple[Path, Path]:
        """Certificate and key for a host or a program."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        certificate, private = self.folder / f"{name}.pem", self.folder / f"{name}.key"
        certificate.write_bytes(_pem(self._signed(subject, key, is_authority=False)))
        private.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        return certificate, private

    def _signed(self, subject: x509.Name, key: Any, *, is_authority: bool) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        )
        return builder.sign(self._key, hashes.SHA256())


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[tuple[Fake, Authority]]:
    """A server with a certificate of a hospital's own, which asks its clients for one as well."""
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server"))
    context.load_verify_locations(authority.file)
    context.verify_mode = ssl.CERT_REQUIRED
    server = Fake(context)
    yield server, authority
    server.close()


def test_a_client_certificate_and_an_authority_of_ones_own_open_the_pacs(guarded) -> None:
    server, authority = guarded
    certificate, key = authority.issue("client")
    client = client_of(server, CA=str(authority.file), CLIENT_CERT=str(certificate), CLIENT_KEY=str(key))
    assert client.studies({}) == []


def test_viewers_reach_such_a_pacs_through_the_server_as_well(guarded) -> None:
    server, authority = guarded
    certificate, key = authority.issue("client")
    settings = server.settings(CA=str(authority.file), CLIENT_CERT=str(certificate), CLIENT_KEY=str(key))

    async def ask(settings: PacsSettings) -> int:
        upstream, resource = Upstream(settings, name="here"), resource_of("studies")
        assert resource is not None
        answer = await upstream.send("GET", resource, headers={})
        await answer.aclose()
        return answer.status_code

    assert asyncio.run(ask(settings)) == 200
    with pytest.raises(HTTPException, match="the PACS cannot be reached"):
        asyncio.run(ask(server.settings()))
    with pytest.raises(StudiesError, match="certificates in PEM files are required"):
        tls_context(server.settings(CLIENT_CERT=str(key)))


def test_a_certificate_that_nobody_vouches_for_is_refused(guarded) -> None:
    server, _ = guarded
    with pytest.raises(PacsRefusalError, match=r"certificate can be verified .*certificate verify failed"):
        client_of(server).studies({})
    assert server.requests == []


def test_a_pacs_that_asks_for_a_certificate_says_so(guarded) -> None:
    server, authority = guarded
    # The handshake's end and the answer's beginning are one, so it may look like a lost connection.
    with pytest.raises((PacsRefusalError, PacsAwayError)):
        client_of(server, CA=str(authority.file)).studies({})
    assert server.requests == []
