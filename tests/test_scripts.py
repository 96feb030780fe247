"""The entry points for people, as far as they can be looked at without a new environment."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text(encoding="utf-8")
LOCKED = {m.group(1).lower() for m in re.finditer(r"^([A-Za-z0-9._-]+)==", LOCK, re.MULTILINE)}


def shell(script, *, cwd=None, env=None, timeout=60):
    return subprocess.run(
        ["/bin/bash", "-c", script], cwd=cwd, env=env, capture_output=True, text=True, timeout=timeout
    )


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.mark.parametrize(
    "script", ["scripts/demo", "scripts/fetch-ohif", "scripts/test", "scripts/lock", ".ci/run"]
)
def test_scripts_are_executable_and_parse(script):
    assert os.access(ROOT / script, os.X_OK)
    assert shell(f"bash -n '{ROOT / script}'").returncode == 0


def test_lock_carries_hashes_and_names_no_index():
    assert re.search(r"^\s*--(index|extra-index|find-links)|https?://|file:", LOCK, re.MULTILINE) is None
    blocks = re.split(r"^(?=[A-Za-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(LOCKED)
    assert all("--hash=sha256:" in block for block in blocks)


def test_lock_holds_everything_that_the_project_names():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [*project["dependencies"], *(d for e in project["optional-dependencies"].values() for d in e)]
    named += [line for line in (ROOT / "requirements.in").read_text().splitlines() if line[:1].isalnum()]
    locked = {normal(name) for name in LOCKED}
    for requirement in named:
        assert normal(re.split(r"[<>=!\[ ]", requirement)[0]) in locked


@pytest.fixture
def copy(tmp_path):
    """The project's files that the environment depends on, at a place with a space in its name."""
    folder = tmp_path / "a place"
    (folder / "scripts").mkdir(parents=True)
    for name in ("scripts/_environment.sh", "requirements.lock", "pyproject.toml"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def test_a_missing_python_is_said_in_one_line(copy, tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for tool in ("bash", "dirname", "cat", "mkdir", "flock", "sha256sum", "cut", "df", "awk", "rm", "find"):
        (tools / tool).symlink_to(shutil.which(tool))
    done = shell(
        f"source '{copy}/scripts/_environment.sh'; ensure_environment", env={"PATH": str(tools)}, cwd="/"
    )
    assert done.returncode == 1
    assert "Python 3.11 is required" in done.stderr.splitlines()[-1]
    assert "PYTHON=" in done.stderr


def test_a_complete_environment_is_taken_as_it_is_and_a_changed_lock_is_noticed(copy):
    ready = f"source '{copy}/scripts/_environment.sh'; mkdir -p \"$venv/bin\"; "
    ready += f"ln -sf '{shutil.which('python3')}' \"$venv/bin/python\"; "
    ready += 'environment_stamp >"$venv/.complete"; '
    # No PATH but the system's: nothing is installed, nothing is fetched.
    done = shell(ready + 'ensure_environment; echo "$PATH"', cwd="/", timeout=20)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{copy}/.venv/bin:")
    changed = shell(
        f"source '{copy}/scripts/_environment.sh'; echo '# more' >>\"$root/requirements.lock\"; "
        "environment_is_ready && echo ready || echo stale"
    )
    assert changed.stdout.strip() == "stale"


def test_the_installer_is_taken_from_the_lock_by_hash(copy):
    awk = re.search(r"awk '(/\^\[A-Za-z0-9\]/[^']*)'", (copy / "scripts/_environment.sh").read_text()).group(
        1
    )
    lines = shell(f"awk '{awk}' requirements.lock", cwd=copy).stdout.splitlines()
    assert lines[0].startswith("uv==")
    assert any("--hash=sha256:" in line for line in lines)
    assert sum(line[:1].isalnum() for line in lines) == 1


def test_links_between_documents_lead_somewhere():
    documents = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    for document in documents:
        for link in re.findall(r"\]\(([^)#]+)[^)]*\)", document.read_text(encoding="utf-8")):
            if "://" not in link:
                assert (document.parent / link).exists(), f"{document.name}: {link}"
