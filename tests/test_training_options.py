"""The options that say how a model is trained: optimizer, scheduler, trainer, debug."""

import inspect
import warnings
from pathlib import Path

import pytest
import pytorch_lightning as pl
import torch
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from genlab.config import build, plain
from genlab.schedules import Plateau, Schedule

CONF = Path(__file__).parents[1] / "conf"
SET_BY_THE_VERB = {"callbacks", "logger", "plugins", "default_root_dir"}
NEEDS_HARDWARE = {"gpu", "mps", "ddp"}


def _options(group):
    names = sorted(path.stem for path in (CONF / group).glob("*.yaml"))
    assert names, f"conf/{group} holds no options"
    return names


def _load(group, option):
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose(f"{group}/{option}")
    for key in group.split("/"):
        cfg = cfg[key]
    return plain(cfg)


@pytest.mark.parametrize("option", _options("model/optimizer"))
def test_every_optimizer_makes_its_parameter_smaller(option):
    parameter = torch.nn.Parameter(torch.ones(3))
    optimizer = build(_load("model/optimizer", option), path="model.optimizer")([parameter])
    parameter.square().sum().backward()
    optimizer.step()
    assert (parameter.abs() < 1).all()


@pytest.mark.parametrize("option", _options("model/optimizer"))
def test_every_optimizer_is_fused_where_torch_can(option):
    node = _load("model/optimizer", option)
    can = "fused" in inspect.signature(getattr(torch.optim, node["_target_"].split(".")[-1])).parameters
    assert node.get("fused", False) is can


@pytest.mark.parametrize("option", _options("model/scheduler"))
def test_every_scheduler_begins_with_the_rate_as_given(option):
    schedule = build(_load("model/scheduler", option), path="model.scheduler")
    assert isinstance(schedule, Plateau) or (
        isinstance(schedule, Schedule) and schedule.multiplier(0, 100) == pytest.approx(1.0)
    )


@pytest.mark.parametrize("option", _options("trainer"))
def test_every_trainer_names_arguments_of_lightnings(option):
    arguments = set(inspect.signature(pl.Trainer).parameters)
    given = set(_load("trainer", option)) - {"_target_"}
    assert given <= arguments - SET_BY_THE_VERB


@pytest.mark.parametrize("option", sorted(set(_options("trainer")) - NEEDS_HARDWARE))
def test_every_trainer_of_this_hardware_can_be_made(option):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = build(_load("trainer", option), path="trainer")
    assert trainer.max_epochs == 40
    assert trainer.world_size == (2 if option == "ddp_cpu" else 1)


@pytest.mark.parametrize("option", sorted(NEEDS_HARDWARE))
def test_the_trainers_of_other_hardware_are_there(option):
    assert _load("trainer", option)["accelerator"] in ("gpu", "mps")


def test_the_base_of_the_trainers_is_no_option_of_its_own():
    assert _options("trainer") == ["auto", "cpu", "ddp", "ddp_cpu", "gpu", "mps"]


@pytest.mark.parametrize("option", _options("debug"))
def test_every_debug_option_changes_settings_that_the_trainers_have(option):
    assert (CONF / "debug" / f"{option}.yaml").read_text().startswith("# @package _global_\n# ")
    changes = OmegaConf.load(CONF / "debug" / f"{option}.yaml")
    unknown = set(changes.trainer) - set(_load("trainer", "cpu"))
    assert not unknown, f"debug={option} sets trainer.{unknown.pop()}, which no trainer lists"


@pytest.mark.parametrize("option", _options("debug"))
def test_every_debug_option_makes_a_trainer(option, tmp_path):
    changes = plain(OmegaConf.load(CONF / "debug" / f"{option}.yaml"))["trainer"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = build(
            {**_load("trainer", "cpu"), **changes, "default_root_dir": str(tmp_path)}, path="trainer"
        )
    assert isinstance(trainer, pl.Trainer)
