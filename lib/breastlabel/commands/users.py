"""``breastlabel users``: who may log in, where a file of users stands for an identity provider."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from breastlabel.commands.console import note, print_json, print_table
from breastlabel.commands.options import Json, require_extra
from breastlabel.errors import NotFoundError

if TYPE_CHECKING:
    from breastlabel.label.login.users import UserFile

__all__ = ["app"]

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode="rich", help="Who may log in: add users, list them, take them out."
)


class RoleName(StrEnum):
    """What a user may do; each also what those before it may."""

    READER = "reader"
    ANNOTATOR = "annotator"
    ADMIN = "admin"


Name = Annotated[str, typer.Argument(metavar="NAME", help="The user's name.", show_default=False)]
File = Annotated[
    Path,
    typer.Option(
        "--file", metavar="FILE", envvar="BREASTLABEL_LOGIN", help="The file of users.", show_default=False
    ),
]


@app.command()
def add(
    name: Name,
    file: File,
    role: Annotated[RoleName, typer.Option("--role", help="What the user may do.")] = RoleName.READER,
    password_stdin: Annotated[
        bool, typer.Option("--password-stdin", help="Read the password from standard input, for scripts.")
    ] = False,
) -> None:
    """Add a user, or give one another password and role. The server notices without a restart.

    Another password ends the sessions that the earlier one began.

    Readers look; annotators also save readings; admins also train, judge readings and take images out.

    Example: breastlabel users add reader-1 --role annotator --file /etc/breastlabel/users.json
    """
    users = _file(file)
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    user = users.put(name, password, [role.value])
    note(f"{user.name} may log in as {role.value}; start the server with --login {file}")


@app.command("list")
def list_(file: File, as_json: Json = False) -> None:
    """List the users and their roles.

    Example: breastlabel users list --file /etc/breastlabel/users.json
    """
    found = [(user.name, ", ".join(user.roles)) for user in _existing(file).users()]
    if as_json:
        print_json([{"name": name, "roles": roles.split(", ")} for name, roles in found])
    else:
        print_table(("NAME", "ROLE"), found)


@app.command()
def remove(name: Name, file: File) -> None:
    """Take a user out; whoever is logged in by that name is out at once.

    Example: breastlabel users remove reader-1 --file /etc/breastlabel/users.json
    """
    _existing(file).remove(name)
    note(f"{name} may not log in any more")


def _existing(file: Path) -> UserFile:
    users = _file(file)
    if not file.is_file():
        raise NotFoundError(f"a file of users is required; there is none at '{file}'; add a user first")
    return users


def _file(file: Path) -> UserFile:
    require_extra("monailabel", "server", what="the login")
    from breastlabel.label.login.users import UserFile

    return UserFile(file)
