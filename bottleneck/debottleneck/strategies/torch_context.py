"""Torch's settings of the calling thread, for workers: gradients, autocast, device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from functools import partial
from typing import Any

Carried = Callable[[], AbstractContextManager[None]]

_AUTOCAST_DEVICES = ("cpu", "cuda")


def captured() -> Carried:
    """The calling thread's settings; call what is returned on a worker.

    Covers grad mode, inference mode, autocast, and CUDA's current device and stream.
    Where the script has not imported torch there is nothing to carry.
    """
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch, "is_inference_mode_enabled"):
        return nullcontext
    inference, grad = torch.is_inference_mode_enabled(), torch.is_grad_enabled()
    settings = [
        partial(torch.inference_mode, inference),
        partial(torch.set_grad_enabled, grad),
        *(partial(torch.autocast, **cast) for cast in _autocasts(torch)),
    ]
    if hasattr(torch, "cuda") and torch.cuda.is_initialized():
        settings.append(partial(torch.cuda.stream, torch.cuda.current_stream()))

    @contextmanager
    def entered() -> Iterator[None]:
        with ExitStack() as stack:
            for setting in settings:
                stack.enter_context(setting())
            yield

    return entered


def _autocasts(torch: Any) -> list[dict[str, Any]]:
    if not hasattr(torch, "get_autocast_dtype"):  # before torch 2.4
        return _older_autocasts(torch)
    return [
        {
            "device_type": device,
            "dtype": torch.get_autocast_dtype(device),
            "cache_enabled": torch.is_autocast_cache_enabled(),
        }
        for device in _AUTOCAST_DEVICES
        if torch.is_autocast_enabled(device)
    ]


def _older_autocasts(torch: Any) -> list[dict[str, Any]]:
    casts: list[dict[str, Any]] = []
    if torch.is_autocast_cpu_enabled():
        casts.append({"device_type": "cpu", "dtype": torch.get_autocast_cpu_dtype()})
    if torch.is_autocast_enabled():
        casts.append({"device_type": "cuda", "dtype": torch.get_autocast_gpu_dtype()})
    return casts
