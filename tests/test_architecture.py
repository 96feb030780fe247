"""Imports point one way, and the core runs where only the core is installed."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import breastlabel

PACKAGE = Path(breastlabel.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# A part may import from its own level (where the words below allow it) and from those further down.
LEVELS = [
    {"label", "web", "cli", "commands", "doctor"},
    {"jobs", "training", "inference", "findings", "catalog", "activelearning", "evaluation", "datasets"},
    {"networks", "transforms", "imaging"},
    {"errors", "champions"},
]
LEVEL_OF = {part: level for level, parts in enumerate(LEVELS) for part in parts}
OPTIONAL = ["monai", "monailabel", "sqlalchemy", "alembic", "SimpleITK", "nibabel", "mlflow", "timm", "typer"]


def part_of(file):
    relative = file.relative_to(PACKAGE)
    return relative.parts[0] if len(relative.parts) > 1 else relative.stem


def imported(file):
    """Absolute names of every module that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("file", FILES, ids=lambda f: str(f.relative_to(PACKAGE)))
def test_imports_point_one_way(file):
    part = part_of(file)
    if part == "__init__":
        return
    assert part in LEVEL_OF, f"say at which level {part} stands"
    for name in imported(file):
        parts = name.split(".")
        if parts[0] == "breastlabel" and len(parts) > 1 and parts[1] in LEVEL_OF:
            assert LEVEL_OF[parts[1]] >= LEVEL_OF[part], f"{file.name} of {part} imports {name}"


def test_the_networks_know_nothing_of_what_uses_them():
    for file in FILES:
        if part_of(file) in ("networks", "transforms"):
            own = {n.split(".")[1] for n in imported(file) if n.startswith("breastlabel.")}
            assert own <= {"networks", "transforms", "imaging", "errors"}, file


def test_only_label_imports_monailabel():
    users = {part_of(file) for file in FILES if any(n.split(".")[0] == "monailabel" for n in imported(file))}
    assert users == {"label"}


def test_nothing_is_unpickled_and_no_name_is_evaluated():
    for file in FILES:
        tree = ast.parse(file.read_text(encoding="utf-8"))
        assert not {"pickle", "dill", "joblib", "shelve"} & {n.split(".")[0] for n in imported(file)}, file
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            called = ast.unparse(node.func)
            assert called not in ("eval", "exec", "torch.load"), f"{file}: {called}"
            # numpy unpickles only when it is asked to.
            asked = [k.value for k in node.keywords if k.arg == "allow_pickle"]
            assert all(isinstance(v, ast.Constant) and v.value is False for v in asked), f"{file}: {called}"


def test_the_core_imports_where_only_the_core_is_installed():
    """A training machine may have torch, numpy, cv2, scipy, skimage and safetensors, and no more."""
    program = (
        "import sys\n"
        "class Absent:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        f"        if name.split('.')[0] in {OPTIONAL}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Absent())\n"
        "import breastlabel.training, breastlabel.networks, breastlabel.transforms, breastlabel.inference\n"
        "import breastlabel.training.worker\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_the_app_folder_holds_one_import():
    app = PACKAGE.parents[1] / "apps" / "breast" / "main.py"
    body = ast.parse(app.read_text(encoding="utf-8")).body
    assert sum(isinstance(node, ast.ImportFrom | ast.Import) for node in body) == 1
    assert not any(isinstance(node, ast.ClassDef | ast.FunctionDef) for node in body)
