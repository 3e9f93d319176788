"""Two processes learn what one process learns from both their batches."""

from pathlib import Path

import pytest
import torch
from joined_batches import trained

pytestmark = pytest.mark.slow

SCRIPT = """
    import os, sys, warnings
    warnings.simplefilter("ignore")
    sys.path[:0] = {paths!r}
    from functools import partial
    import torch
    from callback_stubs import SIDE, quiet_trainer
    from vqvae_stubs import vqvae
    from genlab.contracts import ImageBatch
    from genlab.networks.ema_quantizer import EMAQuantizer
    from genlab.objectives.likelihoods import Bernoulli

    out, processes = sys.argv[1], int(sys.argv[2])
    rank, together, steps = int(os.environ.get("LOCAL_RANK", "0")), 8, 6
    mine = together // processes
    part = slice(rank * mine, (rank + 1) * mine)
    SETTINGS = {{"plain": {{}}, "clipped": dict(gradient_clip=0.5), "accumulated": dict(accumulate=2)}}
    trained = {{}}
    for name, settings in SETTINGS.items():
        stream = torch.Generator().manual_seed(4)
        images = torch.rand(steps, together, 1, SIDE, SIDE, generator=stream) * 2 - 1
        batches = [ImageBatch(image[part], torch.zeros(mine).long()) for image in images]
        sgd = partial(torch.optim.SGD, lr=0.05)
        model = vqvae(optimizer=sgd, prior_optimizer=sgd, likelihood=Bernoulli("none"),
                      quantizer=partial(EMAQuantizer, revive_after=None), **settings)
        model.quantizer.idle.zero_()
        strategy = "ddp_find_unused_parameters_true" if processes > 1 else "auto"
        trainer = quiet_trainer(out, [], devices=processes, strategy=strategy, max_epochs=1,
                                use_distributed_sampler=False, logger=False)
        loader = torch.utils.data.DataLoader(batches, batch_size=None)
        trainer.fit(model, loader, loader)
        judged = {{k: v for k, v in trainer.callback_metrics.items()}}
        trained[name] = model.state_dict() | judged
    if rank == 0:
        torch.save(trained, os.path.join(out, f"{{processes}}.pt"))
    if processes > 1:  # left to the exit, its threads abort the process at times
        torch.distributed.destroy_process_group()
"""


def test_two_processes_take_the_steps_of_one_on_the_joined_batch(tmp_path: Path) -> None:
    one, two = trained(SCRIPT, tmp_path)
    assert len(one) == 3 and {"val/loss", "val/perplexity", "quantizer.embedding"} <= one["plain"].keys()
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)
