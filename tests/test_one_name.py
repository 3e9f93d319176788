"""One name for one architecture in every family, proven with a stub of a family that is somebody else's."""

import json
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
    choices = ("model=vae,stubgan", "model/network=mlp,dcgan")
    where = ("--config-dir", CONF, "hydra/launcher=basic", "hydra.sweep.dir=sweep")
    code, _, err = command("train", "-m", *where, *choices, *FAST)
    assert (code, err) == (0, "")
    names = {}
    for job in tmp_path.glob("sweep/*/job.json"):
        model = genlab.load_model(job.parent, trust=["stand_ins"])
        told = tuple(override.partition("=")[2] for override in json.loads(job.read_text())["varied"])
        names[told] = [type(network).__name__ for network in networks(model)]
    assert names == {
        ("vae", "mlp"): ["MLPEncoder", "MLPDecoder"],
        ("vae", "dcgan"): ["DCGANEncoder", "DCGANDecoder"],
        ("stubgan", "mlp"): ["MLPDecoder"],
        ("stubgan", "dcgan"): ["DCGANDecoder"],
    }


def test_one_half_of_a_pair_is_exchanged_by_itself():
    cfg = compose(["model=stubgan", "model/network=dcgan", "model/critic=mlp"], config_dir=CONF)
    validate(cfg)
    assert cfg.model.painter._target_.endswith("DCGANDecoder")
    assert cfg.model.critic._target_.endswith("MLPEncoder")


def test_a_pair_that_does_not_exist_is_one_sentence(command):
    code, _, err = command("train", "--config-dir", CONF, "model=stubgan", "model/network=resnet")
    assert code == 1
    assert err.strip() == "model=stubgan has no network resnet; it has: dcgan, mlp (model/network=...)"
