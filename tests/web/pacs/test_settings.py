"""Which PACS, and how to reach it."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from breastlabel.errors import StudiesError
from breastlabel.web.pacs.settings import mirror_folder, pacs_settings, require_another_server

URL = "https://pacs.example.org/dicom-web"


def settings(**environment: str):
    return pacs_settings(URL, {f"BREASTLABEL_PACS_{name}": value for name, value in environment.items()})


def test_one_pacs_has_one_spelling_and_one_folder(tmp_path: Path) -> None:
    spellings = (URL, f" {URL}/ ", "HTTPS://PACS.example.org:443/dicom-web")
    assert {pacs_settings(url, {}).url for url in spellings} == {URL}
    assert {mirror_folder(pacs_settings(url, {}), {"XDG_DATA_HOME": str(tmp_path)}) for url in spellings} == {
        tmp_path / "breastlabel" / "pacs" / pacs_settings(URL, {}).key
    }
    other = pacs_settings("https://pacs.example.org/other", {})
    assert other.key != pacs_settings(URL, {}).key
    assert "example" not in other.key
    assert mirror_folder(other, {"BREASTLABEL_HOME": str(tmp_path)}) == tmp_path


@pytest.mark.parametrize(
    "url",
    [
        "https://",
        "https://:80/x",
        "ftp://pacs/dicom-web",
        "https://pacs:port/dicom-web",
        "https://[::1/dicom-web",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(StudiesError, match="the DICOMweb address of a PACS is required"):
        pacs_settings(url, {})


@pytest.mark.parametrize("url", ["https://alice:kept-secret@pacs/x", "https://pacs/x?token=kept-secret"])
def test_an_address_carries_no_secret(url: str) -> None:
    with pytest.raises(StudiesError, match="set BREASTLABEL_PACS_USERNAME") as error:
        pacs_settings(url, {})
    assert "kept-secret" not in str(error.value)


def test_secrets_come_from_the_environment_or_from_files_and_are_not_shown(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("kept-secret\n")
    for given in (
        settings(USERNAME="alice", PASSWORD="kept-secret"),
        settings(USERNAME="alice", PASSWORD_FILE=str(file)),
        pacs_settings(
            URL, {"MONAI_LABEL_DICOMWEB_USERNAME": "alice", "MONAI_LABEL_DICOMWEB_PASSWORD": "kept-secret"}
        ),
    ):
        assert (given.username, given.password) == ("alice", "kept-secret")
        assert "kept-secret" not in repr(given)
        assert "alice" not in repr(given)
    assert settings(TOKEN="kept-secret").bearer() == "kept-secret"
    assert "kept-secret" not in repr(settings(TOKEN="kept-secret"))


def test_a_token_that_was_renewed_in_its_file_is_the_next_one_sent(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first")
    given = settings(TOKEN_FILE=str(file))
    assert given.bearer() == "first"
    file.write_text("second\n")
    assert given.bearer() == "second"
    file.unlink()
    with pytest.raises(StudiesError, match="TOKEN_FILE must name a readable text file"):
        given.bearer()


@pytest.mark.parametrize(
    ("environment", "reason"),
    [
        ({"USERNAME": "alice"}, "a user name and a password are required together"),
        ({"PASSWORD": "kept-secret"}, "a user name and a password are required together"),
        (
            {"USERNAME": "a", "PASSWORD": "kept-secret", "TOKEN": "kept-secret"},
            "one way of authentication is",
        ),
        ({"CA": "/nowhere/ca.pem"}, "BREASTLABEL_PACS_CA must name an existing file"),
        ({"INTERVAL": "0"}, "BREASTLABEL_PACS_INTERVAL must be a number from 0.2"),
        ({"INTERVAL": "nan"}, "BREASTLABEL_PACS_INTERVAL must be a number"),
        ({"DAYS": "some"}, "BREASTLABEL_PACS_DAYS must be a number"),
        ({"MODALITIES": "MG;US"}, "BREASTLABEL_PACS_MODALITIES must be DICOM modalities"),
        ({"FILTER": "a b=c"}, "BREASTLABEL_PACS_FILTER must be matching keys"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(environment: dict[str, str], reason: str) -> None:
    with pytest.raises(StudiesError, match=reason) as error:
        settings(**environment)
    assert "kept-secret" not in str(error.value)
    assert "\n" not in str(error.value)


def test_settings_are_read_as_numbers_names_and_keys() -> None:
    given = settings(
        MODALITIES=" mg,us ,MG",
        DAYS="30",
        INTERVAL="5",
        FILTER="StudyDescription=*mamm*&00080080=Ward",
        MOST_MB="10",
    )
    assert given.modalities == ("MG", "US")
    assert (given.days, given.interval, given.most_bytes) == (30, 5.0, 10_000_000)
    assert given.filters == {"StudyDescription": "*mamm*", "00080080": "Ward"}
    assert settings().modalities == ("MG", "US")
    assert settings().days is None


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "127.3.2.1", "[::1]", "0.0.0.0", socket.gethostname()]
)
def test_the_server_itself_is_no_pacs(host: str) -> None:
    with pytest.raises(StudiesError, match="got that of this server itself"):
        require_another_server(pacs_settings(f"http://{host}:8000/dicom-web", {}), 8000)
    require_another_server(pacs_settings(f"http://{host}:8042/dicom-web", {}), 8000)


def test_a_password_over_http_is_sent_openly_but_on_this_machine() -> None:
    login = {"BREASTLABEL_PACS_TOKEN": "kept-secret"}
    assert pacs_settings("http://192.0.2.1/dicom-web", login).sends_secrets_openly
    assert not pacs_settings("https://192.0.2.1/dicom-web", login).sends_secrets_openly
    assert not pacs_settings("http://127.0.0.1/dicom-web", login).sends_secrets_openly
    assert not pacs_settings("http://192.0.2.1/dicom-web", {}).sends_secrets_openly


def test_another_machine_may_have_the_same_port() -> None:
    # A documentation address (RFC 5737), which no machine has.
    require_another_server(pacs_settings("http://192.0.2.1:8000/dicom-web", {}), 8000)
