"""An exact resume in the middle of an epoch, with the carried state."""

from functools import partial

import pytest
import torch
from sequence_stubs import NETWORKS, B, Kill, Killed, OrderedWindows, fit, model, tokens

from comparisons import assert_same
from genlab.schedules import Cosine, Plateau

SETTINGS = {
    **{name: partial(model, name) for name in NETWORKS if name != "learned"},
    "dropout": partial(model, partial(NETWORKS["lstm"].func, "lstm", 8, 2, 0.5)),
    "cosine": partial(model, scheduler=Cosine()),
    "plateau": partial(model, scheduler=Plateau(0.5, 0)),
}


@pytest.mark.parametrize("batches", [3, 9])
@pytest.mark.parametrize("name", SETTINGS)
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, name, batches):
    def go(side, *more, resume=False):
        made, text = SETTINGS[name](), tokens(B * 25)
        loaders = {"train": OrderedWindows(text), "val": OrderedWindows(tokens(B * 9, seed=2))}
        fit(tmp_path / side, made, *more, **loaders, resume=resume, every=1, max_epochs=2)

    go("whole")
    with pytest.raises(Killed):
        go("killed", Kill(batches))
    go("killed", resume=True)
    for file in ("last.ckpt", "best.ckpt"):
        whole, killed = (
            torch.load(tmp_path / side / "checkpoints" / file, weights_only=True)
            for side in ("whole", "killed")
        )
        assert_same(whole, killed)
    assert "carried_states" in whole and whole["carried_states"][0] is not None
    rows = [(tmp_path / side / "metrics.csv").read_bytes() for side in ("whole", "killed")]
    assert rows[0] == rows[1]
