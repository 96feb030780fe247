"""Unpack OHIF's built viewer for our server: ``python -m breastlabel.web.ohif.unpack ARCHIVE [FOLDER]``.

The package is built for a server's root. Its public path stands as a plain string in a few known places:
``index.html``, the style sheets' ``url(/...)``, the module loader's ``__webpack_require__.p = "/"`` in the
main bundle and in each worker. They are rewritten once, here, rather than on every answer.
"""

from __future__ import annotations

import argparse
import base64
import gzip
import hashlib
import os
import re
import shutil
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from breastlabel.errors import BreastLabelError, InvalidImageError
from breastlabel.web.ohif.release import INTEGRITY, PACKAGE, PUBLIC_PATH, VERSION, cache_folder, viewer_folder

__all__ = ["ArchiveError", "public_path", "unpack"]

_INSIDE = "package/dist/"
#: Neither is used here: a service worker that loads code from elsewhere, a viewer of histology, and a runtime
#: for models in the browser, whose weights would be fetched from a hub.
_LEFT_OUT = ("sw.js", "init-service-worker.js", "_headers", "_redirects", "dicom-microscopy-viewer/", "ort/")
_COMPRESSED = {".js", ".css", ".html", ".json", ".wasm", ".svg"}
#: Well above the 200 MB of the release: an archive that unpacks to more is not it.
_LARGEST = 1 << 30
_LOADER = re.compile(rb'(__webpack_require__\.p = )"/"')
_STYLE = re.compile(rb"url\(/(?!/)")
_PAGE = re.compile(rb'((?:href|src|content)=|PUBLIC_URL=)"/(?!/)')
_WORKER = re.compile(rb'<script[^>]*init-service-worker\.js"></script>')


class ArchiveError(InvalidImageError):
    """The archive is not the release that is wanted."""


def public_path(name: str, content: bytes) -> bytes:
    """A file of the viewer, with ``/ohif/`` in the place of the server's root."""
    path = PUBLIC_PATH.encode()
    if name == "index.html":
        return _PAGE.sub(rb'\1"' + path, _WORKER.sub(b"", content))
    if name.endswith(".css"):
        return _STYLE.sub(b"url(" + path, content)
    if name.endswith(".js"):
        return _LOADER.sub(rb'\1"' + path + b'"', content)
    if name == "manifest.json":
        return content.replace(b'"src": "/', b'"src": "' + path)
    return content


def unpack(archive: Path, cache: Path | None = None, *, integrity: str = INTEGRITY) -> Path:
    """Check and unpack the package's archive, whole or not at all.

    Args:
        archive: the ``.tgz`` as the package's registry gives it out.
        cache: where the release's folder is made; the folder of ``BREASTLABEL_OHIF`` by default.
        integrity: the archive's SHA-512 as ``sha512-BASE64``.

    Returns:
        The folder with ``index.html``.

    Raises:
        ArchiveError: the checksum differs, or the content is not that of a built viewer.
    """
    digest = hashlib.sha512(archive.read_bytes()).digest()
    came = "sha512-" + base64.b64encode(digest).decode()
    if came != integrity:
        raise ArchiveError(
            f"{PACKAGE} {VERSION} with the checksum {integrity[:20]}... is required; {came[:20]}... came; "
            "fetch it again, from a registry that serves the package unchanged"
        )
    target = viewer_folder(cache or cache_folder())
    target.parent.mkdir(parents=True, exist_ok=True)
    staging = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=target.parent))
    try:
        for name, content in _files(archive):
            _write(staging / name, public_path(name, content))
        if not (staging / "index.html").is_file():
            raise ArchiveError("a built viewer with an index.html is required; the archive holds none")
        staging.chmod(0o755)
        if target.exists():  # another run was faster, or a layout is made anew
            shutil.rmtree(target)
        os.replace(staging, target)
    finally:
        shutil.rmtree(staging, ignore_errors=True)
    return target


def _files(archive: Path) -> Iterator[tuple[str, bytes]]:
    """Name within the viewer and content of each file that is wanted."""
    total = 0
    with tarfile.open(archive, "r:gz") as tar:
        for member in tar:
            name = member.name.removeprefix(_INSIDE)
            if not member.isfile() or name == member.name or name.startswith(_LEFT_OUT):
                continue
            if name.endswith(".map") or ".." in PurePosixPath(name).parts or name.startswith("/"):
                continue
            total += member.size
            if total > _LARGEST:
                raise ArchiveError(f"at most {_LARGEST >> 20} MB are expected; the archive unpacks to more")
            content = tar.extractfile(member)
            assert content is not None  # a file, as asked above
            yield name, content.read()


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    if path.suffix in _COMPRESSED and len(content) > 4096:
        packed = gzip.compress(content, 6, mtime=0)
        path.with_name(path.name + ".gz").write_bytes(packed)


def main() -> int:
    """The command line that ``scripts/fetch-ohif`` uses."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archive", type=Path)
    parser.add_argument("folder", type=Path, nargs="?", help="default: BREASTLABEL_OHIF, or .ohif here")
    asked = parser.parse_args()
    try:
        print(unpack(asked.archive, asked.folder))
    except (BreastLabelError, OSError, tarfile.TarError) as error:
        print(f"breastlabel: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
