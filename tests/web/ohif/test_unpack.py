"""OHIF's archive: checked, unpacked whole, and moved to our path."""

import base64
import gzip
import hashlib
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from breastlabel.web.ohif.release import INTEGRITY, VERSION, viewer_folder
from breastlabel.web.ohif.unpack import ArchiveError, main, public_path, unpack

ROOT = Path(__file__).parents[3]
PAGE = (
    b'<html><head><link rel="manifest" href="/manifest.json"><meta content="/assets/tile.png">'
    b'<script rel="preload" as="script" type="module" src="/init-service-worker.js"></script>'
    b'<script>window.PUBLIC_URL="/"</script><script defer src="/app.bundle.1a.js"></script></head></html>'
)
FILES = {
    "package/package.json": b"{}",
    "package/dist/index.html": PAGE,
    "package/dist/app.bundle.1a.js": b'__webpack_require__.p = "/";\nconst root = "/";\n' + b"//\n" * 2000,
    "package/dist/app.bundle.css": b"@font-face{src:url(/a.woff2)} a{background:url(data:x)}",
    "package/dist/sw.js": b"importScripts('elsewhere')",
    "package/dist/ort/ort.js": b"model runtime",
    "package/dist/assets/tile.png": b"png",
}


def archive(folder: Path, files: dict[str, bytes] = FILES) -> tuple[Path, str]:
    path = folder / "ohif.tgz"
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    digest = base64.b64encode(hashlib.sha512(path.read_bytes()).digest()).decode()
    return path, f"sha512-{digest}"


def test_the_viewer_is_unpacked_for_our_path(tmp_path):
    path, integrity = archive(tmp_path)
    folder = unpack(path, tmp_path / "cache", integrity=integrity)
    assert folder == viewer_folder(tmp_path / "cache")
    page = (folder / "index.html").read_text()
    assert 'href="/ohif/manifest.json"' in page
    assert 'src="/ohif/app.bundle.1a.js"' in page
    assert 'content="/ohif/assets/tile.png"' in page
    assert 'PUBLIC_URL="/ohif/"' in page
    assert "service-worker" not in page
    script = (folder / "app.bundle.1a.js").read_bytes()
    assert script.startswith(b'__webpack_require__.p = "/ohif/";\nconst root = "/";')
    assert gzip.decompress((folder / "app.bundle.1a.js.gz").read_bytes()) == script
    assert b"url(/ohif/a.woff2)} a{background:url(data:x)" in (folder / "app.bundle.css").read_bytes()
    assert not (folder / "sw.js").exists()
    assert not (folder / "ort").exists()
    assert [p.name for p in folder.parent.iterdir()] == [folder.name]


def test_an_archive_with_another_checksum_is_refused_and_leaves_nothing(tmp_path):
    path, _ = archive(tmp_path)
    with pytest.raises(ArchiveError, match="checksum"):
        unpack(path, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_an_archive_without_a_viewer_is_refused_and_leaves_nothing(tmp_path):
    path, integrity = archive(tmp_path, {"package/README.md": b"#"})
    with pytest.raises(ArchiveError, match=r"index\.html"):
        unpack(path, tmp_path / "cache", integrity=integrity)
    assert list((tmp_path / "cache").iterdir()) == []


def test_names_that_lead_outside_are_left_out(tmp_path):
    files = {**FILES, "package/dist/../../../escaped.js": b"x", "package/dist//etc/escaped.js": b"x"}
    path, integrity = archive(tmp_path, files)
    unpack(path, tmp_path / "cache", integrity=integrity)
    assert list(tmp_path.rglob("escaped.js")) == []


def test_unpacking_again_replaces_what_was_there(tmp_path):
    path, integrity = archive(tmp_path)
    folder = unpack(path, tmp_path / "cache", integrity=integrity)
    (folder / "index.html").unlink()
    assert (unpack(path, tmp_path / "cache", integrity=integrity) / "index.html").is_file()


def test_two_slashes_are_another_host_and_stay(tmp_path):
    assert public_path("a.css", b"url(//x/y)") == b"url(//x/y)"
    assert public_path("index.html", b'<a href="//x/y">') == b'<a href="//x/y">'


def test_the_command_says_what_is_wrong_in_one_line(tmp_path, monkeypatch, capsys):
    path, _ = archive(tmp_path)
    monkeypatch.setattr("sys.argv", ["unpack", str(path), str(tmp_path / "cache")])
    assert main() == 1
    assert capsys.readouterr().err.startswith("breastlabel: @ohif/app ")


def test_the_release_is_pinned_by_a_checksum():
    assert VERSION == "3.13.2"
    assert len(base64.b64decode(INTEGRITY.removeprefix("sha512-"))) == 64


@pytest.mark.skipif(
    not (ROOT / ".venv" / ".complete").is_file(), reason="the project's own environment is not made"
)
def test_the_script_is_quiet_where_the_viewer_lies_and_says_what_is_missing_where_not(tmp_path):
    script = ROOT / "scripts" / "fetch-ohif"
    environment = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "BREASTLABEL_OHIF": str(tmp_path / "cache"),
    }
    viewer = viewer_folder(tmp_path / "cache")
    viewer.mkdir(parents=True)
    (viewer / "index.html").write_text("here")
    done = subprocess.run([script], env=environment, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    (viewer / "index.html").unlink()
    # A registry that nobody answers at: what a machine without network meets.
    environment |= {"npm_config_registry": "http://127.0.0.1:9/", "npm_config_fetch_retries": "0"}
    done = subprocess.run([script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) <= 2
    assert "npm" in done.stderr.splitlines()[-1]
    assert not (viewer / "index.html").exists()
    assert os.access(script, os.X_OK)
