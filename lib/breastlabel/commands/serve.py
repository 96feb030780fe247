"""``breastlabel serve``: MONAI Label's server with defaults that fit."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from breastlabel.commands.console import note
from breastlabel.commands.options import require_extra, require_studies
from breastlabel.errors import BreastLabelError, NotFoundError

__all__ = ["serve", "server_command"]

_MAIN = """from breastlabel.label.app import BreastLabelApp

__all__ = ["BreastLabelApp"]
"""


def serve(
    studies: Annotated[
        str,
        typer.Option(
            "--studies",
            metavar="DIR|URL",
            help="Folder of images to read, or the DICOMweb address of a PACS.",
            show_default=False,
        ),
    ],
    app: Annotated[
        Path | None,
        typer.Option(
            "--app", metavar="DIR", help="App folder; the project's own by default.", show_default=False
        ),
    ] = None,
    port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Port to listen on.")] = 8000,
    host: Annotated[
        str, typer.Option("--host", help="Address to listen on; the default is this machine alone.")
    ] = "127.0.0.1",
    models: Annotated[
        str | None,
        typer.Option(
            "--models", metavar="NAME,...", help="Which models to serve; all by default.", show_default=False
        ),
    ] = None,
    login: Annotated[
        str | None,
        typer.Option(
            "--login",
            metavar="FILE|URL",
            envvar="BREASTLABEL_LOGIN",
            help="Ask who calls: a file made by 'breastlabel users', or an OpenID provider's address.",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Start the server that 3D Slicer talks to. Ctrl-C stops it.

    The same as [bold]monailabel start_server --app apps/breast --studies DIR[/bold], but for this machine
    alone. How to log in to a PACS is said by environment variables; see docs/how-to/pacs.md.

    Examples: breastlabel serve --studies ~/studies --port 8001;
    breastlabel serve --studies https://pacs.example.org/dicom-web
    """
    require_extra("monailabel", "server", what="the server")
    if not (is_url := studies.lower().startswith(("http://", "https://"))):
        require_studies(Path(studies))
    if app is not None and not (app / "main.py").is_file():
        raise NotFoundError(
            f"--app must be a folder with main.py; got '{app}'; leave it out for the project's own"
        )
    _require_free_port(host, port)
    if host not in ("127.0.0.1", "localhost", "::1") and not login:
        note("other machines are answered only with BREASTLABEL_ALLOW_REMOTE=1; without a login (--login)")
    if is_url:
        # What the server would say too, after many seconds and among other lines.
        from breastlabel.web.pacs.settings import pacs_settings, require_another_server

        require_another_server(pacs_settings(studies), port)
    command = server_command(studies, app=app or app_folder(), host=host, port=port, models=models)
    # The server takes this process over, so that signals and the exit code are its own. Programs that come
    # with packages (dcmqi) must be found even where the environment was not activated.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    sys.stdout.flush()
    settings = {"PATH": path, **({"BREASTLABEL_LOGIN": _absolute(login)} if login else {})}
    os.execve(command[0], command, {**os.environ, **settings})


def server_command(
    studies: str | Path, *, app: Path, host: str, port: int, models: str | None = None
) -> list[str]:
    """The stock server's command line."""
    url = str(studies).lower().startswith(("http://", "https://"))
    where = str(studies) if url else str(Path(studies).absolute())
    command = [sys.executable, "-m", "monailabel.main", "start_server"]
    command += ["--app", str(app), "--studies", where, "--host", host, "--port", str(port)]
    return [*command, "--conf", "models", models] if models else command


def _absolute(login: str) -> str:
    return login if login.startswith(("http://", "https://")) else str(Path(login).expanduser().absolute())


def app_folder() -> Path:
    """``apps/breast`` of a checkout, else one made in the user's cache folder.

    MONAI Label wants a folder with ``main.py`` and makes others inside it, so it cannot be the package's.
    """
    checkout = Path(__file__).resolve().parents[3] / "apps" / "breast"
    if (checkout / "main.py").is_file():
        return checkout
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    made = cache / "breastlabel" / "apps" / "breast"
    made.mkdir(parents=True, exist_ok=True)
    (made / "main.py").write_text(_MAIN, encoding="utf-8")
    return made


def _require_free_port(host: str, port: int) -> None:
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except socket.gaierror as error:
        raise BreastLabelError(
            f"--host must be an address of this machine; got '{host}'; use 127.0.0.1"
        ) from error
    except OSError as error:
        raise BreastLabelError(
            f"a free port is required; {host}:{port} cannot be used ({error.strerror}); "
            "choose another with --port N"
        ) from error
