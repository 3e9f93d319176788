"""How much memory a computation takes at its peak: counted from the tensors that it makes."""

import weakref
from collections.abc import Callable
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveBytes(TorchDispatchMode):
    """Counts the bytes of tensors that were made inside its block and are still there.

    Those that were there before count, too, once something in the block gives them back or changes them.
    What an operation needs inside of itself is not seen.

    Attributes:
        live: bytes now.
        peak: the most there were.
    """

    def __init__(self) -> None:
        super().__init__()
        self.live = self.peak = 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(result):
            if isinstance(leaf, Tensor):
                self._note(leaf)
        return result

    def _note(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        address, size = storage.data_ptr(), storage.nbytes()
        if address in self._known:
            return
        self._known.add(address)
        self.live += size
        self.peak = max(self.peak, self.live)
        weakref.finalize(storage, self._forget, address, size)

    def _forget(self, address: int, size: int) -> None:
        self._known.discard(address)
        self.live -= size


def bytes_per_row(compute: Callable[[int], Any], rows: int = 8) -> int:
    """What each further row adds to the peak of `compute(rows)`, in bytes, at least 1."""
    peaks = []
    for count in (rows, 2 * rows):
        with LiveBytes() as counted:
            compute(count)
        peaks.append(counted.peak)
    return max(1, (peaks[1] - peaks[0]) // rows)
