"""The autoregressive family: its density, its carried state, its numbers."""

import itertools
import math
from functools import partial

import pytest
import torch
from sequence_stubs import (
    NETWORKS,
    B,
    Batches,
    OrderedWindows,
    T,
    V,
    batch,
    excited,
    fit,
    judged,
    model,
    tokens,
)

from genlab.errors import UserError
from genlab.networks.recurrent import Recurrent
from genlab.networks.transformer import Transformer
from genlab.objectives.outputs import Bernoulli, Gaussian

CARRYING = ["lstm", "gru", "rnn", "transformer"]


@pytest.mark.parametrize("network", CARRYING)
def test_windows_that_go_on_are_judged_as_one_long_pass(network):
    made, text = excited(network), tokens(B * 13)
    whole = batch(text.view(B, 13), begins=True)
    long = judged(made, [whole])
    assert judged(made, OrderedWindows(text)) == pytest.approx(long, rel=1e-5)
    assert not made._carried._states  # nothing is kept of what was judged
    cold = [part._replace(begins=torch.ones(B, dtype=torch.bool)) for part in OrderedWindows(text)]
    assert judged(made, cold)["val/loss"] != pytest.approx(long["val/loss"], rel=1e-4)


@pytest.mark.parametrize("network", CARRYING)
def test_rows_that_begin_forget_and_the_others_go_on(network):
    made, streams = excited(network), tokens(B * 9).view(B, 9)
    first, then = batch(streams[:, :5], True), batch(streams[:, 4:], False)
    mixed = then._replace(begins=torch.tensor([False, True, False]))
    with torch.no_grad():
        made._log_prob(first, "train")
        on = made._log_prob(then, "train")
        made._log_prob(first, "train")
        nats = made._log_prob(mixed, "train")
        cold = made._log_prob(batch(streams[:, 4:], True), "train")
    torch.testing.assert_close(nats[[0, 2]], on[[0, 2]])
    torch.testing.assert_close(nats[1], cold[1])
    assert not torch.allclose(on[1], cold[1])


@pytest.mark.parametrize("network", CARRYING)
def test_gradients_end_where_a_window_begins(network):
    text = tokens(B * 9).view(B, 9)
    made = excited(network).train()
    made._log_prob(batch(text[:, :5], True), "train")
    made._log_prob(batch(text[:, 4:], False), "train").sum().backward()
    by_windows = [p.grad.clone() for p in made.parameters()]
    made.zero_grad()
    _, state = made.network(made.input(text[:, :4], None))
    features, _ = made.network(made.input(text[:, 4:8], None), tuple(part.detach() for part in state))
    made.output.log_prob(made.head(features), text[:, 5:]).sum().backward()
    for mine, parameter in zip(by_windows, made.parameters(), strict=True):
        torch.testing.assert_close(mine, parameter.grad)


def test_training_and_judging_carry_states_of_their_own():
    made, streams = excited(), tokens(B * 9).view(B, 9)
    with torch.no_grad():
        made._log_prob(batch(streams[:, :5], True), "train")
        judged(made, OrderedWindows(tokens(B * 9, seed=2)))
        after = made._log_prob(batch(streams[:, 4:], False), "train")
        made._log_prob(batch(streams[:, :5], True), "train")
        torch.testing.assert_close(after, made._log_prob(batch(streams[:, 4:], False), "train"))


def test_a_state_that_is_not_finite_does_not_outlive_its_step():
    made, one = excited(), batch(tokens(B * 5).view(B, 5), True)
    with torch.no_grad():
        made._log_prob(one, "train")
        made._carried._states["train"][0].fill_(math.nan)
        assert torch.isfinite(made._log_prob(one._replace(begins=~one.begins), "train")).all()


def test_an_epochs_number_is_the_mean_over_targets():
    made = excited(windows="random", characters_per_token=2.0)
    one, two = batch(tokens(B * 5).view(B, 5), True), batch(tokens(5, seed=2).view(1, 5), True)
    two = two._replace(weight=torch.tensor([[0.0, 0.0, 1.0, 1.0]]))
    with torch.no_grad():
        nats = [-made._log_prob(part, "val") for part in (one, two)]
    mean = (nats[0].sum() + nats[1][0, 2:].sum()).item() / (B * T + 2)
    values = judged(made, [one, two])
    assert values == pytest.approx(
        {
            "val/loss": mean,
            "val/perplexity": math.exp(mean),
            "val/bits_per_character": mean / math.log(2) / 2,
        }
    )
    assert judged(made, [two])["val/loss"] == pytest.approx(nats[1][0, 2:].mean().item())  # begun anew
    assert judged(made, [two], "test")["test/loss"] == pytest.approx(nats[1][0, 2:].mean().item())
    step = made.training_step(two, 0)
    assert step["loss"].item() == pytest.approx(nats[1][0, 2:].mean().item())
    assert not step["objective"].requires_grad and step["objective"].item() == step["loss"].item()


@pytest.mark.parametrize("network", NETWORKS)
def test_probabilities_of_all_texts_sum_to_one(network):
    made = excited(network)
    texts = torch.tensor(list(itertools.product(range(V), repeat=3)))
    assert made.log_prob(texts).exp().sum().item() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("network", CARRYING)
def test_the_density_of_a_long_text_is_taken_in_blocks(network, monkeypatch):
    made, text = excited(network), tokens(2 * 21).view(2, 21)
    whole = made.log_prob(text)
    with torch.no_grad():
        shifted = torch.cat([made.beginning(2), text], dim=1)
        one = made._log_prob(batch(shifted, True), "val").sum(1)
        made._carried.forget("val")
    torch.testing.assert_close(whole, one)
    monkeypatch.setattr("genlab.models.reading._BLOCK", 4)
    torch.testing.assert_close(made.log_prob(text), whole)


def test_learned_positions_begin_anew_with_the_last_half_of_what_they_can_read():
    made, text = excited("learned"), tokens(10).view(1, 10)
    steps = torch.cat([made.beginning(1), text[:, :-1]], dim=1)

    def nats(first, upto):
        """Of the targets read in one pass over steps `first` to `upto`."""
        features, _ = made.network(made.input(steps[:, first:upto], None))
        return made.output.log_prob(made.head(features), text[:, first:upto])[0]

    with torch.no_grad():
        expected = nats(0, 6).sum() + nats(3, 9)[3:].sum() + nats(6, 10)[3:].sum()
    torch.testing.assert_close(made.log_prob(text)[0], expected)


def test_the_tied_head_has_the_weights_of_the_embedding():
    made = model()
    assert made.head.weight is made.input.map.weight and isinstance(made.head.narrow, torch.nn.Identity)
    wide = model(embedding=6)
    assert wide.head.weight is wide.input.map.weight and wide.head.narrow.weight.shape == (6, 8)
    free = model(tied=False, embedding=6)
    assert free.head.weight.shape == (V, 8) and isinstance(free.head.narrow, torch.nn.Identity)
    for each in (made, wide, free):
        assert each.sample(2, seed=0).shape == (2, T)
    count = sum(p.numel() for p in made.parameters())
    assert sum(p.numel() for p in model(tied=False).parameters()) == count + V * 8


def test_real_values_come_through_a_linear_map_and_a_density():
    made = excited(vocab_size=None, num_features=2)
    series = torch.randn(3, T, 2)
    assert made.log_prob(series).shape == (3,) and made.sample(2, length=7).shape == (2, 7, 2)
    assert made.beginning(2).tolist() == [[[0.0, 0.0]]] * 2
    target = torch.cat([torch.zeros(3, 1, 2), series], dim=1)
    with torch.no_grad():
        nats = made._log_prob(batch(target, True), "val")
    torch.testing.assert_close(made.log_prob(series), nats.sum(1))
    assert set(judged(made, [batch(target, True)])) == {"val/loss"}


def test_each_step_is_told_the_class_of_its_sequence():
    made = excited(conditional=True, num_classes=3)
    text = tokens(2 * T).view(2, T)
    nats = [made.log_prob(text, k) for k in range(3)]
    assert not torch.allclose(nats[0], nats[1])
    torch.testing.assert_close(
        made.log_prob(text, torch.tensor([2, 0])), torch.stack([nats[2][0], nats[0][1]])
    )
    with torch.no_grad():
        made.input.classes.weight.zero_()
    torch.testing.assert_close(made.log_prob(text, 0), made.log_prob(text, 1))
    assert made.classes_of(4).tolist() == [0, 1, 2, 0] and model().classes_of(4) is None
    with pytest.raises(UserError, match="^this model is conditional: give the class of each sequence"):
        made.log_prob(text)


def test_the_decay_spares_biases_and_norms():
    made = model("transformer")
    made._trainer = type("Alone", (), {"max_steps": 5, "max_epochs": -1})()
    groups = made.configure_optimizers()["optimizer"].param_groups
    assert [group["weight_decay"] for group in groups] == [0.01, 0.0]
    assert all(p.ndim == 1 for p in groups[1]["params"]) and all(p.ndim == 2 for p in groups[0]["params"])
    assert sum(len(group["params"]) for group in groups) == len(list(made.parameters()))


@pytest.mark.parametrize(("trainers", "expected"), [(None, 0.1), (0.01, 0.01), (0.0, None)])
def test_the_gradient_is_clipped_at_the_trainers_limit_else_at_the_models(trainers, expected):
    made = model(gradient_clip=0.1)
    made._trainer = type("Alone", (), {"precision": "32-true"})()
    (10 * made._log_prob(batch(tokens(B * 5).view(B, 5), True), "train").sum()).backward()
    norm = torch.nn.utils.get_total_norm([p.grad for p in made.parameters()])
    made.configure_gradient_clipping(torch.optim.SGD(made.parameters(), lr=1), trainers, None)
    after = torch.nn.utils.get_total_norm([p.grad for p in made.parameters()])
    assert after.item() == pytest.approx(norm.item() if expected is None else expected, rel=1e-4)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_text_that_repeats_is_learned_below_a_tenth_of_a_nat(network):
    made, text = model(network, embedding_std=1.0), torch.tensor([0, 1]).repeat(65)
    optimizer = torch.optim.AdamW(made.parameters(), lr=0.02)
    windows = [batch(text[k : k + 125].view(25, 5), True) for k in range(4)]
    for step in range(80):
        optimizer.zero_grad()
        made.training_step(windows[step % 4], step)["loss"].backward()
        optimizer.step()
    assert judged(made.eval(), windows)["val/loss"] < 0.1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        (
            {"vocab_size": None},
            "this model wants sequences, and this data has none: choose data=python_source",
        ),
        (
            {"sequence_length": None},
            "this model wants sequences, and this data has none: choose data=python_source",
        ),
        ({"windows": "some"}, "model.windows must be contiguous or random, got some"),
        ({"embedding": 0}, "model.embedding must be at least 1, got 0"),
        (
            {"embedding": -3, "network": partial(Recurrent, "gru", -3)},
            "model.network.hidden_size must be at least 1, got -3",
        ),
        (
            {"embedding": -3, "network": partial(Transformer, -3, 2, 2)},
            "model.network.width must be at least 1, got -3",
        ),
        ({"embedding_std": 0.0}, "model.embedding_std must be above 0, got 0.0"),
        ({"gradient_clip": -1.0}, "model.gradient_clip must be at least 0, got -1.0"),
        ({"conditional": True}, "model.conditional=true needs labels, and this data has no classes"),
        (
            {"network": NETWORKS["learned"], "windows": "contiguous"},
            "this network reads 6 steps from a beginning on, so it cannot go on from window to window: set",
        ),
        (
            {"network": partial(Transformer, 8, 2, 2), "windows": "contiguous"},
            "model.network.reach=null lets each step attend to all before it, and with model.windows=contiguous the "
            "keys and values kept for that would grow all epoch long: give model.network.reach=8, or set",
        ),
        (
            {"network": NETWORKS["learned"], "windows": "random", "sequence_length": 7},
            "this network reads 6 steps, and data.sequence_length is 7: give the network a longer reach",
        ),
    ],
)
def test_parts_that_do_not_go_together_are_told_in_a_sentence(changes, sentence):
    with pytest.raises(UserError) as error:
        model(**changes)
    assert str(error.value).startswith(sentence) and "\n" not in str(error.value)


def test_a_reach_without_an_end_reads_windows_that_begin_anew():
    assert model(partial(Transformer, 8, 2, 2), windows="random").network.reach is None


def test_windows_that_go_on_are_refused_where_nothing_is_carried():
    made, parts = excited(windows="random"), list(OrderedWindows(tokens(B * 9)))
    made.training_step(parts[0], 0)
    with pytest.raises(
        UserError, match="^data.windows=contiguous gives windows that go on, and model.windows=random"
    ):
        made.training_step(parts[1], 1)


@pytest.mark.parametrize(
    "wrong",
    [
        torch.zeros(2, 3),
        torch.zeros(2, 3, 2),
        torch.zeros(2, 0, dtype=torch.int64),
        torch.zeros(3, dtype=torch.int64),
    ],
)
def test_what_is_no_sequence_of_tokens_is_refused(wrong):
    with pytest.raises(UserError, match=r"^sequences must be tokens \[B, T\], got torch"):
        model().log_prob(wrong)
    with pytest.raises(UserError, match=r"^sequences must be floats \[B, T, 2\], got torch"):
        model(vocab_size=None, num_features=2).log_prob(wrong[..., :1])


@pytest.mark.parametrize("output", [Gaussian, Bernoulli])
def test_other_outputs_train_on_series(output, tmp_path):
    made = model(output=output, vocab_size=None, num_features=2, network=partial(Recurrent, "gru", 4))
    series = torch.cat([torch.zeros(8, 1, 2), torch.rand(8, T, 2).round()], dim=1)
    fit(tmp_path, made, train=Batches(batch(series, True)), max_epochs=2)
    assert torch.isfinite(made.sample(3, seed=0)).all()
