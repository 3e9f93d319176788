"""One step of a VQ-VAE: who learns from what, what is judged, and what is drawn."""

import copy
import itertools
from functools import partial

import pytest
import torch
from gan_stubs import SHAPE
from pytorch_lightning import Callback
from torch.testing import assert_close
from vqvae_stubs import all_grids, fit, trained, vqvae

from genlab.errors import UserError
from genlab.networks.ema_quantizer import EMAQuantizer
from genlab.networks.pixelcnn import GatedPixelCNN
from genlab.objectives.likelihoods import Bernoulli, Gaussian
from genlab.schedules import Linear, Plateau

PARTS = ("encoder", "decoder", "output", "quantizer", "prior")


class Watch(Callback):
    """Keeps what the parts are, and what was told, after each batch."""

    def __init__(self):
        self.states, self.told, self.steps = [], [], []

    def on_train_start(self, trainer, model):
        self.states.append(self.state(model))

    def on_train_batch_end(self, trainer, model, outputs, batch, batch_idx):
        self.states.append(self.state(model))
        self.told.append({name: float(value) for name, value in outputs.items()})
        self.steps.append(trainer.global_step)

    def state(self, model):
        return {name: copy.deepcopy(getattr(model, name).state_dict()) for name in PARTS}

    def moved(self):
        """The parts that each batch has moved."""
        return [
            {
                name
                for name in PARTS
                if any(not torch.equal(before[name][key], after[name][key]) for key in before[name])
            }
            for before, after in itertools.pairwise(self.states)
        ]


def watched(folder, model, **settings):
    watch = Watch()
    return fit(folder, model, watch, **settings), watch


def test_a_step_is_a_batch_and_moves_all_parts(tmp_path):
    trainer, watch = watched(tmp_path, vqvae(), max_steps=10)
    assert watch.steps == list(range(1, 11)) and trainer.global_step == 10
    assert watch.moved() == [set(PARTS)] * 10


def test_the_autoencoders_optimizer_leaves_the_prior_alone(tmp_path):
    _, watch = watched(tmp_path, vqvae(prior_optimizer=partial(torch.optim.SGD, lr=0.0)), max_steps=3)
    assert watch.moved() == [set(PARTS) - {"prior"}] * 3


def test_the_priors_optimizer_leaves_the_autoencoder_alone(tmp_path):
    _, watch = watched(tmp_path, vqvae(optimizer=partial(torch.optim.SGD, lr=0.0)), max_steps=3)
    assert watch.moved() == [{"prior", "quantizer"}] * 3  # the codebook follows by itself


def test_every_parameter_has_one_optimizer(tmp_path):
    model = vqvae(likelihood=Gaussian(0.5, "scalar"))
    trainer = fit(tmp_path, model, max_steps=1)
    owners = [{id(p) for group in o.param_groups for p in group["params"]} for o in trainer.optimizers]
    assert owners[1] == {id(p) for p in model.prior.parameters()}
    assert owners[0] == {id(p) for p in model.parameters()} - owners[1]


def test_a_learned_scale_of_the_likelihood_learns_with_the_autoencoder(tmp_path):
    model = vqvae(likelihood=Gaussian(0.5, "scalar"))
    before = model.likelihood.raw_scale.item()
    fit(tmp_path, model, max_steps=2)
    assert model.likelihood.raw_scale.item() != before


def test_the_objective_is_by_hand_what_it_says(tmp_path):
    model = vqvae(commitment=0.5, likelihood=Bernoulli("threshold"))
    _, watch = watched(tmp_path, model, max_steps=1, limit_val_batches=0)
    told = watch.told[0]
    assert told["objective"] == pytest.approx(told["reconstruction"] + 0.5 * told["commitment"])
    assert told["loss"] == pytest.approx(told["objective"] + told["prior"])
    assert 1 <= told["perplexity"] <= told["used_codes"] <= 3


def test_the_encoder_learns_through_the_codes():
    model = vqvae(commitment=0.0)
    seen = model.see(torch.rand(4, *SHAPE) * 2 - 1)
    (-seen.log_px.mean()).backward()
    assert all(p.grad is not None for p in model.encoder.parameters())
    assert any(p.grad.any() for p in model.encoder.parameters())
    assert all(p.grad is None for p in model.prior.parameters())


def test_what_is_judged_bounds_log_p_of_the_mixture_of_all_grids():
    model = trained(likelihood=Bernoulli("threshold"))
    image = torch.rand(5, *SHAPE) * 2 - 1
    grids = all_grids(model)
    assert len(grids) == 3**4
    with torch.no_grad():
        log_pz = -model.code_nll(grids)  # [81]
        assert_close(log_pz.exp().sum(), torch.tensor(1.0))  # it is a distribution
        target = model.likelihood.target(image)
        params = model.params(model.quantizer.vectors(grids))  # [81, P, C, H, W]
        log_px = torch.stack([model.likelihood.log_prob(params, t.expand(81, -1, -1, -1)) for t in target])
        exact = -(log_px + log_pz).logsumexp(1)  # [5]
        seen = model.see(image)
        bound = -seen.log_px + model.code_nll(seen.codes)
        posterior = (log_px + log_pz).log_softmax(1)  # log p(z|x)
        at = torch.stack([(grids == codes).flatten(1).all(1).nonzero()[0, 0] for codes in seen.codes])
    assert (bound > exact).all()
    assert_close(bound - exact, -posterior.gather(1, at[:, None]).squeeze(1))  # the gap that is documented


def test_val_loss_is_the_sum_of_its_parts_whatever_the_commitment(tmp_path):
    logged = []
    for weight in (0.0, 3.0):
        model = vqvae(commitment=weight, optimizer=partial(torch.optim.SGD, lr=0.0))
        settings = {"max_epochs": 1, "limit_train_batches": 1}
        logged.append(fit(tmp_path / str(weight), model, **settings).callback_metrics)
    for metrics in logged:
        assert_close(metrics["val/loss"], metrics["val/reconstruction"] + metrics["val/prior"])
        assert "val/bits_per_dim" not in metrics
    assert_close(logged[0]["val/loss"], logged[1]["val/loss"])


def test_a_likelihood_of_8_bit_values_has_bits_per_dimension(tmp_path):
    metrics = fit(tmp_path, vqvae(likelihood=Gaussian(0.3, "pixel")), max_epochs=1).callback_metrics
    bits = Gaussian(0.3, "pixel").bits_per_dim(metrics["val/loss"], 16)
    assert bits is not None
    assert_close(metrics["val/bits_per_dim"], bits)


def test_what_is_judged_is_the_mean_over_all_images(tmp_path):
    parts: list[list[float]] = []

    class Judge(Callback):
        def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
            seen = module.see(batch.image)
            rows = torch.stack([-seen.log_px, module.code_nll(seen.codes)], dim=1)
            parts.extend(rows.tolist())

    metrics = fit(tmp_path, vqvae(likelihood=Bernoulli("none")), Judge(), max_epochs=1).callback_metrics
    assert len(parts) == 26
    judged = torch.stack([metrics["val/reconstruction"], metrics["val/prior"]])
    assert_close(judged, torch.tensor(parts).mean(0))


def test_the_codebooks_use_is_that_of_the_whole_split(tmp_path):
    model = vqvae()
    counts = torch.zeros(3)

    class Count(Callback):
        def on_validation_batch_end(self, trainer, module, outputs, batch, batch_idx, dataloader_idx=0):
            counts.add_(torch.bincount(module.encode(batch.image).flatten(), minlength=3))

    model.likelihood = Bernoulli("none")  # what is judged is the image itself
    metrics = fit(tmp_path, model, Count(), max_epochs=1).callback_metrics
    assert counts.sum() == 26 * 4
    share = counts[counts > 0] / counts.sum()
    assert_close(metrics["val/perplexity"], (-(share * share.log()).sum()).exp())
    assert metrics["val/used_codes"] == (counts > 0).sum()


def test_gradients_accumulate_over_batches_and_an_epoch_ends_with_an_update(tmp_path):
    _, watch = watched(tmp_path, vqvae(accumulate=3), max_steps=9)
    no, yes = set(), set(PARTS)
    assert watch.moved() == [no, no, yes, no, no, yes, yes, no, yes]


def test_accumulated_batches_have_the_gradient_of_all_their_images(tmp_path):
    norms = []
    image = torch.rand(6, *SHAPE) * 2 - 1
    for parts in ([6], [4, 2]):
        model = vqvae(likelihood=Bernoulli("none"), accumulate=len(parts)).eval()  # the codebook stands still
        model._gathered = list(image.split(parts))
        model.manual_backward = lambda loss: loss.backward()
        model._step = lambda part: None
        model._update()
        norms.append([p.grad.clone() for p in model.parameters() if p.grad is not None])
    assert_close(norms[0], norms[1])


def test_norms_are_clipped_before_the_step_and_told_as_they_were(tmp_path):
    sgd = partial(torch.optim.SGD, lr=1.0)
    model = vqvae(gradient_clip=1e-3, optimizer=sgd, prior_optimizer=sgd)
    _, watch = watched(tmp_path, model, max_steps=1, limit_val_batches=0)
    before, after = watch.states
    for part in ("encoder", "decoder", "prior"):
        names = [name for name, _ in getattr(model, part).named_parameters()]
        step = torch.cat([(after[part][name] - before[part][name]).flatten() for name in names])
        assert 0 < step.norm().item() <= 1e-3 * 1.001
    assert watch.told[0]["prior_grad_norm"] > 1e-3 and watch.told[0]["autoencoder_grad_norm"] > 1e-3


def test_schedules_step_by_batches_and_a_plateau_by_epochs(tmp_path):
    model = vqvae(scheduler=Linear(), prior_scheduler=Plateau(0.5, 0, min_delta=1e6, min_fraction=0.01))
    trainer = fit(tmp_path, model, max_epochs=3)
    autoencoder, prior = (optimizer.param_groups[0]["lr"] for optimizer in trainer.optimizers)
    assert autoencoder == pytest.approx(0.0, abs=1e-9)
    assert prior == pytest.approx(0.1 / 4)  # the first epoch is the best, the others are none


def test_half_precision_judges_and_follows_in_single(tmp_path):
    model = vqvae()
    trainer = fit(tmp_path, model, max_epochs=1, precision="bf16-mixed")
    assert all(torch.isfinite(p).all() for p in model.state_dict().values())
    assert model.quantizer.embedding.dtype == torch.float32
    assert torch.isfinite(trainer.callback_metrics["val/loss"])


def test_double_precision_goes_the_whole_way(tmp_path):
    model = vqvae()
    fit(tmp_path, model, max_steps=2, precision="64-true")
    assert model.quantizer.embedding.dtype == torch.float64


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"num_codes": 1}, "model.num_codes must be at least 2, got 1"),
        ({"code_dim": 0}, "model.code_dim must be at least 1, got 0"),
        ({"accumulate": 0}, "model.accumulate must be at least 1, got 0"),
        ({"commitment": -1.0}, "model.commitment must be at least 0, got -1.0"),
        ({"gradient_clip": -0.5}, "model.gradient_clip must be at least 0, got -0.5"),
        ({"downsampling": 6}, "model.downsampling must be a power of two from 2 on, got 6"),
    ],
)
def test_numbers_out_of_range_are_told(wrong, sentence):
    with pytest.raises(UserError) as error:
        vqvae(**wrong)
    assert str(error.value) == sentence


def test_the_prior_of_constant_codes_costs_nothing(tmp_path):
    still = partial(EMAQuantizer, revive_after=None)
    quick = partial(torch.optim.Adam, lr=0.05)
    model = vqvae(quantizer=still, prior=partial(GatedPixelCNN, 8, 1), prior_optimizer=quick)
    model.quantizer.idle.zero_()
    model.quantizer.embedding[1:] = 1e3
    model.quantizer.total[1:] = 1e3
    metrics = fit(tmp_path, model, max_epochs=8).callback_metrics
    assert metrics["val/used_codes"] == 1 and metrics["val/perplexity"] == 1
    assert 0 <= metrics["val/prior"] < 0.05
