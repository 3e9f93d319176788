"""The family of sequences with latents: how it trains, what it logs, what it refuses."""

import math
from functools import partial

import pytest
import torch
from latent_sequence_stubs import LATENTS, SERIES, B, L, T, excited, model, series, windows
from sequence_stubs import Batches, Kill, Killed, OrderedWindows, batch, fit, judged, tokens

from comparisons import assert_same
from genlab import kl_schedules
from genlab.errors import UserError
from genlab.models.one_latent import OneLatent
from genlab.networks.recurrent import Recurrent
from genlab.networks.transformer import Transformer
from genlab.objectives.bounds import ELBO
from genlab.objectives.capacity import Capacity
from genlab.objectives.importance import IWAE
from genlab.objectives.learned_priors import Vamp
from genlab.objectives.outputs import Bernoulli, Gaussian
from genlab.objectives.priors import Learned, Mixture, Standard
from genlab.schedules import Cosine, Plateau


@pytest.mark.parametrize("latents", LATENTS)
def test_an_epochs_numbers_are_means_over_sequences_and_over_targets(latents):
    made = model(latents, characters_per_token=2.0).eval()
    one, two = windows(), windows(rows=3, seed=2)
    weight = torch.ones(3, T)
    weight[0, 2:] = 0
    weight[1] = 0  # a row that only fills the batch
    two = two._replace(weight=weight)
    torch.manual_seed(7)
    with torch.no_grad():
        terms = [made.terms(part) for part in (one, two)]
    told = -terms[0].log_px.sum() - terms[1].log_px[0, [0, 2]].sum()
    kl = terms[0].kl.sum() + terms[1].kl[[0, 2]].sum()
    rows, targets = B + 2, B * T + 2 + T
    torch.manual_seed(7)
    values = judged(made, [one, two])
    per_step = float(told + kl) / targets
    assert values == pytest.approx(
        {
            "val/loss": float(told + kl) / rows,
            "val/reconstruction": float(told) / rows,
            "val/kl": float(kl) / rows,
            "val/loss_per_step": per_step,
            "val/perplexity": math.exp(min(per_step, 700.0)),
            "val/bits_per_character": per_step / math.log(2) / 2,
        },
        rel=1e-4,
    )
    assert set(judged(made, [two], "test")) == {name.replace("val", "test") for name in values}
    assert set(judged(excited(latents, **SERIES), [series()])) == {
        f"val/{name}" for name in ("loss", "reconstruction", "kl", "loss_per_step")
    }


@pytest.mark.parametrize("latents", LATENTS)
@pytest.mark.parametrize("loss", [IWAE(4), ELBO(3.0), Capacity()], ids=lambda loss: type(loss).__name__)
def test_what_is_judged_is_the_plain_bound_whatever_is_trained(latents, loss):
    values = []
    for trained in (loss, ELBO()):
        torch.manual_seed(2)
        values.append(judged(excited(latents, loss=trained), [windows()]))
    assert values[0] == values[1]


@pytest.mark.parametrize("share", [1.0, 0.3, None])
def test_word_dropout_hides_inputs_and_leaves_the_rest_alone(share):
    latents = partial(LATENTS["one"], word_dropout=share)
    made, one = excited(latents).train(), windows(rows=200)
    hidden = []
    handle = made.latents.input.register_forward_hook(lambda _, args, out: hidden.append(out == 0))
    torch.manual_seed(0)
    terms = made.terms(one)
    handle.remove()
    assert [float(each.all(2).float().mean()) for each in hidden] == pytest.approx(
        [0, 0.25 if share is None else share], abs=0.05
    )
    torch.manual_seed(0)
    other = made.terms(one._replace(input=(one.input + 1) % 5))
    assert torch.equal(other.log_px, terms.log_px) == (share == 1.0)
    assert torch.equal(other.mean, terms.mean)  # the encoder sees all
    torch.manual_seed(0)
    assert not torch.equal(made.terms(one._replace(target=(one.target + 1) % 5)).log_px, terms.log_px)
    torch.manual_seed(0)
    seen = made.eval().terms(one)
    assert torch.equal(seen.mean, terms.mean) and torch.equal(seen.log_px, terms.log_px) == (share == 1.0)
    z = made.encode(one.target[:2])
    with torch.no_grad():
        told, _ = made.latents.tell(torch.zeros(2, T, 8), z)  # all hidden
    assert torch.equal(made.decode(z), made.latents.head(told).argmax(2)) == (share == 1.0)


def test_series_and_steps_of_latents_hide_nothing():
    assert model("one", **SERIES).latents.word_dropout == 0 and model("one").latents.word_dropout == 0.25
    made = excited(LATENTS["one"], **SERIES)
    for mode in (True, False):
        torch.manual_seed(0)
        values = made.train(mode).terms(series()).log_px
    torch.manual_seed(0)
    assert torch.equal(made.train().terms(series()).log_px, values)


def test_each_network_is_told_the_class():
    for latents in LATENTS:
        made, text = excited(latents, conditional=True, num_classes=3), windows().target
        nats = []
        for k in (0, 1, torch.tensor([1, 1, 0])):
            torch.manual_seed(0)
            nats.append(made.log_prob(text, k, samples=3))
        assert not torch.allclose(nats[0], nats[1])
        torch.testing.assert_close(nats[2], torch.cat([nats[1][:2], nats[0][2:]]))
        assert made.classes_of(4).tolist() == [0, 1, 2, 0]
        with pytest.raises(UserError, match="^this model is conditional: give the class of each sequence"):
            made.log_prob(text)
    learned = excited("one", conditional=True, num_classes=3, prior=Learned)
    assert learned.latents.prior.mean.shape == (3, L) and learned.sample(4, seed=0).shape == (4, T)


def test_behind_the_end_of_an_item_nothing_counts():
    made = excited("one", end_token=2)
    item, longer = torch.tensor([[0, 1, 2, 2, 2]]), torch.tensor([[0, 1, 2, 4, 3]])
    values = []
    for one in (item, longer, item[:, :3]):
        torch.manual_seed(0)
        values.append(float(made.log_prob(one, samples=3)))
    assert values == pytest.approx([values[0]] * 3, rel=1e-5)
    torch.testing.assert_close(made.encode(item), made.encode(longer))


@pytest.mark.parametrize("latents", LATENTS)
def test_a_schedule_weighs_the_divergence_by_its_step(latents, tmp_path):
    made = model(latents, kl_schedule=kl_schedules.Linear(2.0))
    seen = []

    def remembers(terms, training):
        seen.append(training.kl_weight)
        return ELBO()(terms, training)

    made.loss = type(
        "Remembers", (ELBO,), {"__call__": lambda self, terms, training: remembers(terms, training)}
    )()
    fit(tmp_path, made, train=Batches(windows(), windows(seed=2)), max_epochs=3)
    assert seen == pytest.approx([0, 0.25, 0.5, 0.75, 1.0, 1.0])
    assert "train/kl_weight" in (tmp_path / "metrics.csv").read_text().splitlines()[0]
    assert "weight of the KL" in made.charts and "weight of the KL" not in model(latents).charts


SETTINGS = {
    "one": partial(model, "one", kl_schedule=kl_schedules.Linear(1.5), scheduler=Cosine()),
    "steps": partial(model, "steps", scheduler=Plateau(0.5, 0)),
    "dropout": partial(
        model, partial(OneLatent, partial(Recurrent, "gru", 8), partial(Recurrent, "gru", 8, 2, 0.5))
    ),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_killed_run_goes_on_bit_for_bit(tmp_path, name):
    class Beginnings(OrderedWindows):
        def __iter__(self):
            for one in super().__iter__():
                yield one._replace(begins=torch.ones_like(one.begins))

    def go(side, *more, resume=False):
        loaders = {"train": Beginnings(tokens(B * 25)), "val": Beginnings(tokens(B * 9, seed=2))}
        fit(tmp_path / side, SETTINGS[name](), *more, **loaders, resume=resume, every=1, max_epochs=2)

    go("whole")
    with pytest.raises(Killed):
        go("killed", Kill(9))
    go("killed", resume=True)
    for file in ("last.ckpt", "best.ckpt"):
        whole, killed = (
            torch.load(tmp_path / side / "checkpoints" / file, weights_only=True)
            for side in ("whole", "killed")
        )
        assert_same(whole, killed)
    rows = [(tmp_path / side / "metrics.csv").read_bytes() for side in ("whole", "killed")]
    assert rows[0] == rows[1]


@pytest.mark.parametrize("latents", LATENTS)
@pytest.mark.parametrize("kind", ["tokens", Gaussian, Bernoulli])
def test_it_trains_under_mixed_precision(latents, kind, tmp_path):
    made = model(latents) if kind == "tokens" else model(latents, output=kind, **SERIES)
    one = windows() if kind == "tokens" else batch(torch.rand(B, T + 1, 2).round(), True)
    trainer = fit(tmp_path, made, train=Batches(one), max_epochs=2, precision="bf16-mixed")
    assert math.isfinite(trainer.callback_metrics["val/loss"])
    assert all(torch.isfinite(p).all() for p in made.parameters())


@pytest.mark.parametrize("latents", LATENTS)
def test_what_the_decoder_cannot_know_is_told_by_the_latents(latents):
    # texts of one token each, of which every input is hidden: only latents tell which it is
    one = batch(torch.tensor([0, 1]).repeat(8)[:, None].expand(-1, T + 1), True)
    one = one._replace(input=torch.full_like(one.input, 4))
    made = model(latents, loss=ELBO(0.1))
    optimizer = torch.optim.Adam(made.parameters(), lr=0.02)
    for _ in range(80):
        optimizer.zero_grad()
        made.training_step(one, 0)["loss"].backward()
        optimizer.step()
    values = judged(made.eval(), [one])
    assert values["val/reconstruction"] < 0.3 < math.log(2) - 0.1 < values["val/kl"]
    assert torch.equal(made.reconstruct(one.target[:2]), one.target[:2])
    drawn = made.sample(200, seed=0)
    assert (drawn == drawn[:, :1]).all(
        1
    ).float().mean() > 0.5  # whole, where each step by itself has an eighth


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"vocab_size": None},
            "this model wants sequences, and this data has none: choose data=python_source",
        ),
        ({"latent_dim": 0}, "model.latent_dim must be at least 1, got 0"),
        ({"embedding": 0}, "model.embedding must be at least 1, got 0"),
        ({"gradient_clip": -1.0}, "model.gradient_clip must be at least 0, got -1.0"),
        ({"conditional": True}, "model.conditional=true needs labels, and this data has no classes"),
        (
            {"latents": partial(LATENTS["one"], word_dropout=1.5)},
            "model.latents.word_dropout must be from 0 to 1, or null, got 1.5",
        ),
        (
            {"latents": partial(OneLatent, partial(Recurrent, "gru", 8), partial(Transformer, 8, 1, 2))},
            "model.latents.decoder has to be recurrent, so that a latent can be its first state, and Transformer is not",
        ),
        (
            {"prior": partial(Vamp, [1, 2, 2])},
            "the vamp prior encodes images of its own, not sequences: set model/prior=standard",
        ),
        (
            {"prior": Standard, "latents": "steps"},
            "the prior of each step is the network's own, so model/prior has no place here: leave it out",
        ),
        (
            {"loss": IWAE(), "kl_schedule": kl_schedules.Linear()},
            "Linear schedules the weight of a KL, and IWAE weighs none",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_told_in_a_sentence(changes, sentence):
    with pytest.raises(UserError) as error:
        model(**changes)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


def test_a_loss_that_needs_a_closed_form_refuses_a_prior_without():
    with pytest.raises(ValueError, match="^Capacity needs the KL of each latent dimension in closed form"):
        model(loss=Capacity(), prior=Mixture)


def test_windows_that_go_on_are_refused():
    one = windows()._replace(begins=torch.tensor([True, False, True]))
    with pytest.raises(
        UserError, match="^data.windows=contiguous gives windows that go on, and this model has"
    ):
        excited().training_step(one, 1)
    excited().training_step(one, 2)  # a look waits for a GPU


def test_the_gradient_is_clipped_at_the_trainers_limit_else_at_the_models():
    for trainers, expected in ((None, 0.1), (0.01, 0.01)):
        made = model(gradient_clip=0.1)
        made._trainer = type("Alone", (), {"precision": "32-true"})()
        (100 * made.terms(windows()).log_px.sum()).backward()
        made.configure_gradient_clipping(torch.optim.SGD(made.parameters(), lr=1), trainers, None)
        after = torch.nn.utils.get_total_norm([p.grad for p in made.parameters() if p.grad is not None])
        assert after.item() == pytest.approx(expected, rel=1e-4)
