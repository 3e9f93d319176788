from typing import Any

import pytest
from omegaconf import OmegaConf

from genlab.config import build
from genlab.errors import UserError
from genlab.validation import validate


def config(**changes: Any):
    """A config that is right, but for the changes, given as `model__loss=...`."""
    cfg = OmegaConf.create(
        {
            "data": {"_target_": "stand_ins.Data", "image_shape": [1, 8, 8]},
            "model": {
                "_target_": "stand_ins.Model",
                "loss": {"_target_": "stand_ins.ELBO", "beta": 1.0},
                "network": {"_target_": "stand_ins.Network", "_partial_": True, "width": 4},
                "image_shape": "${data.image_shape}",
                "mode": "sum",
            },
            "trainer": {"_target_": "stand_ins.Trainer", "max_epochs": 2},
            "callbacks": None,
            "logger": None,
        }
    )
    for path, value in changes.items():
        OmegaConf.update(cfg, path.replace("__", "."), value, merge=False)
    return cfg


def problems(**changes: Any) -> list[str]:
    with pytest.raises(UserError) as error:
        validate(config(**changes))
    return str(error.value).splitlines()


def test_a_right_config_passes():
    validate(config())


def test_an_unknown_argument_is_told_with_the_closest_name():
    assert problems(model__loss__beat=2) == ["model.loss.beat: no argument of ELBO; did you mean beta?"]


def test_settings_of_a_metric_that_is_not_chosen_are_refused():
    assert problems(metrics={"nll": {"k": 5}}) == [
        "metrics.nll: settings of a metric that is not chosen; give metrics=... with it, or metrics.nll=null"
    ]
    validate(config(metrics={"nll": None}))


def test_without_a_close_name_all_are_listed():
    assert problems(trainer__xyz=2) == ["trainer.xyz: no argument of Trainer; allowed: max_epochs"]


def test_a_missing_argument_is_told():
    cfg = config()
    del cfg.model.loss
    with pytest.raises(UserError, match=r"^model.loss: Model needs it and it is not given$"):
        validate(cfg)


def test_an_open_value_is_told():
    assert problems(model__mode="???") == ["model.mode: no value; give model.mode=..."]


def test_a_wrong_scalar_is_told_with_what_is_allowed():
    assert problems(model__network__width="wide") == [
        "model.network.width: must be a whole number, got 'wide'"
    ]
    assert problems(model__rate="fast") == ["model.rate: must be a number or null, got 'fast'"]
    assert problems(trainer__max_epochs=1.5) == [
        "trainer.max_epochs: must be a whole number or null, got 1.5"
    ]
    assert problems(model__network__width=True) == ["model.network.width: must be a whole number, got True"]


def test_a_word_outside_a_literal_is_told_with_all_words():
    assert problems(model__mode="median") == ["model.mode: must be one of sum, mean, got 'median'"]


def test_a_whole_number_beside_a_float_is_refused_as_adam_would():
    (problem,) = problems(model__betas=[0, 0.9])
    assert problem == "model.betas: must be a list of 2, each a number (write 0.0, not 0), got [0, 0.9]"
    validate(config(model__betas=[0.0, 0.9]))


def test_a_hinge_loss_is_no_loss_of_a_variational_model():
    assert problems(model__loss={"_target_": "stand_ins.Hinge"}) == [
        "model.loss: wants a Loss, got Hinge: choose another option of its group, see --list"
    ]


def test_a_factory_of_the_wrong_class_is_told():
    wrong = {"_target_": "stand_ins.Hinge", "_partial_": True}
    assert problems(model__network=wrong) == [
        "model.network: wants a Network, got Hinge: choose another option of its group, see --list"
    ]


def test_an_object_where_a_factory_is_wanted_is_told_and_the_reverse():
    assert problems(model__network={"_target_": "stand_ins.Network", "width": 1}) == [
        "model.network: wants a factory: write `_partial_: true` beside Network"
    ]
    assert problems(model__loss={"_target_": "stand_ins.ELBO", "_partial_": True}) == [
        "model.loss: wants a Loss, got a factory: remove `_partial_: true`"
    ]


def test_a_word_where_an_object_is_wanted_is_told():
    assert problems(model__loss="elbo") == [
        "model.loss: wants a Loss, got 'elbo'; choose one of its config group"
    ]


def test_a_misspelt_class_is_told_with_the_closest_one():
    assert problems(model__loss={"_target_": "stand_ins.ELBOW"}) == [
        "model.loss: stand_ins.ELBOW: no ELBOW in stand_ins; did you mean ELBO?"
    ]
    assert problems(model__loss={"_target_": "no_such_module.X"}) == [
        "model.loss: no_such_module.X: no module of that name can be imported"
    ]


def test_an_unknown_section_is_told():
    assert problems(modle={"a": 1}) == ["modle: no section of a run; did you mean model?"]


def test_all_problems_are_told_at_once():
    got = problems(model__loss__beat=2, model__mode="median", modle=1, trainer__max_epochs="x")
    assert len(got) == 4


def test_facts_may_be_null_until_the_data_was_read():
    unread = config(data__image_shape=None)
    validate(unread, facts_known=False)
    with pytest.raises(UserError, match=r"model.image_shape: must be a list, each a whole number, got None"):
        validate(unread)


def test_a_constructors_own_refusal_names_the_place():
    with pytest.raises(UserError, match=r"^model.network: width must be at least 1, got 0$"):
        build(
            {"network": {"_target_": "stand_ins.Network", "width": 0}, "_target_": "stand_ins.Data"},
            path="model",
        )
