"""Checkpoints that are damaged, foreign, newer or hostile are refused in a sentence and run nothing."""

import os
import pickle
from pathlib import Path
from typing import Any

import pytest
import torch

import genlab
from genlab.atomic import write_whole
from genlab.checkpoint import AtomicCheckpointIO, check_trust
from genlab.errors import UserError


def write(path: Path, model: dict[str, Any], **changes: Any) -> Path:
    content = {
        "state_dict": {},
        "genlab": {"format": 1, "version": "0.1.0", "config": {"model": model}},
        **changes,
    }
    torch.save(content, path)
    return path


def refusal(path: Path, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        genlab.load_model(path, **options)
    return str(error.value).replace(str(path), "FILE")


def test_a_truncated_file_is_damaged(tmp_path):
    path = write(tmp_path / "x.ckpt", {})
    path.write_bytes(path.read_bytes()[:-200])
    assert refusal(path) == "FILE: is damaged, or no checkpoint at all; it was not loaded"


def test_text_is_no_checkpoint(tmp_path):
    path = tmp_path / "x.ckpt"
    path.write_text("hello")
    assert "it was not loaded" in refusal(path)


def test_a_pickle_that_runs_code_is_not_run(tmp_path):
    class Hostile:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "owned"),)

    path = tmp_path / "x.ckpt"
    path.write_bytes(pickle.dumps(Hostile()))
    assert "it was not loaded" in refusal(path)
    torch.save({"state_dict": {}, "genlab": Hostile()}, path)
    assert (
        refusal(path)
        == "FILE: holds more than tensors and plain data, or no checkpoint at all; it was not loaded"
    )
    assert not (tmp_path / "owned").exists()


def test_somebody_elses_checkpoint_is_foreign(tmp_path):
    torch.save({"state_dict": {"weight": torch.zeros(2)}}, tmp_path / "x.ckpt")
    assert refusal(tmp_path / "x.ckpt") == "FILE: is not a checkpoint of genlab (it has no genlab section)"


def test_a_newer_checkpoint_asks_for_a_newer_genlab(tmp_path):
    path = write(tmp_path / "x.ckpt", {}, genlab={"format": 99, "version": "9.0", "config": {}})
    assert (
        refusal(path)
        == f"FILE: was written by a newer genlab (9.0), this is {genlab.__version__}; update genlab"
    )


@pytest.mark.parametrize("target", ["os.system", "subprocess.Popen", "builtins.eval", "my_pkg.Model"])
def test_a_target_outside_the_trusted_packages_is_not_called(tmp_path, target):
    path = write(tmp_path / "x.ckpt", {"_target_": target, "command": f"touch {tmp_path}/owned"})
    package = target.partition(".")[0]
    assert refusal(path) == (
        f"FILE: wants to call {target}, and {package} is not trusted; if you trust this file, pass trust=[{package}]"
    )
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "torch.hub.load",
        "torch.load",
        "genlab.checkpoint.os.remove",
        "torch.package.PackageImporter",
    ],
)
def test_a_target_inside_a_trusted_package_that_is_no_part_of_a_model_is_not_called(tmp_path, target):
    path = write(
        tmp_path / "x.ckpt", {"nested": [{"_target_": target, "command": f"touch {tmp_path}/owned"}]}
    )
    assert (
        refusal(path) == f"FILE: wants to call {target}, which builds no part of a model; it was not loaded"
    )
    assert not (tmp_path / "owned").exists()


def test_a_package_of_the_users_own_is_called_when_it_is_trusted(tmp_path):
    node = {"_target_": "stand_ins.ELBO"}
    with pytest.raises(UserError, match="stand_ins is not trusted"):
        check_trust(node, (), tmp_path)
    check_trust(node, ("stand_ins",), tmp_path)


def test_weights_that_do_not_fit_are_told(tmp_path):
    model = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3}
    path = write(tmp_path / "x.ckpt", model, state_dict={"weight": torch.zeros(9, 9), "bias": torch.zeros(3)})
    assert refusal(path).startswith("FILE: its weights do not fit the model it describes: ")


def test_a_folder_without_a_checkpoint_is_told(tmp_path):
    assert refusal(tmp_path) == "FILE: holds no checkpoint; was the run stopped before its first epoch ended?"
    assert refusal(tmp_path / "x") == (
        "FILE: no such run; give the folder of a run, e.g. one of logs/*, or a .ckpt file"
    )


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "last.ckpt"
    target.write_text("old")

    def full_disk(file):
        file.write(b"half of it")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space left"):
        write_whole(target, full_disk)
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["last.ckpt"]


def test_a_checkpoint_is_written_beside_its_target_not_in_the_temporary_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path / "nowhere"))
    AtomicCheckpointIO().save_checkpoint({"a": torch.ones(2)}, tmp_path / "deep" / "x.ckpt")
    assert torch.load(tmp_path / "deep" / "x.ckpt")["a"].tolist() == [1, 1]


@pytest.mark.parametrize(
    "hidden",
    [
        ({"_target_": "pathlib.Path.touch", "self": "owned"},),
        "${oc.create:{_target_:pathlib.Path.touch,self:owned}}",
        "${oc.env:HOME}",
    ],
    ids=["in a tuple", "in an interpolation", "an interpolation"],
)
def test_a_target_hidden_from_the_check_is_refused(tmp_path, monkeypatch, hidden):
    monkeypatch.chdir(tmp_path)
    model = {"_target_": "torch.nn.Linear", "in_features": 2, "out_features": 3, "bias": hidden}
    path = write(tmp_path / "x.ckpt", model)
    assert "its config holds something other than plain data" in refusal(path)
    assert not (tmp_path / "owned").exists()


@pytest.mark.parametrize(
    "section",
    [
        [],
        "x",
        {"format": "9", "config": {"model": {}}},
        {"format": 1},
        {"format": 1, "config": {"model": None}},
    ],
)
def test_a_genlab_section_of_another_shape_is_damaged(tmp_path, section):
    path = write(tmp_path / "x.ckpt", {}, genlab=section)
    assert refusal(path) == "FILE: its genlab section is damaged; it was not loaded"
