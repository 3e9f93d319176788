"""Text out of a trained model: sample.py, evaluate.py and load_model(run).generate say the same, verbatim."""

import json
import math
import sys
from pathlib import Path

import pytest
import torch

from genlab import load_model
from genlab.checkpoint import load_data
from genlab.config import compose
from genlab.shows.texts import told
from genlab.train import train

LINE = "O, Romeo! it's (late)=1, 天地玄黄.\n"
TEXT = "".join(f"{k}: {LINE}" for k in range(60)) + 10 * "天地玄黄"  # the end, to test on, has more bytes
NASTY = "O, Romeo! it's (late)=1\n\t\"天地\" \\' ${x} ${oc.env:HOME} a,b [c] {d: e} #f \\"
SMALL = (
    "trainer=cpu",
    "debug=fast",
    "logger=none",
    "data=text",
    "data.batch_size=4",
    "data.sequence_length=8",
)
RUNS = {
    "lstm": ("model=lstm", "model.network.hidden_size=8"),
    "bytes": ("model=gru", "model.network.hidden_size=8", "data/tokenizer=byte"),
    "transformer": ("model=transformer", "model.network.width=8", "model.network.layers=1", "model.network.heads=1",
                    "model.network.positions=learned"),
    "vrnn": ("model=vrnn", "model.latents.network.hidden_size=8", "model.latents.network.width=4"),
    "names": ("model=rnn", "model.network.hidden_size=8", "data.unit=line", "data.sequence_length=null"),
}  # fmt: skip


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A run of each kind; all before the first command, whose log they would write into."""
    folder = tmp_path_factory.mktemp("runs")
    for name, words in RUNS.items():
        text = folder / f"{name}.txt"
        text.write_text("".join(f"name{k}\n" for k in range(100)) if name == "names" else TEXT)
        train(compose([*SMALL, f"data.path={text}", *words]), folder=folder / name)
    return {name: folder / name for name in RUNS}


def test_the_prompt_arrives_as_it_was_typed_in_a_real_process(run, runs, tmp_path):
    settings = {"length": 40, "temperature": 0.8, "top_k": 40, "top_p": 0.9, "seed": 3}
    words = [f"{name}={value}" for name, value in settings.items()]
    done = run("sample.py", f"run={runs['bytes']}", f"prompt={NASTY}", *words, "out=a, b=(1).txt")
    assert (done.returncode, done.stderr) == (0, "")
    whole = NASTY + load_model(runs["bytes"]).generate(NASTY, **settings)[0]
    assert (tmp_path / "a, b=(1).txt").read_bytes() == whole.encode()
    last = f"1 text from live weights of {runs['bytes']}/checkpoints/best.ckpt\n  a, b=(1).txt\n"
    assert done.stdout.replace("\r\n", "\n") == f"{whole}\n{last}".replace("\r\n", "\n").replace("\r", "\n")


@pytest.mark.parametrize(
    "prompt", ["", "O", NASTY, "null ", "'", '"', "\\", "天地", "\n", "a=b", "[1,2]", "5", "\\${x}"]
)
def test_a_prompt_is_verbatim_whatever_it_holds(command, runs, prompt, tmp_path):
    code, _, err = command("sample", f"run={runs['bytes']}", f"prompt={prompt}", "length=3", "out=x.txt")
    assert (code, err) == (0, "")
    assert (tmp_path / "x.txt").read_bytes().startswith(prompt.encode())
    (tmp_path / "x.txt").unlink()


def test_a_prompt_file_is_read_as_it_is(command, runs, tmp_path):
    (tmp_path / "begun, (1).txt").write_bytes("\r\n天 \n".encode())
    words = (f"run={runs['bytes']}", "length=5", "out=x.txt")
    assert command("sample", *words, "prompt_file=begun, (1).txt")[0] == 0
    written = (tmp_path / "x.txt").read_bytes()
    prompt = "\r\n天 \n"
    assert written == (prompt + load_model(runs["bytes"]).generate(prompt, length=5, seed=0)[0]).encode()


def test_several_texts_are_made_at_once_and_begin_with_the_single_one(command, runs, tmp_path):
    words = (f"run={runs['lstm']}", "prompt=O, Romeo", "length=30", "seed=2")
    code, out, err = command("sample", *words, "n=3", "out=three.txt")
    assert (code, err) == (0, "")
    texts = [
        "O, Romeo" + text for text in load_model(runs["lstm"]).generate("O, Romeo", n=3, length=30, seed=2)
    ]
    assert len(set(texts)) == 3
    assert (tmp_path / "three.txt").read_text() == f"\n{'-' * 40}\n".join(texts)
    assert out.startswith((tmp_path / "three.txt").read_text() + "\n3 texts from live weights of ")
    assert command("sample", *words, "out=one.txt")[0] == 0
    assert (tmp_path / "one.txt").read_text() == texts[0]


def test_items_are_lines(command, runs, tmp_path):
    assert command("sample", f"run={runs['names']}", "out=names.txt")[::2] == (0, "")
    model = load_model(runs["names"])
    lines = (tmp_path / "names.txt").read_text().split("\n")
    assert lines == [*model.generate(n=20, seed=0), ""] and len(set(lines)) > 5


def test_a_prompt_longer_than_what_the_network_reads_is_read_on(command, runs, tmp_path):
    code, _, err = command(
        "sample", f"run={runs['transformer']}", f"prompt={LINE * 9}", "length=20", "out=x.txt"
    )
    assert (code, err) == (0, "")
    assert (tmp_path / "x.txt").read_text().startswith(LINE * 9)
    assert len((tmp_path / "x.txt").read_text()) == len(LINE * 9) + 20


def test_where_no_file_is_named_it_lies_in_the_run_and_says_what_it_was_made_with(command, runs):
    words = (f"run={runs['lstm']}", "length=5", "temperature=0.5")
    first, second = (
        command("sample", *words, f"prompt={prompt}")[1].splitlines()[-1].strip() for prompt in "O1"
    )
    assert first != second and Path(first).parent == runs["lstm"] / "sampled"
    assert Path(first).name.startswith("samples_best_step6_live_n1_seed0_length5_temperature0.5_prompt")
    assert Path(first).suffix == ".txt" and len(Path(first).read_text()) == 6


def test_a_prompt_of_a_file_is_told_by_what_it_says(command, runs, tmp_path):
    def name_with(*words):
        return command("sample", f"run={runs['lstm']}", "length=5", *words)[1].splitlines()[-1].strip()

    named = []
    for text in ("O", "1", ""):
        (tmp_path / "begun.txt").write_text(text)
        named.append(name_with("prompt_file=begun.txt"))
    assert named == [name_with("prompt=O"), name_with("prompt=1"), name_with()]
    assert len(set(named)) == 3


@pytest.mark.parametrize(
    ("name", "words", "sentence"),
    [
        ("lstm", ["prompt=né"], "'n' (U+006E), character 1 of the text, is not among the 34 characters that the model"
         " knows, nor is one other of its characters; leave it out, or train with data/tokenizer=byte, which knows all"),
        ("lstm", ["prompt=O", "prompt_file=x"], "prompt and prompt_file are both given; leave one out"),
        ("lstm", ["prompt_file=x, y"], "prompt_file=x, y: cannot be read (No such file or directory)"),
        ("lstm", ["prompt_file=latin"], "prompt_file=latin: is not UTF-8, see the byte at offset 1; save it as UTF-8"),
        ("names", ["prompt_file=two"], "the prompt has a line break, and this model was trained on lines, which a line"
         " break ends: give the beginning of one line, without a line break behind it"),
        ("names", ["prompt=an\nb"], "the prompt has a line break, and this model was trained on lines, which a line break"
         " ends: give the beginning of one line, without a line break behind it"),
        ("lstm", ["temperature=-1"], "temperature must be at least 0, got -1.0"),
        ("lstm", ["top_k=0"], "top_k must be at least 1, or null for all tokens, got 0"),
        ("lstm", ["top_p=0"], "top_p must be above 0 and at most 1, or null for all tokens, got 0.0"),
        ("lstm", ["length=0"], "length must be at least 1, got 0"),
        ("lstm", ["format=png"], "format=png: samples of this model are text, written as txt"),
        ("lstm", ["out=x.png"], "out=x.png should end in .txt, or format= be another: txt"),
        ("lstm", ["single=true"], "single=true writes one PNG per image; samples of this model are text: leave single"
         " out"),
        ("lstm", ["show=reconstruct"], "show=reconstruct is for models that see whole images; samples of this model"
         " are text: leave show out"),
        ("lstm", ["label=1"], "this model knows no classes: it was trained without labels"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_sentence(command, runs, name, words, sentence, tmp_path):
    (tmp_path / "latin").write_bytes(b"n\xe9")
    (tmp_path / "two").write_text("an\nb\n")
    code, out, err = command("sample", f"run={runs[name]}", *words)
    assert (code, err.strip(), out) == (2, sentence, "")


def test_evaluate_judges_the_whole_split_as_one_long_pass_does(command, runs):
    run = runs["lstm"]
    code, out, err = command(
        "evaluate", f"run={run}", "batch_size=1", "metrics.text.length=40", "metrics.text.n=2"
    )
    assert (code, err) == (0, "")
    outcome = json.loads((run / "evaluation.json").read_text())
    model, numbers = load_model(run), outcome["metrics"]
    tokens = torch.tensor([model.codec.encode(load_data(model).texts("test")[0])])
    assert outcome["characters"] == tokens.shape[1] and outcome["split"] == "test"
    with torch.no_grad():  # from the first character on, which is the only one that is not judged
        features = model.network(model.input(tokens[:, :-1], None))[0]
        nats = float(-model.output.log_prob(model.head(features), tokens[:, 1:]).mean())
    assert numbers["test/loss"] == pytest.approx(nats, rel=1e-5)
    assert numbers["test/perplexity"] == pytest.approx(math.exp(nats), rel=1e-4)
    assert numbers["test/bits_per_character"] == pytest.approx(nats / math.log(2), rel=1e-5)
    assert 0 < numbers["text/distinct_1"] <= 1 and numbers["text/longest_copy"] >= 1
    # real lines count up: most of one stands in the text that came before
    assert numbers["text/longest_copy_real"] > 20 > numbers["text/longest_copy"]
    stamp = outcome["protocols"]["text"]
    assert (stamp["texts"], stamp["tokens_of_each"], stamp["real_from"], stamp["seed"]) == (2, 40, "test", 0)
    judged = {"windows": "carried", "sequence_length": 8, "rows": 1, "warmup": 8}
    assert outcome["protocols"]["test"] == judged
    assert "+- (characters)" in out and "image" not in out


def test_bits_per_character_are_of_the_characters_of_the_split_that_is_judged(command, runs):
    run = runs["bytes"]
    assert command("evaluate", f"run={run}", "metrics=none")[0] == 0
    numbers = json.loads((run / "evaluation.json").read_text())["metrics"]
    model = load_model(run)
    (text,) = load_data(model).texts("test")
    per_byte = len(text) / len(text.encode())
    assert per_byte != model.characters_per_token  # of the validation part
    expected = numbers["test/loss"] / math.log(2) / per_byte
    assert numbers["test/bits_per_character"] == pytest.approx(expected, rel=1e-5)


def test_evaluate_judges_names_as_lines(command, runs):
    assert command("evaluate", f"run={runs['names']}", "metrics.text.n=5")[0] == 0
    outcome = json.loads((runs["names"] / "evaluation.json").read_text())
    assert outcome["metrics"]["text/copied_lines_real"] == 0 and outcome["lines"] == 5
    assert outcome["protocols"]["text"]["unit"] == "lines" and outcome["unit"] == "nats per token"


def test_bounds_of_sequences_have_their_unit(command, runs):
    code, out, err = command("evaluate", f"run={runs['vrnn']}", "metrics=none")
    assert (code, err) == (0, "")
    outcome = json.loads((runs["vrnn"] / "evaluation.json").read_text())
    assert outcome["unit"] == "nats per sequence; loss_per_step: nats per token"
    assert f"in {outcome['unit']}, unless the name says otherwise" in out
    # windows of eight steps, of which the last one judges what is left
    assert 7 < outcome["metrics"]["test/loss"] / outcome["metrics"]["test/loss_per_step"] < 8


def test_pieces_are_told_one_by_one_and_command_no_terminal(monkeypatch):
    class Terminal:
        def __init__(self, tty):
            self.tty, self.events = tty, []

        def isatty(self):
            return self.tty

        def write(self, text):
            self.events.append(text)

        def flush(self):
            self.events.append("flush")

    for tty, red in ((True, "\ufffd[31m天\n\t"), (False, "\x1b[31m天\n\t")):
        monkeypatch.setattr(sys, "stdout", Terminal(tty))
        assert told(["a"], iter(["\x1b[31m天\n\t"])) == ["a", "\x1b[31m天\n\t"]
        assert sys.stdout.events == ["a", "flush", red, "flush"]


def test_metrics_of_images_are_refused_for_texts(command, runs):
    assert command("evaluate", f"run={runs['lstm']}", "metrics=nll")[::2] == (
        2, "likelihood, nll and latents judge models of images, and this data has none: test/loss is the negative"
        " log-likelihood already, or a bound of it; leave metrics out, or give metrics=text\n",
    )  # fmt: skip
