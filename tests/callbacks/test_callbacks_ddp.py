"""Two processes under gloo: own noise, common averages, a common stop, an exact resume."""

import json
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from comparisons import assert_same

pytestmark = pytest.mark.slow

SCRIPT = """
    import json, logging, os, signal, sys, warnings
    warnings.simplefilter("ignore")
    sys.path.insert(0, {here!r})
    from pathlib import Path
    import torch
    from pytorch_lightning import Callback
    from callback_stubs import TinyLoader, TinyModel, all_callbacks, quiet_trainer, run
    import callback_stubs

    folder, resume, stop_at, victim = Path(sys.argv[1]), sys.argv[2] == "resume", int(sys.argv[3]), int(sys.argv[4])
    rank = int(os.environ.get("LOCAL_RANK", "0"))

    class Model(TinyModel):
        def training_step(self, batch, batch_idx):
            out = super().training_step(batch, batch_idx)
            noise = torch.rand(())
            self.noise = [*getattr(self, "noise", []), noise.item()]
            return {{**out, "rank": torch.tensor(float(rank)), "noise": noise}}

    class Stop(Callback):
        def on_train_batch_start(self, trainer, *args):
            if rank == victim and trainer.fit_loop.total_batch_idx + 1 == stop_at:
                os.kill(os.getpid(), signal.SIGTERM)

    model = Model()
    trainer = quiet_trainer(
        folder, [*all_callbacks(every_n_steps=2), Stop()], devices=2, strategy="ddp", use_distributed_sampler=False
    )
    try:
        run(trainer, model, resume=resume)
    finally:
        metrics = {{name: float(value) for name, value in trainer.callback_metrics.items()}}
        report = {{"noise": model.noise, "metrics": metrics, "step": trainer.global_step}}
        (folder / f"rank{{rank}}.json").write_text(json.dumps(report))
"""


def launch(
    folder: Path, *, resume: bool = False, stop_at: int = -1, victim: int = 0
) -> tuple[int, list[dict[str, Any]]]:
    folder.mkdir(exist_ok=True)
    script = folder.parent / "two_ranks.py"
    script.write_text(textwrap.dedent(SCRIPT).format(here=str(Path(__file__).parent)))
    command = [
        sys.executable,
        str(script),
        str(folder),
        "resume" if resume else "fresh",
        str(stop_at),
        str(victim),
    ]
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode in (0, 128 + signal.SIGTERM), done.stderr[-3000:]
    return done.returncode, [json.loads((folder / f"rank{rank}.json").read_text()) for rank in (0, 1)]


@pytest.mark.parametrize("victim", [0, 1])
def test_two_ranks_stop_together_and_resume_exactly(victim: int, tmp_path: Path) -> None:
    code, whole = launch(tmp_path / "whole")
    assert code == 0
    assert whole[0]["noise"] != whole[1]["noise"]
    assert whole[0]["metrics"] == whole[1]["metrics"]
    assert whole[0]["metrics"]["train/rank"] == 0.5  # mean over both

    code, halves = launch(tmp_path / "part", stop_at=11, victim=victim)
    assert code == 128 + signal.SIGTERM
    assert [half["step"] for half in halves] == [11, 11]

    code, rest = launch(tmp_path / "part", resume=True)
    assert code == 0
    for rank in (0, 1):
        assert halves[rank]["noise"] + rest[rank]["noise"] == whole[rank]["noise"]
    last = "checkpoints/last.ckpt"
    assert_same(torch.load(tmp_path / "whole" / last), torch.load(tmp_path / "part" / last))
    assert (tmp_path / "whole" / "metrics.csv").read_bytes() == (
        tmp_path / "part" / "metrics.csv"
    ).read_bytes()


WATCHED = """
    import json, os, sys, warnings
    warnings.simplefilter("ignore")
    sys.path.insert(0, {here!r})
    from pathlib import Path
    import torch
    from callback_stubs import quiet_trainer, run
    from genlab.callbacks.checkpoints import Checkpoints
    from genlab.callbacks.divergence import Diverged
    from genlab.callbacks.watchdog import Watchdog
    from tiny_gan import TinyGAN, nan_loss

    folder, on_nan = Path(sys.argv[1]), sys.argv[2]
    rank = int(os.environ.get("LOCAL_RANK", "0"))
    # one rank sees the trouble; the fakes of one are all alike, on average they are not
    model = TinyGAN({{5: nan_loss}} if rank == 1 else {{}}, diversity=0.0 if rank == 1 else 0.2, real_wins=1.0)
    watchdog = Watchdog(on_nan=on_nan, every_n_steps=2, window=3)
    trainer = quiet_trainer(
        folder, [watchdog, Checkpoints(monitor=None)], devices=2, max_epochs=1, logger=False,
        strategy="ddp_find_unused_parameters_true", use_distributed_sampler=False,
    )
    code = None
    try:
        run(trainer, model)
    except Diverged as end:
        code = [end.exit_code, str(end).partition(";")[0]]
    weights = sum(float(p.double().abs().sum()) for p in model.parameters())
    told = [line[:60] for line in watchdog.warnings]
    (folder / f"rank{{rank}}.json").write_text(json.dumps([code, watchdog.rollbacks, told, weights]))
    if torch.distributed.is_initialized():  # left to the exit, its threads abort the process at times
        torch.distributed.destroy_process_group()
"""


@pytest.mark.parametrize("on_nan", ["stop", "rollback"])
def test_two_ranks_see_the_same_trouble_and_do_the_same(on_nan: str, tmp_path: Path) -> None:
    script = tmp_path / "watched.py"
    script.write_text(textwrap.dedent(WATCHED).format(here=str(Path(__file__).parent)))
    environment = {k: v for k, v in os.environ.items() if k not in ("LOCAL_RANK", "WORLD_SIZE", "NODE_RANK")}
    command = [sys.executable, str(script), str(tmp_path), on_nan]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    ranks = [json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in (0, 1)]
    what = "d_loss is nan at epoch 1, step 5"
    pinned = "epoch 1, step 4: the discriminator wins almost always: real_"
    if on_nan == "stop":
        assert [rank[0] for rank in ranks] == [
            [3, f"training diverged: {what}"],
            [0, f"training diverged: {what}"],
        ]
        assert ranks[0][1:3] == ranks[1][1:3] == [0, [pinned]]
    else:
        back = f"epoch 1, step 6: {what}: back to the weights of step 2"[:60]
        assert ranks[0] == ranks[1] and ranks[0][:3] == [None, 1, [pinned, back]]
