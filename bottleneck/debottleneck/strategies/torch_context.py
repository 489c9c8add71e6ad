"""Torch's settings of the calling thread, for workers: gradients, autocast, device."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
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
    grad = torch.is_grad_enabled()
    inference = torch.is_inference_mode_enabled()
    casts = _autocasts(torch)
    stream = _stream(torch)

    @contextmanager
    def entered() -> Iterator[None]:
        with ExitStack() as stack:
            stack.enter_context(torch.inference_mode(inference))
            stack.enter_context(torch.set_grad_enabled(grad))
            for cast in casts:
                stack.enter_context(torch.autocast(**cast))
            if stream is not None:
                stack.enter_context(torch.cuda.stream(stream))
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


def _stream(torch: Any) -> Any:
    cuda = getattr(torch, "cuda", None)
    if cuda is None or not cuda.is_initialized():
        return None
    return cuda.current_stream()
