"""Every option that conf/ offers composes, validates, and hides no knob."""

import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from genlab.config import compose, conf_dir, plain
from genlab.errors import UserError
from genlab.validation import locate, validate

CONF = conf_dir()
COMPLETED = {
    "out_features", "latent_dim", "params_per_value", "root", "download", "num_classes", "extra_channels", "pack",
    "num_features", "spectral_norm", "joins", "posterior", "in_features",
    "step_input", "embedding", "output", "tied", "prior", "end_token",
    "out_channels", "in_channels", "downsampling", "num_codes", "code_dim",
    "vocab_size",
}  # fmt: skip
"""What a family gives its networks, and a datamodule its datasets; it stands in no YAML file."""


def options() -> list[tuple[str, str]]:
    """All (group, option) that a user can choose; folders named base and parts hold what options share."""
    found = []
    for file in sorted(CONF.rglob("*.yaml")):
        group = file.parent.relative_to(CONF).as_posix()
        if group != "." and not {"base", "parts", "pair"} & set(file.parent.parts):
            found.append((group, file.stem))
    return found


ADVERSARIAL = {
    f"model/{name}" for name in ("penalty", "augment", "conditioning", "generator", "discriminator")
}
QUANTIZED = ("model/quantizer", "model/prior")
SERIES = ("sines", "csv", "mnist_rows", "digits_rows")
POINTS = ("ring", "grid", "spiral", "two_moons", "points")
TEXT = ("python_source", "shakespeare", "text")
STUBS = Path(__file__).parent / "stub_conf"


def composed(group: str, option: str) -> Any:
    """A config with the option in it, of a model and data that it suits."""
    extra = ["data.path=photos"] if group == "data" and option in ("folder", "text", "csv") else []
    text = (CONF / group / f"{option}.yaml").read_text(encoding="utf-8")
    if option in POINTS:
        extra += ["model=gan", "model/network=points", *(["data=ring"] if group != "data" else [])]
    elif (group == "data" and option in TEXT) or group == "data/tokenizer":
        extra += ["model=bigrams", *(["data=shakespeare"] if group != "data" else [])]
    elif group == "model/output":
        extra += ["model=lstm"]
    elif group == "data" and option in SERIES:
        extra += ["model=stubseries"]
    elif "\n_target_: genlab.networks." in text and group in QUANTIZED:
        extra += ["model=vqvae"]
    elif group in ADVERSARIAL or ".adversarial." in text or option in ("sngan", "r3gan"):
        extra += ["model=gan"]
    return compose([*extra, f"{group}={option}"], config_dir=STUBS)


def nodes(tree: Any, path: str = "") -> list[tuple[str, dict[str, Any]]]:
    """All constructor calls of a config, with their paths."""
    if isinstance(tree, list):
        return [n for i, child in enumerate(tree) for n in nodes(child, f"{path}.{i}")]
    if not isinstance(tree, dict):
        return []
    own = [(path, tree)] if "_target_" in tree else []
    return own + [n for key, child in tree.items() for n in nodes(child, f"{path}.{key}".lstrip("."))]


def test_the_glob_finds_the_options_we_know():
    known = {
        ("model", "vae"),
        ("data", "digits"),
        ("model/network", "mlp"),
        ("trainer", "ddp_cpu"),
        ("logger", "none"),
    }
    assert known <= set(options())


@pytest.mark.parametrize(("group", "option"), options())
def test_every_option_composes_and_validates(group, option):
    validate(composed(group, option), facts_known=False)


@pytest.mark.parametrize(("group", "option"), options())
def test_every_argument_of_our_classes_is_listed_in_the_yaml(group, option):
    for path, node in nodes(plain(composed(group, option))):
        if not node["_target_"].startswith("genlab."):
            continue
        arguments = set(inspect.signature(locate(node["_target_"])).parameters)
        hidden = arguments - set(node) - (COMPLETED if node.get("_partial_") else set())
        assert not hidden, f"{path}: {sorted(hidden)} of {node['_target_']} cannot be set without a +"


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda f: f.relative_to(CONF).as_posix())
def test_every_file_begins_with_what_it_is(file):
    lines = [line for line in file.read_text().splitlines() if "@package" not in line]
    assert re.match(r"# \S.{8,}", lines[0]), f"{file}: its first line should say in a comment what it is"


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda f: f.relative_to(CONF).as_posix())
def test_every_setting_has_a_comment(file):
    if file.parent.name in ("experiment", "debug") or file.parent == CONF:
        return  # they list differences only, or are checked by eye
    for line in file.read_text().splitlines():
        setting = re.match(r"\s*(\w+): (?P<value>[^#]*)(?P<comment>#.*)?$", line)
        if not setting or setting[1].startswith("_") or setting[1] in ("defaults", "train", "test"):
            continue
        told = (
            setting["comment"]
            or setting[1] in explained(file)
            or "${" in setting["value"]
            or setting["value"].lstrip().startswith("{")
        )
        assert told, f"{file.relative_to(CONF)}: {line.strip()} has no comment"


def explained(file: Path) -> set[str]:
    """The settings that have a comment somewhere in a file's group: an option may repeat what its base explains."""
    group = CONF / file.relative_to(CONF).parts[0]
    return {
        m[1] for f in group.rglob("*.yaml") for m in re.finditer(r"^\s*(\w+):[^#\n]*#", f.read_text(), re.M)
    }


def networks_of(family: str) -> list[str]:
    return sorted(f.stem.removeprefix(f"{family}_") for f in (CONF / "model/pair").glob(f"{family}_*.yaml"))


def test_every_pair_belongs_to_a_model_and_to_a_network():
    pairs = sorted((CONF / "model/pair").glob("*.yaml"))
    assert pairs
    for pair in pairs:
        family, _, network = pair.stem.partition("_")
        assert (CONF / "model" / f"{family}.yaml").exists()
        assert (CONF / "model/network" / f"{network}.yaml").exists()


@pytest.mark.parametrize("data", ["digits", "mnist", "cifar10"])
@pytest.mark.parametrize("network", networks_of("vae"))
def test_every_network_fits_every_shape_of_image(network, data):
    cfg = compose([f"model/network={network}", f"data={data}"])
    validate(cfg)
    assert cfg.model.encoder.image_shape == cfg.data.image_shape


def test_the_plain_config_is_plain():
    def check(value: Any) -> None:
        assert type(value) in (dict, list, str, int, float, bool, type(None)), value
        for child in value.values() if isinstance(value, dict) else value if isinstance(value, list) else []:
            check(child)

    check(plain(compose([])))


def test_a_run_is_named_after_model_and_data_unless_it_has_a_name():
    assert compose([]).name == "vae_digits"
    assert compose(["name=mine"]).name == "mine"


def test_the_command_line_wins_over_an_experiment():
    cfg = compose(["experiment=vae_mnist", "model.latent_dim=7", "data=digits"])
    assert (cfg.model.latent_dim, cfg.data.num_classes, cfg.name) == (7, 10, "vae_mnist")
    assert "mnist" not in str(OmegaConf.to_container(cfg.data)).lower()


def test_conf_dir_is_found():
    assert Path(CONF, "train.yaml").is_file()


def test_resume_is_refused_where_it_would_be_ignored():
    with pytest.raises(UserError, match="^resume= belongs to the command line: python train.py resume=RUN$"):
        compose(["resume=logs/x"])


def test_large_data_are_passed_over_fewer_times_unless_told_otherwise():
    def epochs(*words):
        return compose(list(words)).trainer.max_epochs

    assert epochs() == epochs("model=lstm", "data=sines") == 40
    assert epochs("model=lstm") == epochs("model=lstm", "trainer=ddp_cpu") == 4
    assert epochs("model=transformer", "data=shakespeare") == 40
    assert epochs("model=lstm", "trainer.max_epochs=9") == 9
    assert epochs("usual_epochs=3") == epochs("model=lstm", "usual_epochs=3") == 3
    assert (epochs("experiment=lstm_python_source"), epochs("model=lstm", "debug=overfit")) == (2, 100)
