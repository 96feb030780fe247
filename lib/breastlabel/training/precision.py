"""Which arithmetic is fast on this machine."""

from __future__ import annotations

import functools
from typing import Literal

import torch

__all__ = ["Precision", "autocast", "best_device", "has_fast_bf16"]

Precision = Literal["auto", "bf16", "fp32"]
"""bfloat16 autocast, 32 bits throughout, or bfloat16 where the processor is fast at it."""


def best_device(name: str | None = None) -> torch.device:
    """The named device, or CUDA where there is one, else the CPU."""
    return torch.device(name or ("cuda" if torch.cuda.is_available() else "cpu"))


@functools.cache
def has_fast_bf16(device_type: str) -> bool:
    """Whether bfloat16 matrix work is done in hardware (CUDA since Ampere; x86 with AMX or AVX512-BF16)."""
    if device_type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    try:
        capabilities = torch.backends.cpu.get_cpu_capability()
        flags = set()
        with open("/proc/cpuinfo", encoding="ascii", errors="ignore") as lines:
            flags = next((set(line.split()) for line in lines if line.startswith("flags")), set())
    except OSError:
        return False
    return "AVX512" in capabilities and bool({"amx_bf16", "avx512_bf16"} & flags)


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """The autocast context of a precision setting on a device."""
    enabled = precision == "bf16" or (precision == "auto" and has_fast_bf16(device.type))
    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=enabled)
