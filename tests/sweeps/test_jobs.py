import json
import re

import pytest
from omegaconf import OmegaConf
from sweep_folders import finished, make_job

from genlab.sweeps import jobs

TOLD = ["model/network=mlp", "model.latent_dim=4", "seed=1"]


def test_a_fingerprint_does_not_depend_on_the_order_of_typing():
    assert jobs.fingerprint(TOLD) == jobs.fingerprint(reversed(TOLD))
    assert re.fullmatch(r"[0-9a-f]{8}", jobs.fingerprint(TOLD))


def test_a_fingerprint_depends_on_every_name_and_value():
    others = [TOLD[:2], [*TOLD, "name=x"], [*TOLD[:2], "seed=11"], [*TOLD[:2], "seed.1="], []]
    assert len({jobs.fingerprint(told) for told in [TOLD, *others]}) == 6


def test_of_two_overrides_of_one_setting_the_last_one_counts_so_their_order_does():
    assert jobs.fingerprint(["seed=1", "seed=2"]) != jobs.fingerprint(["seed=2", "seed=1"])
    assert jobs.fingerprint(["seed=1", "a=0", "+seed=2"]) == jobs.fingerprint(["a=0", "seed=1", "+seed=2"])


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ("seed=1", "seed"),
        ("+model/network@model.x=mlp", "model/network"),
        ("~callbacks.kill", "callbacks.kill"),
        ("++name=a=b", "name"),
    ],
)
def test_a_key_is_the_name_of_what_is_set(override, key):
    assert jobs.key(override) == key


def test_a_job_is_described_by_the_ends_of_its_names():
    assert jobs.describe(TOLD) == "network=mlp latent_dim=4 seed=1"
    assert jobs.describe([]) == ""


@pytest.mark.parametrize(
    "varied",
    [
        ["name='a, b/c'"],
        ['prompt=中文\n"x"', "model.betas=[0.9,0.99]"],
        ["model.hidden=" + ",".join(["512"] * 99)],
        ["~callbacks.kill"],
        ["data.path=../../etc/"],
    ],
)
def test_a_folders_name_is_harmless_and_short(tmp_path, varied):
    name = jobs.folder_name(tmp_path, [*TOLD, *varied], varied)
    assert re.fullmatch(r"[0-9a-f]{8}_[A-Za-z0-9._-]*[A-Za-z0-9]", name)
    assert len(name) <= 8 + 1 + 80


def test_a_folder_is_named_by_what_differs(tmp_path):
    assert jobs.folder_name(tmp_path, TOLD, TOLD[:2]) == f"{jobs.fingerprint(TOLD)}_network-mlp_latent_dim-4"
    assert jobs.folder_name(tmp_path, TOLD, []) == jobs.fingerprint(TOLD)


def test_a_job_that_has_a_folder_keeps_it_when_more_differs(tmp_path):
    before = make_job(tmp_path, *TOLD, varied=("seed=1",))
    assert jobs.folder_name(tmp_path, TOLD[::-1], TOLD) == before.name
    (tmp_path / f"{jobs.fingerprint(['seed=2'])}.txt").touch()  # a file is no folder
    assert jobs.folder_name(tmp_path, ["seed=2"], ["seed=2"]).endswith("_seed-2")


def test_of_two_folders_with_one_hash_the_same_one_is_always_taken(tmp_path):
    digits = jobs.fingerprint(TOLD)
    for name in (f"{digits}_b", f"{digits}_a"):
        (tmp_path / name).mkdir()
    assert {jobs.folder_name(tmp_path, TOLD, TOLD) for _ in range(3)} == {f"{digits}_a"}


@pytest.mark.parametrize("ended", ["finished", "early_stopping", "max_time"])
def test_a_job_with_nothing_left_to_do_is_finished(tmp_path, ended):
    (tmp_path / "result.json").write_text(json.dumps({"ended": ended}))
    assert jobs.state(tmp_path) == "finished"


@pytest.mark.parametrize(
    "result",
    ['{"ended": "failed"}', '{"ended": "running"}', '{"ended": "interrupted"}', '{"ended": "fini', "[]"],
)
def test_a_job_that_did_not_end_well_has_to_go_on_where_hydra_has_begun_it(tmp_path, result):
    (tmp_path / "result.json").write_text(result)
    assert jobs.state(tmp_path) == "new"
    (tmp_path / ".hydra").mkdir()
    assert jobs.state(tmp_path) == "new"  # killed before the overrides were written
    (tmp_path / ".hydra" / "overrides.yaml").write_text("[]")
    assert jobs.state(tmp_path) == "begun"
    assert jobs.state(tmp_path / "nowhere") == "new"


def test_a_job_has_failed_until_a_later_attempt_ends_well(tmp_path):
    failed = make_job(tmp_path, "seed=0", error="out of memory", result={"ended": "failed"})
    assert jobs.has_failed(failed)
    (failed / "result.json").write_text('{"ended": "finished"}')
    assert not jobs.has_failed(failed)
    assert not jobs.has_failed(make_job(tmp_path, "seed=1"))
    assert not jobs.has_failed(tmp_path)


def test_a_sweeper_is_given_the_best_value_of_what_was_watched(tmp_path):
    assert jobs.watched_number(make_job(tmp_path, "seed=0", result=finished(3.5))) == 3.5
    assert jobs.watched_number(make_job(tmp_path, "seed=1", result=finished(None))) is None
    assert jobs.watched_number(make_job(tmp_path, "seed=2")) is None


def test_a_record_is_read_back_as_it_was_written(tmp_path):
    record = jobs.Record(["name=中文, 'x'"], [], -9, "killed by SIGKILL")
    jobs.write_record(tmp_path, record)
    assert jobs.read_record(tmp_path) == record


@pytest.mark.parametrize(
    "content",
    ["", '{"overrides": ["a=1"', "[1, 2]", "null", '{"overrides": []}', '{"x": 1}', b"\xff\xfe\x00"],
)
def test_a_damaged_record_is_no_record(tmp_path, content):
    assert jobs.read_record(tmp_path) is None
    (tmp_path / "job.json").write_bytes(content if isinstance(content, bytes) else content.encode())
    assert jobs.read_record(tmp_path) is None
    assert not jobs.has_failed(tmp_path)


CONFIG = {
    "seed": 1,
    "name": "vae_digits",
    "model": {"latent_dim": 4, "lr": 1e-3, "betas": [0.9, 0.99], "network": {"width": 2}},
    "trainer": {"precision": "32-true", "max_time": None},
}


def test_of_a_sweeps_job_only_what_varies_is_a_setting_with_its_type(tmp_path):
    varied = ("model/network=mlp", "model.latent_dim=4", "model.lr=1e-3", "trainer.precision=32-true")
    folder = make_job(tmp_path, *varied, "seed=1", "trainer=cpu", varied=varied)
    assert jobs.settings(folder, CONFIG) == {
        "model/network": "mlp",
        "model.latent_dim": 4,
        "model.lr": 0.001,
        "trainer.precision": "32-true",
    }
    assert type(jobs.settings(folder, CONFIG)["model.latent_dim"]) is int


def test_of_a_single_run_all_that_was_typed_is_a_setting(tmp_path):
    (tmp_path / ".hydra").mkdir()
    told = ["model=vae", "seed=1", "model.betas=[0.9,0.99]", "trainer.max_time=null", "~logger", "seed=1"]
    OmegaConf.save(OmegaConf.create(told), tmp_path / ".hydra" / "overrides.yaml")
    assert jobs.settings(tmp_path, CONFIG) == {
        "model": "vae",  # a group: the option's name, not the whole section
        "seed": 1,
        "model.betas": "[0.9,0.99]",
        "trainer.max_time": "null",
        "logger": "",
    }


def test_a_run_that_was_told_nothing_has_no_settings(tmp_path):
    assert jobs.settings(tmp_path, CONFIG) == {}
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "overrides.yaml").write_text("[]\n")
    assert jobs.settings(tmp_path, CONFIG) == {}
