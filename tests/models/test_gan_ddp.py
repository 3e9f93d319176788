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
    from gan_stubs import gan
    from genlab.contracts import ImageBatch
    from genlab.networks.conditioning import Auxiliary, Concat, Projection
    from genlab.objectives.adversarial import Hinge, Relativistic
    from genlab.objectives.penalties import R1, R1R2

    out, processes = sys.argv[1], int(sys.argv[2])
    rank, together, steps = int(os.environ.get("LOCAL_RANK", "0")), 8, 6
    mine = together // processes
    part = slice(rank * mine, (rank + 1) * mine)
    SETTINGS = {{
        "critic steps": dict(critic_steps=2),
        "relativistic": dict(loss=Relativistic(), penalty=R1R2(0.5)),
        "lazy and clipped": dict(loss=Hinge(), penalty=R1(1.0, interval=2), gradient_clip=0.5),
        "accumulated": dict(accumulate=2),
        "concat": dict(conditioning=partial(Concat, 4)),
        "projection": dict(conditioning=partial(Projection, 4)),
        "auxiliary": dict(conditioning=partial(Auxiliary, 4), critic_steps=2),
    }}
    trained = {{}}
    for name, settings in SETTINGS.items():
        stream = torch.Generator().manual_seed(4)
        images = torch.rand(steps, together, 1, SIDE, SIDE, generator=stream) * 2 - 1
        latents = iter(torch.randn(2 * steps, together, 2, generator=stream))
        batches = [ImageBatch(image[part], torch.arange(together)[part] % 3) for image in images]
        sgd = partial(torch.optim.SGD, lr=0.1)
        model = gan(generator_optimizer=sgd, discriminator_optimizer=sgd, **settings)
        model.noise = lambda n: next(latents)[part]
        strategy = "ddp_find_unused_parameters_true" if processes > 1 else "auto"
        trainer = quiet_trainer(out, [], devices=processes, strategy=strategy, max_epochs=1,
                                limit_val_batches=0, use_distributed_sampler=False, logger=False)
        trainer.fit(model, torch.utils.data.DataLoader(batches, batch_size=None))
        trained[name] = model.state_dict()
    if rank == 0:
        torch.save(trained, os.path.join(out, f"{{processes}}.pt"))
    if processes > 1:  # left to the exit, its threads abort the process at times
        torch.distributed.destroy_process_group()
"""


def test_two_processes_take_the_steps_of_one_on_the_joined_batch(tmp_path: Path) -> None:
    one, two = trained(SCRIPT, tmp_path)
    assert len(one) == 7
    torch.testing.assert_close(two, one, rtol=1e-5, atol=1e-6)
