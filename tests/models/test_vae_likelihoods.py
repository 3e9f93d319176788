"""`model/likelihood=x` alone suits every network, on gray and on colour."""

from pathlib import Path

import pytest
import torch

from genlab.config import build, compose, plain
from genlab.contracts import ImageBatch

CONF = Path(__file__).parents[2] / "conf" / "model"
LIKELIHOODS = sorted(file.stem for file in (CONF / "likelihood").glob("*.yaml"))
NETWORKS = sorted(file.stem.removeprefix("vae_") for file in (CONF / "pair").glob("vae_*.yaml"))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("network", NETWORKS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_every_likelihood_trains_every_network(likelihood, network, channels):
    torch.manual_seed(0)
    shape = ["data=digits", "data.image_size=8", f"data.channels={channels}"]
    cfg = compose([*shape, f"model/likelihood={likelihood}", f"model/network={network}"])
    model = build(plain(cfg)["model"], path="model")
    image = (torch.randint(0, 256, (6, channels, 8, 8)) / 127.5 - 1).float()
    model.start_from(image.mean(0))
    loss = model.training_step(ImageBatch(image, torch.zeros(6).long()), 0)["loss"]
    loss.backward()
    assert loss.isfinite()
    gradients = {name: parameter.grad for name, parameter in model.named_parameters()}
    assert all(g is not None and g.isfinite().all() for g in gradients.values())
    assert gradients["output.bias"].abs().max() > 0
    model.eval()
    assert model.log_prob(image, samples=2).isfinite().all()
    for picture in (model.sample(2, seed=0), model.reconstruct(image[:2])):
        assert picture.shape == (2, channels, 8, 8) and picture.abs().max() <= 1


@pytest.mark.parametrize("model", ["vae", "cvae"])
def test_weights_in_half_precision_train_as_trainer_precision_bf16_true_wants(model):
    shape = ["data=digits", "data.image_size=8", "data.channels=1", "model/network=mlp"]
    built = build(plain(compose([f"model={model}", *shape]))["model"], path="model").to(torch.bfloat16)
    batch = ImageBatch(torch.rand(6, 1, 8, 8).to(torch.bfloat16), torch.arange(6))
    loss = built.training_step(batch, 0)["loss"]
    loss.backward()
    assert loss.dtype == torch.float32 and loss.isfinite()
    assert built.output.bias.grad.dtype == torch.bfloat16
