"""What a run changes in its process beside its own objects, put back when it ends."""

import gc
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def isolated() -> Iterator[None]:
    """Gives the process back as it was.

    That is: default dtype, determinism, threads, precision of matrix products, random states, gradient mode,
    environment, compile cache, memory.
    """
    dtype, threads = torch.get_default_dtype(), torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    cudnn = torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark
    products = torch.get_float32_matmul_precision()
    states = random.getstate(), np.random.get_state(), torch.get_rng_state()
    grad = torch.is_grad_enabled()
    anomalies = torch.is_anomaly_enabled()
    environment = dict(os.environ)
    try:
        yield
    finally:
        torch.set_default_dtype(dtype)
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark = cudnn
        torch.set_float32_matmul_precision(products)
        random.setstate(states[0])
        np.random.set_state(states[1])
        torch.set_rng_state(states[2])
        torch.set_grad_enabled(grad)
        torch.autograd.set_detect_anomaly(anomalies)
        os.environ.clear()
        os.environ.update(environment)
        torch._dynamo.reset()  # from the ninth architecture on it would silently run without compiling
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
