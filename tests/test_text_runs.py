"""Runs on text from the command line: the codec goes into the run and comes back, and data that changed are refused."""

import json
from pathlib import Path

import pytest
import torch

import genlab
from genlab.checkpoint import StoreConfig, load_data
from genlab.config import compose
from genlab.errors import UserError
from genlab.train import train

CONF = str(Path(__file__).parent / "stub_conf")
TEXT = "".join(f"a line of text, the {k}th of sixty.\n" for k in range(60))
SMALL = (
    "model=bigrams",
    "trainer=cpu",
    "logger=none",
    "metrics=none",
    "data.batch_size=4",
    "data.sequence_length=8",
)


def run_on(path: Path, folder: Path, *more: str) -> dict:
    cfg = compose([*SMALL, "data=text", f"data.path={path}", "debug=fast", *more], config_dir=CONF)
    return train(cfg, folder=folder)


@pytest.fixture
def book(tmp_path) -> Path:
    (tmp_path / "book.txt").write_text(TEXT)
    return tmp_path / "book.txt"


def test_a_run_keeps_its_codec_and_gives_it_back(book, tmp_path):
    run_on(book, tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "codec.json").read_text())
    assert kept == {"kind": "char", "characters": "".join(sorted(set(TEXT))), "unknown": False}
    model = genlab.load_model(tmp_path / "run", trust=["stand_ins"])
    assert model.codec.state() == kept and model.codec.decode(model.codec.encode("a text")) == "a text"
    data = model.run_config["data"]
    assert (data["vocab_size"], data["windows"], data["token"]) == (len(set(TEXT)), "contiguous", "character")
    assert len(data["sha256"]) == 64 and data["sequence_length"] == 8


def test_the_data_of_a_run_are_read_as_they_were(book, tmp_path):
    run_on(book, tmp_path / "run")
    model = genlab.load_model(tmp_path / "run", trust=["stand_ins"])
    assert load_data(model).codec.state() == model.codec.state()
    model.codec = type(model.codec)("abc")
    with pytest.raises(UserError) as error:
        load_data(model)
    assert str(error.value) == (
        f"{model.checkpoint_path}: its data read otherwise now than in training (another vocabulary or scale); take the"
        " files and libraries that it was trained with"
    )
    book.write_text(TEXT.replace("sixty", "60"))
    with pytest.raises(UserError, match=r"^the text is not the one that data.sha256 names \("):
        load_data(model)


def test_a_damaged_codec_is_told_with_its_file(book, tmp_path):
    run_on(book, tmp_path / "run")
    path = tmp_path / "run" / "checkpoints" / "last.ckpt"
    content = torch.load(path)
    content["genlab"]["codec"] = {"kind": "char"}
    torch.save(content, path)
    with pytest.raises(UserError) as error:
        genlab.load_model(path, trust=["stand_ins"])
    assert (
        str(error.value)
        == f"{path}: the run's codec of kind char is damaged ('characters'); it was not loaded"
    )


def test_a_run_without_a_codec_keeps_none(tmp_path):
    checkpoint = {"state_dict": torch.nn.Linear(2, 3).state_dict()}
    config = {"model": {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}}
    StoreConfig(config).on_save_checkpoint(None, None, checkpoint)
    assert "codec" not in checkpoint["genlab"]
    torch.save(checkpoint, tmp_path / "x.ckpt")
    assert genlab.load_model(tmp_path / "x.ckpt").codec is None


def test_the_header_counts_characters_and_notes_what_the_training_text_lacks(command, tmp_path):
    path = tmp_path / "a b,(c)=1.txt"
    path.write_text(TEXT + "é" * 9)
    words = (
        "--config-dir",
        CONF,
        *SMALL,
        "data=text",
        f"data.path={path}",
        "debug=fast",
        "hydra.run.dir=run",
    )
    code, out, err = command("train", *words, "data.test_size=0")
    assert (code, err) == (0, "")
    total = len(TEXT) + 9
    held = -(-total // 20)
    assert f"{total - held:,} training and {held} validation characters" in out
    assert (
        "note     1 character of the text that is held back is not in the training text, 'é' (U+00E9): 9"
        in out
    )
    code, out, err = command("evaluate", "run=run", "trust=[stand_ins]")
    assert (code, err) == (0, "")
    assert f" on the {held} characters of val (also served for selection)\n" in out
    outcome = json.loads((tmp_path / "run" / "evaluation.json").read_text())
    assert (outcome["split"], outcome["characters"]) == ("val (also served for selection)", held)
    assert "images" not in outcome and outcome["metrics"]["test/loss"] > 0


def test_the_test_part_is_judged_where_there_is_one(command, tmp_path):
    (tmp_path / "names.txt").write_text("\n".join(f"name{k}" for k in range(100)))
    words = ("--config-dir", CONF, *SMALL[:4], "data=text", "data.path=names.txt", "data.unit=line")
    code, out, err = command("train", *words, "debug=fast", "hydra.run.dir=run")
    assert (code, err) == (0, "") and "90 training and 5 validation lines" in out
    code, out, err = command("evaluate", "run=run", "trust=[stand_ins]")
    assert (code, err) == (0, "") and " on 5 test lines\n" in out
    assert json.loads((tmp_path / "run" / "evaluation.json").read_text())["split"] == "test"


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["data=text"], "data.path: no value; give data.path=..."),
        (["data=text", "data.path=x.txt"], "data.path=x.txt: no such file"),
        (["data=text", "data.path=short.txt"], "the part train of the text has 4 tokens, and a window of"),
        (["data=text", "data.path=empty.txt"], "data.path=empty.txt is empty; give a file with a text in it"),
        (
            ["data=text", "data.path=latin.txt"],
            "latin.txt is not UTF-8: the byte 0xe9 at offset 3, in line 1, ",
        ),
        (
            ["data=text", "data.path=short.txt", "data.unit=lines"],
            "data.unit: must be one of stream, line, got 'lines'",
        ),
        (
            ["data=text", "data.path=short.txt", "data.windows=rnd"],
            "data.windows: must be one of contiguous, random, apart, got 'rnd'",
        ),
    ],
)
def test_a_mistake_is_one_sentence_and_exit_code_2(command, tmp_path, words, sentence):
    (tmp_path / "short.txt").write_text("abcdef")
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    code, _, err = command("train", "--config-dir", CONF, *SMALL, *words, "hydra.run.dir=run")
    assert code == 2 and err.startswith(sentence) and "\n" not in err.strip()


def test_weights_of_a_run_with_another_vocabulary_are_taken_with_a_warning(command, book, tmp_path):
    run_on(book, tmp_path / "first")
    (tmp_path / "other.txt").write_text(TEXT.replace("x", "z"))  # as many characters, and others
    words = ("--config-dir", CONF, *SMALL, "data=text", "debug=fast", "init_from=first")
    warning = "           codec: another vocabulary or scale there, so equal numbers mean other things\n"
    for name, warned in (("other", True), ("book", False)):
        code, out, _ = command("train", *words, f"data.path={name}.txt", f"hydra.run.dir={name}")
        assert code == 0 and "  weights  every tensor from first\n" in out
        assert (warning in out) == warned


def test_an_unknown_tokenizer_is_told_with_those_there_are(command):
    _, _, err = command(
        "train", "--config-dir", CONF, *SMALL, "data=text", "data.path=x", "data/tokenizer=word"
    )
    assert err == "data/tokenizer=word is no option; allowed: bpe, byte, char\n"


def seen(folder: Path, book: Path, windows: str, *more: str) -> list:
    """The batches that a run of two epochs gave to its model."""
    from genlab import assembly
    from genlab.run_folder import last_checkpoint

    words = [
        *SMALL,
        "data=text",
        f"data.path={book}",
        f"data.windows={windows}",
        "trainer.max_epochs=2",
        *more,
    ]
    cfg = compose([*words, "trainer.enable_progress_bar=false"], config_dir=CONF)
    parts = assembly.assemble(cfg, folder)
    assembly.fit(parts, last_checkpoint(folder))
    return parts.model.seen


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("windows", ["contiguous", "random"])
def test_a_run_that_is_resumed_in_the_middle_of_an_epoch_sees_what_was_left(book, tmp_path, windows):
    book.write_text(TEXT[:600])
    whole = seen(tmp_path / "whole", book, windows)
    first = seen(tmp_path / "cut", book, windows, "trainer.max_steps=20")
    rest = seen(tmp_path / "cut", book, windows)
    assert len(whole) // 2 < 20 < len(whole) and first + rest == whole
    assert first[-1][1] == rest[0][1] == ([False] * 4 if windows == "contiguous" else [True] * 4)
