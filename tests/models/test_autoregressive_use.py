"""What a trained model of sequences does: samples, texts, streams."""

import itertools
from functools import partial
from typing import Any

import pytest
import torch
from sequence_stubs import NETWORKS, Letters, excited

from genlab.errors import UserError
from genlab.models.writing import first_token
from genlab.networks.recurrent import Recurrent
from genlab.objectives.outputs import Gaussian
from genlab.sequence_contracts import TextCodec, TextGenerator

LONG = 19  # beyond what the Transformers hold, and twice what learned positions can read


class Bytes:
    """A codec in which most characters take several tokens."""

    vocab_size = 256

    def state(self) -> dict[str, Any]:
        return {"kind": "bytes"}

    def encode(self, text: str) -> list[int]:
        return list(text.encode())

    def decode(self, row: list[int]) -> str:
        return bytes(row).decode(errors="replace")


def writer(network: Any = "lstm", codec: Any = None, **changes: Any):
    made = excited(network, **changes)
    made.codec = codec or Letters()
    return made


def by_whole_passes(made, row, length, pick=torch.argmax):
    """Tokens drawn by reading everything again at each step."""
    row = list(row)
    for _ in range(length):
        features, _ = made.network(made.input(torch.tensor([row]), None))
        row.append(int(pick(made.head(features)[0, -1])))
    return row[-length:]


def test_all_that_is_trained_is_averaged_and_a_sigma_of_a_column_too():
    made = writer(output=partial(Gaussian, learned="column"), vocab_size=None, num_features=2)
    averaged = {id(part) for module in made.sampling_modules().values() for part in module.parameters()}
    assert averaged == {id(part) for part in made.parameters()} and made.output.paced_scale.requires_grad


@pytest.mark.parametrize("network", [name for name in NETWORKS if name != "learned"])
def test_greedy_text_is_what_whole_passes_give(network):
    made = writer(network)
    with torch.no_grad():
        expected = by_whole_passes(made, [0, 3, 1], LONG)
    assert made.generate("adb", length=LONG, temperature=0) == [made.codec.decode(expected)]


def test_greedy_text_of_learned_positions_goes_on_with_the_last_half():
    made = writer("learned")
    row = [0, 3, 1]
    with torch.no_grad():
        while len(row) < 12:
            begin = 0 if len(row) <= 6 else 3 if len(row) <= 9 else 6
            features, _ = made.network(made.input(torch.tensor([row[begin:]]), None))
            row.append(int(made.head(features)[0, -1].argmax()))
    assert made.generate("adb", length=9, temperature=0) == [made.codec.decode(row[3:])]


@pytest.mark.parametrize("network", NETWORKS)
def test_equal_seeds_give_equal_texts_whatever_their_number(network):
    made = writer(network)
    one, many = made.generate("ab", n=1, seed=3, length=LONG), made.generate("ab", n=4, seed=3, length=LONG)
    assert one == many[:1] and len(set(many)) == 4
    assert made.generate("ab", seed=4, length=LONG) != one
    assert torch.equal(made.sample(2, seed=1), made.sample(5, seed=1)[:2])
    assert not torch.equal(made.sample(2, seed=1), made.sample(2, seed=2))


def test_a_seed_leaves_the_global_stream_alone_and_none_draws_from_it():
    made = writer()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    made.sample(2, seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    one = made.sample(2)
    assert not torch.equal(made.sample(2), one)
    torch.manual_seed(0)
    assert torch.equal(made.sample(2), one)


@pytest.mark.parametrize("network", ["lstm", "transformer"])
def test_texts_are_drawn_as_often_as_they_are_likely(network):
    made = writer(network)
    drawn = made.sample(4000, length=2, seed=0)
    texts = torch.tensor(list(itertools.product(range(5), repeat=2)))
    shares = torch.bincount(drawn[:, 0] * 5 + drawn[:, 1], minlength=25) / 4000
    torch.testing.assert_close(shares, made.log_prob(texts).exp(), atol=0.03, rtol=0)


def test_series_are_drawn_from_their_density():
    made = excited(vocab_size=None, num_features=1, network=partial(Recurrent, "gru", 8))
    drawn = made.sample(4000, length=1, seed=0)
    edges = torch.linspace(-3, 3, 13)
    shares = torch.histogram(drawn.flatten(), edges)[0] / 4000
    fine = torch.linspace(-3, 3, 1201)
    density = made.log_prob(fine[:-1, None, None] + 0.0025).exp().view(12, 100).sum(1) * 0.005
    torch.testing.assert_close(shares, density, atol=0.03, rtol=0)
    assert made.sample(3, seed=0).shape == (3, 4, 1) and drawn.dtype == torch.float32


@pytest.mark.parametrize("codec", [Bytes(), Letters()])
def test_a_stream_gives_the_text_in_pieces_of_whole_characters(codec):
    made = writer(vocab_size=codec.vocab_size, codec=codec)
    if isinstance(codec, Bytes):  # the bytes of a few characters of one to four bytes
        known = torch.tensor(sorted(set("aé漢🎲\n".encode())))
        made.head.bias.data.fill_(-50).index_fill_(0, known, 1.0)
    pieces = list(made.stream("", length=60, seed=0))
    whole = made.generate("", length=60, seed=0)[0]
    assert "".join(pieces) == whole and all(pieces) and len(pieces) > 5
    if isinstance(codec, Letters):
        assert len(pieces) == 60


def test_a_character_of_several_tokens_comes_when_it_is_whole(monkeypatch):
    made = writer(vocab_size=256, codec=Bytes())
    drawn = [torch.tensor([byte]) for byte in "x漢é".encode()]
    monkeypatch.setattr("genlab.models.autoregressive.draws", lambda *args, **settings: iter(drawn))
    assert list(made.stream(length=6)) == ["x", "漢", "é"]
    assert list(made.stream(length=3)) == ["x", "\ufffd"]  # what is cut is told at the end


def test_what_is_wrong_with_a_stream_is_told_before_the_first_piece():
    with pytest.raises(UserError, match="'z' is not in the vocabulary"):
        writer().stream("z")


def test_items_end_with_their_end_token():
    made = writer(end_token=2)
    made.head.bias.data[2] += 2
    assert made.beginning(2).tolist() == [[2], [2]]
    texts = made.generate(n=30, length=LONG, seed=0)
    assert all("c" not in text and len(text) <= LONG for text in texts)
    assert len({len(text) for text in texts}) > 2
    drawn = made.sample(30, length=LONG, seed=0)
    for row, text in zip(drawn.tolist(), texts, strict=True):
        end = row.index(2) if 2 in row else LONG
        assert made.codec.decode(row[:end]) == text and set(row[end:]) <= {2}
    assert "".join(made.stream(length=LONG, seed=0)) == texts[0]


def test_a_prompt_of_an_item_has_no_line_break():
    sentence = (
        "^the prompt has a line break, and this model was trained on lines, which a line break ends: "
        "give the beginning of one line, without a line break behind it$"
    )
    for prompt in ("a\nb", "ab\n", "\n"):
        with pytest.raises(UserError, match=sentence):
            writer(end_token=2).generate(prompt)
        with pytest.raises(UserError, match=sentence):
            writer(end_token=2).stream(prompt)
        with pytest.raises(UserError, match="is not among|not in the vocabulary"):
            writer().generate(prompt)  # a stream goes on behind a line break: Letters alone does not know it


def test_probabilities_of_all_items_sum_to_one():
    made = excited(end_token=2)
    rows = itertools.product(range(5), repeat=3)
    items = [row for row in rows if 2 not in row or set(row[row.index(2) :]) == {2}]
    found = made.log_prob(torch.tensor(items))
    assert found.exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert made.log_prob(torch.tensor([[0, 2, 2], [0, 2, 4]]))[0] == pytest.approx(
        made.log_prob(torch.tensor([[0, 2]])).item(), rel=1e-5
    )


def test_drawing_stops_where_all_items_have_ended():
    made, steps = writer(end_token=2), []
    made.head.bias.data[2] += 50
    made.network.register_forward_hook(lambda *args: steps.append(1))
    assert made.generate(n=3, length=100) == ["", "", ""] and list(made.stream(length=100)) == []
    assert len(steps) <= 4


def test_an_empty_prompt_begins_like_a_line():
    class Lines(Letters):
        def encode(self, text):
            return [4] if text == "\n" else super().encode(text)

    class Spaces(Letters):
        def encode(self, text):
            return [3] if text == " " else super().encode(text)

    assert [first_token(codec) for codec in (Lines(), Spaces(), Letters(), None)] == [4, 3, 0, 0]
    made = writer(codec=Lines())
    made.input.map.weight.data[0] += 50  # what follows an a is unlike what follows an e
    assert made.generate("", n=20, seed=0) == made.generate("e", n=20, seed=0)
    assert made.generate("", n=20, seed=0) != made.generate("a", n=20, seed=0)


def test_a_conditional_model_writes_of_a_class():
    made = writer(conditional=True, num_classes=2)
    made.input.classes.weight.data[1] *= 20
    one, other = (made.generate(n=2, label=k, length=LONG, temperature=0) for k in (0, 1))
    assert one[0] == one[1] != other[0] and made.generate(n=2, length=LONG, temperature=0) == [
        one[0],
        other[0],
    ]
    assert list(made.stream(length=LONG, temperature=0, label=1)) == list(other[0])
    assert torch.equal(made.sample(2, seed=0, label=1)[0], made.sample(1, seed=0, label=torch.tensor([1]))[0])
    with pytest.raises(UserError, match="^this model knows no classes"):
        writer().generate(label=1)
    with pytest.raises(UserError, match="^label must be from 0 to 1, got 2"):
        made.sample(2, label=2)


def test_sampling_leaves_gradients_and_carried_states_alone():
    made = writer()
    drawn = made.stream(length=3)
    next(drawn)
    assert torch.is_grad_enabled() and not made.sample(1).requires_grad
    assert not made._carried._states


def test_it_is_what_the_contract_asks_for():
    assert isinstance(writer(), TextGenerator) and isinstance(Letters(), TextCodec)


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"n": 0}, "n must be at least 1, got 0"),
        ({"length": 0}, "length must be at least 1, got 0"),
        ({"temperature": -1.0}, "temperature must be at least 0, got -1.0"),
        ({"top_k": 0}, "top_k must be at least 1, or null for all tokens, got 0"),
        ({"top_p": 0.0}, "top_p must be above 0 and at most 1, or null for all tokens, got 0.0"),
        ({"top_p": 1.5}, "top_p must be above 0 and at most 1, or null for all tokens, got 1.5"),
    ],
    ids=str,
)
def test_numbers_out_of_range_are_told_in_a_sentence(settings, sentence):
    with pytest.raises(UserError) as error:
        writer().generate("a", **settings)
    assert str(error.value) == sentence
    if "n" not in settings:
        with pytest.raises(UserError) as error:
            writer().stream("a", **settings)
        assert str(error.value) == sentence


def test_a_model_without_a_tokenizer_writes_no_text():
    with pytest.raises(UserError, match="^this model has no tokenizer to write text with: use sample"):
        excited().generate("a")
    for settings in ({"n": 0}, {"length": 0}):
        with pytest.raises(UserError, match="must be at least 1, got 0"):
            excited().sample(**{"n": 1, **settings})
