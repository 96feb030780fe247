from __future__ import annotations

import json
from pathlib import Path

import jwt
import pytest

from breastlabel.cli import main
from breastlabel.errors import BreastLabelError, NotFoundError, UnknownNameError
from breastlabel.label.login.attempts import Attempts
from breastlabel.label.login.roles import Role, platform_roles, roles_named
from breastlabel.label.login.service import Login
from breastlabel.label.login.sessions import Sessions, signing_key
from breastlabel.label.login.users import User, UserFile


@pytest.fixture
def users(tmp_path: Path) -> UserFile:
    file = UserFile(tmp_path / "site" / "users.json")
    file.put("ada", "correct horse", ["annotator"])
    return file


def test_a_user_comes_in_with_the_right_password_only(users: UserFile) -> None:
    assert users.check("ada", "correct horse") == User("ada", (Role.ANNOTATOR,))
    assert users.check("ada", "correct hors") is None
    assert users.check("ada", "") is None
    assert users.check("ada", "x" * 10_000) is None
    assert users.check("bob", "correct horse") is None


def test_the_file_holds_no_password_and_is_its_owners_alone(users: UserFile) -> None:
    assert "correct horse" not in users.path.read_text()
    assert users.path.stat().st_mode & 0o077 == 0
    entry = json.loads(users.path.read_text())["users"]["ada"]
    users.put("eve", "correct horse", ["reader"])
    other = json.loads(users.path.read_text())["users"]["eve"]
    assert entry["password"] != other["password"], "the same salt was taken twice"


def test_a_change_by_another_process_is_noticed(users: UserFile) -> None:
    other = UserFile(users.path)
    other.put("ada", "battery staple", ["admin"])
    assert users.check("ada", "correct horse") is None
    assert users.check("ada", "battery staple") == User("ada", (Role.ADMIN,))
    other.remove("ada")
    assert users.role_of("ada") is None


@pytest.mark.parametrize(
    ("name", "password", "roles", "reason"),
    [
        ("", "correct horse", ["reader"], "name must be a short word"),
        ("a:b", "correct horse", ["reader"], "name must be a short word"),
        ("ada\n", "correct horse", ["reader"], "name must be a short word"),
        ("ada", "short", ["reader"], "8 to 256 characters"),
        ("ada", "correct horse", [], "a role is required"),
    ],
)
def test_what_cannot_be_a_user_is_refused(
    users: UserFile, name: str, password: str, roles: list[str], reason: str
) -> None:
    with pytest.raises(BreastLabelError, match=reason):
        users.put(name, password, roles)
    assert users.check("ada", "correct horse")


def test_an_unknown_role_lists_the_known_ones(users: UserFile) -> None:
    with pytest.raises(UnknownNameError, match="admin, annotator, reader"):
        users.put("bob", "correct horse", ["surgeon"])


@pytest.mark.parametrize("content", ["", "[]", '{"users": {"a": {"roles": ["x"], "password": "y"}}}'])
def test_a_damaged_file_lets_nobody_in_and_says_so(tmp_path: Path, content: str) -> None:
    path = tmp_path / "users.json"
    path.write_text(content)
    with pytest.raises(BreastLabelError):
        UserFile(path).users()


def test_roles_include_those_below_them() -> None:
    reader, annotator, admin = (set(platform_roles([role])) for role in Role)
    assert reader < annotator < admin
    assert admin == {
        "monailabel-user",
        "monailabel-annotator",
        "monailabel-reviewer",
        "monailabel-admin",
    }


def test_a_providers_other_roles_are_passed_over() -> None:
    assert roles_named(["offline_access", "monailabel-user", "annotator"]) == [Role.READER, Role.ANNOTATOR]


def test_a_token_is_good_for_its_server_until_its_end() -> None:
    sessions, user = Sessions(b"k" * 32, hours=1), User("ada", (Role.READER,))
    token = sessions.token(user)
    assert sessions.user(token) == user
    assert Sessions(b"l" * 32).user(token) is None
    assert sessions.user(token[:-2] + ("AA" if not token.endswith("AA") else "BB")) is None
    assert sessions.user("") is None
    assert Sessions(b"k" * 32, hours=-1).user(Sessions(b"k" * 32, hours=-1).token(user)) is None


def test_a_session_ends_with_the_password_that_began_it(users: UserFile) -> None:
    """On every server of the site: two that share the key and the file."""
    here, there = (Login(Sessions(b"k" * 32), users=UserFile(users.path)) for _ in range(2))
    began = here.by_password("ada", "correct horse", host="")
    assert began is not None
    token = here.sessions.token(began)
    assert here.by_basic("ada", "correct horse", host="") == began
    users.put("ada", "correct horse", ["reader"])
    assert here.by_token(token) == there.by_token(token) == User("ada", (Role.READER,))
    users.put("ada", "battery staple", ["reader"])
    assert here.by_token(token) is there.by_token(token) is None
    assert here.by_basic("ada", "correct horse", host="") is None
    users.put("ada", "correct horse", ["annotator"])
    assert here.by_token(token) is None, "a password that came back brings no session back"
    assert here.by_basic("ada", "correct horse", host="") == began


def test_a_session_of_before_there_were_marks_is_over(users: UserFile) -> None:
    login = Login(Sessions(b"k" * 32), users=users)
    assert login.by_token(login.sessions.token(User("ada", (Role.ANNOTATOR,)))) is None


def test_a_session_tells_nothing_of_the_password(users: UserFile) -> None:
    user = users.role_of("ada")
    assert user is not None
    token = Sessions(b"k" * 32).token(user)
    claims = jwt.decode(token, options={"verify_signature": False})
    stored = json.loads(users.path.read_text())["users"]["ada"]["password"]
    assert not any(part in json.dumps(claims) for part in stored.split("$")[1:])
    assert user.password_mark not in repr(user)


def test_the_key_is_made_once_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "site" / "login.key"
    key = signing_key(path)
    assert len(key) == 32
    assert signing_key(path) == key
    assert path.stat().st_mode & 0o077 == 0
    assert [p.name for p in path.parent.iterdir()] == ["login.key"]


def test_guessing_is_held_up_and_then_looked_at_again() -> None:
    attempts = Attempts(most=3, seconds=0.2)
    for _ in range(3):
        assert attempts.wait("name ada") == 0
        attempts.failed("name ada", "host 10.0.0.1")
    assert 0 < attempts.wait("name ada") <= 0.2
    assert attempts.wait("name bob", "host 10.0.0.1") > 0
    assert attempts.wait("name bob", "host 10.0.0.2") == 0
    attempts.succeeded("name ada")
    assert attempts.wait("name ada") == 0


def test_users_are_managed_from_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import io

    file = str(tmp_path / "users.json")
    monkeypatch.setattr("sys.stdin", io.StringIO("correct horse\n"))
    assert main(["users", "add", "ada", "--role", "admin", "--password-stdin", "--file", file]) == 0
    assert UserFile(Path(file)).check("ada", "correct horse") == User("ada", (Role.ADMIN,))
    capsys.readouterr()
    assert main(["users", "list", "--file", file, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == [{"name": "ada", "roles": ["admin"]}]
    assert main(["users", "remove", "ada", "--file", file]) == 0
    assert main(["users", "remove", "ada", "--file", file]) == 1
    assert "is none; list them first" in capsys.readouterr().err


def test_taking_out_a_stranger_is_refused(users: UserFile) -> None:
    with pytest.raises(NotFoundError, match="a user of the file is required"):
        users.remove("bob")
