"""What a run changes in its process is put back; in a sweep within one process a job is as it is alone."""

import json
import os
import random

import numpy as np
import pytest
import torch

from genlab.sweeps.isolation import isolated


def read() -> dict[str, object]:
    return {
        "dtype": torch.get_default_dtype(),
        "threads": torch.get_num_threads(),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "warn_only": torch.is_deterministic_algorithms_warn_only_enabled(),
        "cudnn.deterministic": torch.backends.cudnn.deterministic,
        "cudnn.benchmark": torch.backends.cudnn.benchmark,
        "products": torch.get_float32_matmul_precision(),
        "grad": torch.is_grad_enabled(),
        "anomalies": torch.is_anomaly_enabled(),
        "environment": dict(os.environ),
        "random": random.getstate(),
        "numpy": np.random.get_state()[1].tolist(),
        "torch": torch.get_rng_state().tolist(),
    }


def disturb() -> None:
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(torch.get_num_threads() + 1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.deterministic = not torch.backends.cudnn.deterministic
    torch.backends.cudnn.benchmark = not torch.backends.cudnn.benchmark
    torch.set_float32_matmul_precision("medium")
    torch.set_grad_enabled(False)
    torch.autograd.set_detect_anomaly(True)
    os.environ["PL_GLOBAL_SEED"] = "3"
    os.environ.pop("OMP_NUM_THREADS", None)
    random.random(), np.random.rand(), torch.rand(1)


def test_whatever_a_run_changes_is_put_back():
    before = read()
    with isolated():
        disturb()
        inside = read()
    after = read()
    assert {name for name in before if before[name] != inside[name]} == set(before)
    assert {name for name in before if before[name] != after[name]} == set()


def test_it_is_put_back_after_a_failure_too():
    before = read()
    with pytest.raises(ValueError, match="the job's"), isolated():
        disturb()
        raise ValueError("the job's")
    assert read() == before


def test_the_compile_cache_is_emptied(monkeypatch):
    emptied = []
    monkeypatch.setattr(torch._dynamo, "reset", lambda: emptied.append(True))
    with isolated():
        assert not emptied
    assert emptied


def test_a_job_is_the_same_after_another_one_as_alone(command, tmp_path):
    fast = ("debug=fast", "trainer=cpu", "model/network=mlp", "model.latent_dim=3", "logger=csv")
    assert command("train", *fast, "hydra.run.dir=alone")[0] == 0
    strange = ("hydra/launcher=basic", "hydra.sweep.dir=sweep")
    code, _, err = command(
        "train", "-m", *fast, *strange, "trainer.deterministic=true", "trainer.precision=64-true,32-true"
    )
    assert (code, err) == (0, "")
    (first,) = tmp_path.glob("sweep/*64-true")
    (second,) = tmp_path.glob("sweep/*32-true")
    alone = (tmp_path / "alone" / "metrics.csv").read_bytes()
    assert (second / "metrics.csv").read_bytes() == alone
    assert (first / "metrics.csv").read_bytes() != alone
    assert json.loads((second / "result.json").read_text())["precision"] == "32-true"
    assert torch.get_default_dtype() == torch.float32 and not torch.are_deterministic_algorithms_enabled()
