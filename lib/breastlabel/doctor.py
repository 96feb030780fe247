"""What is installed and what works on this machine, as a list of checks."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import breastlabel

__all__ = ["Check", "examine"]

# Packages by the extra that brings them; None is the core, which must be complete.
_PACKAGES: dict[str | None, tuple[str, ...]] = {
    None: (
        "numpy", "torch", "safetensors", "scipy", "scikit-image", "scikit-learn", "opencv-python-headless",
        "pillow", "SimpleITK", "nibabel", "pydicom", "imagehash", "SQLAlchemy", "alembic", "typer", "rich",
        "matplotlib", "jinja2",
    ),
    "server": ("monailabel", "monai", "dcmqi", "highdicom", "dicomweb-client"),
    "timm": ("timm",),
    "mlflow": ("mlflow",),
    "peer": ("segmentation-models-pytorch",),
}  # fmt: skip
_LOW_GIB = 5


@dataclass(frozen=True)
class Check:
    """One thing that was looked at.

    Attributes:
        name: what.
        ok: True works, False is needed and does not, None is optional and absent, or merely a fact.
        found: what is there.
        remedy: what to do where it is missing; empty otherwise.
    """

    name: str
    ok: bool | None
    found: str
    remedy: str = ""


def examine() -> list[Check]:
    """Look at everything; nothing is changed and nothing is fetched."""
    checks = [_python(), Check("breastlabel", True, breastlabel.__version__)]
    checks += [_packages(extra, names) for extra, names in _PACKAGES.items()]
    for look in (_torch, _processor, _gpu, _monailabel, _dcmqi, _champions, _disk):
        checks.append(_guarded(look))
    return checks


def _guarded(look: Callable[[], Check]) -> Check:
    """A broken installation is what a doctor is for, so a check that breaks is a finding."""
    try:
        return look()
    except Exception as error:
        name = look.__name__.strip("_")
        return Check(
            name, False, f"{type(error).__name__}: {error}", "reinstall the environment: scripts/test"
        )


def _python() -> Check:
    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}"
    supported = platform.python_version_tuple()[:2] == ("3", "11")
    return Check("python", supported, found, "" if supported else "use Python 3.11")


def _packages(extra: str | None, names: tuple[str, ...]) -> Check:
    found, missing = [], []
    for name in names:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    title = "packages" if extra is None else f"extra {extra}"
    if not missing:
        return Check(title, True, ", ".join(found))
    remedy = "pip install breastlabel" if extra is None else f"pip install 'breastlabel[{extra}]'"
    return Check(title, False if extra is None else None, f"missing: {', '.join(missing)}", remedy)


def _torch() -> Check:
    import torch

    total = float((torch.ones(2, 2) @ torch.ones(2, 2)).sum())
    return Check("torch", total == 8.0, f"{torch.__version__}, {torch.get_num_threads()} threads")


def _processor() -> Check:
    """bf16 in hardware makes training on the processor much faster."""
    flags = _cpu_flags()
    fast = [name for name in ("amx_bf16", "avx512_bf16") if name in flags]
    return Check("processor", None, f"{os.cpu_count()} cores, bf16: {', '.join(fast) or 'not in hardware'}")


def _gpu() -> Check:
    import torch

    if not torch.cuda.is_available():
        return Check("gpu", None, "none that torch can use; the processor is used")
    names = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    return Check("gpu", True, f"{', '.join(names)} (CUDA {torch.version.cuda})")


def _monailabel() -> Check:
    # In a process of its own: its import configures logging and takes seconds.
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import monailabel.app, monailabel; print(monailabel.__version__)"],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Check("monailabel", False, "its import did not end within 120 s", "reinstall: scripts/test")
    if done.returncode == 0:
        return Check("monailabel", True, f"{done.stdout.split()[-1]}, importable")
    reason = (done.stderr.strip().splitlines() or ["unknown reason"])[-1]
    if "No module named 'monailabel'" in reason:
        return Check("monailabel", None, "not installed; no server here", "pip install 'breastlabel[server]'")
    return Check("monailabel", False, reason, "install the versions of requirements.lock: scripts/test")


def _dcmqi() -> Check:
    beside = shutil.which("itkimage2segimage", path=str(Path(sys.executable).parent))
    found = shutil.which("itkimage2segimage") or beside
    if found is None:
        return Check("dcmqi", None, "itkimage2segimage is not on PATH", "pip install 'breastlabel[server]'")
    return Check("dcmqi", True, found)


def _champions() -> Check:
    from breastlabel.training.registry import ModelRegistry

    registry = ModelRegistry(None)
    shipped = [f"{model} {registry.champion_version(model)}" for model in registry.models()]
    if shipped:
        return Check("shipped champions", True, ", ".join(shipped))
    return Check("shipped champions", False, "none", "reinstall breastlabel; the checkpoints belong to it")


def _disk() -> Check:
    free = shutil.disk_usage(Path.cwd()).free / 2**30
    remedy = "" if free >= _LOW_GIB else f"free some: under {_LOW_GIB} GiB training may fail"
    return Check("disk", free >= 1, f"{free:.0f} GiB free in the current folder", remedy)


def _cpu_flags() -> set[str]:
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return set()
    line = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return set(line.partition(":")[2].split())
