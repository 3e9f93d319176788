"""One name for one architecture in every family, proven with a stub of the family that comes next."""

from pathlib import Path

import genlab
from genlab.config import compose
from genlab.contracts import Decoder, Encoder
from genlab.validation import validate

CONF = str(Path(__file__).parent / "stub_conf")
FAST = ("debug=fast", "trainer=cpu", "logger=none")


def networks(model):
    return [module for module in model.sampling_modules().values() if isinstance(module, (Encoder, Decoder))]


def test_a_sweep_over_families_and_networks_composes_and_trains(command, tmp_path):
    sweep = (
        "-m",
        "--config-dir",
        CONF,
        "model=vae,stubgan",
        "model/network=mlp,dcgan",
        "hydra.sweep.dir=sweep",
    )
    code, _, err = command("train", *sweep, *FAST)
    assert (code, err) == (0, "")
    models = [genlab.load_model(tmp_path / "sweep" / str(k), trust=["stand_ins"]) for k in range(4)]
    names = [[type(network).__name__ for network in networks(model)] for model in models]
    assert names == [
        ["MLPEncoder", "MLPDecoder"],
        ["DCGANEncoder", "DCGANDecoder"],
        ["MLPDecoder"],
        ["DCGANDecoder"],
    ]


def test_one_half_of_a_pair_is_exchanged_by_itself():
    cfg = compose(["model=stubgan", "model/network=dcgan", "model/discriminator=mlp"], config_dir=CONF)
    validate(cfg)
    assert cfg.model.generator._target_.endswith("DCGANDecoder")
    assert cfg.model.discriminator._target_.endswith("MLPEncoder")


def test_a_pair_that_does_not_exist_is_one_sentence(command):
    code, _, err = command("train", "--config-dir", CONF, "model=stubgan", "model/network=resnet")
    assert code == 1
    assert err.strip() == "model=stubgan has no network resnet; it has: dcgan, mlp (model/network=...)"
