"""Equality to the last bit, of whatever is nested."""

from typing import Any

import torch
from torch import Tensor


def assert_same(one: Any, two: Any, path: str = "") -> None:
    """Bit-equality of nested dicts, lists and tensors."""
    if isinstance(one, dict):
        assert list(one) == list(two), f"{path}: {list(one)} against {list(two)}"
        for key in one:
            assert_same(one[key], two[key], f"{path}.{key}")
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(two), path
        for index, (a, b) in enumerate(zip(one, two, strict=True)):
            assert_same(a, b, f"{path}[{index}]")
    elif isinstance(one, Tensor):
        assert torch.equal(one, two), path
    else:
        assert one == two, f"{path}: {one} against {two}"
