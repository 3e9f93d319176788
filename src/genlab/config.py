"""From a config to objects: the closed root schema, `compose`, `validate`, and the one call of `instantiate`.

Imports neither torch nor lightning, so that `--help` and Hydra's own errors answer at once: the classes
that a config names are imported when it is validated.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.errors import InstantiationException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from genlab.errors import UserError


@dataclass
class TrainConfig:
    """The closed root of a training run: a section that is not here is refused."""

    data: Any = None
    model: Any = None
    trainer: Any = None
    callbacks: Any = None
    logger: Any = None
    metrics: Any = None
    name: str | None = None
    seed: int = 0
    resume: str | None = None
    init_from: str | None = None
    compile: bool = False
    channels_last: bool = False
    usual_epochs: int = 40


@dataclass
class SampleConfig:
    """The closed root of sample.py."""

    run: str = "???"
    n: int | None = None
    seed: int = 0
    show: str = "samples"
    format: str | None = None
    single: bool = False
    out: str | None = None
    overwrite: bool = False
    weights: str | None = None
    device: str = "auto"
    steps: int = 9
    dims: list[int] | None = None
    interpolation: str | None = None
    from_class: str | None = None
    to_class: str | None = None
    label: int | None = None
    prompt: str | None = None
    prompt_file: str | None = None
    length: int | None = None
    temperature: float | None = None
    top_k: int | None = None
    top_p: float | None = None
    trust: list[str] = field(default_factory=list)


@dataclass
class EvaluateConfig:
    """The closed root of evaluate.py."""

    run: str = "???"
    seed: int = 0
    weights: str | None = None
    device: str = "auto"
    batch_size: int | None = None
    metrics: Any = None
    trust: list[str] = field(default_factory=list)


def register_schemas() -> None:
    """Makes the closed roots known to Hydra under the names that conf/*.yaml ask for."""
    store = ConfigStore.instance()
    for name, schema in (("train", TrainConfig), ("sample", SampleConfig), ("evaluate", EvaluateConfig)):
        store.store(name=f"{name}_schema", node=schema)


def conf_dir() -> Path:
    """The folder of our config files: inside the installed package, else at the top of the checkout."""
    package = Path(__file__).parent
    inside = package / "conf"
    beside = package.parents[1] / "conf"
    if not inside.is_dir() and not beside.is_dir():
        raise UserError(f"{beside}: is not there; install genlab from a checkout by pip install -e .")
    return inside if inside.is_dir() else beside


def compose(overrides: Sequence[str] = (), *, config_dir: Path | str | None = None) -> DictConfig:
    """The config that `python train.py <overrides>` would run with, for notebooks and tests.

    Args:
        overrides: as on the command line, e.g. `["model=vae", "trainer.max_epochs=5"]`.
        config_dir: a folder of further options, as `--config-dir`.

    Returns:
        The composed config, sections as in `TrainConfig`, `name` filled in.

    Raises:
        UserError: `resume=` is among the overrides.
    """
    if any(override.startswith("resume=") for override in overrides):
        raise UserError("resume= belongs to the command line: python train.py resume=RUN")
    from genlab.resuming import quoted
    from genlab.run_folder import register_resolvers

    register_schemas()
    register_resolvers()
    more = [f"hydra.searchpath=[{quoted(f'file://{Path(config_dir).resolve()}')}]"] if config_dir else []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        cfg = hydra_compose("train", overrides=[*more, *overrides], return_hydra_config=True)
    choices = cfg.hydra.runtime.choices
    sections = without_hydra(cfg)
    fill_name(sections, model=choices["model"], data=choices["data"])
    return sections


def without_hydra(cfg: DictConfig) -> DictConfig:
    """The sections of a run, without Hydra's own."""
    return OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])


def fill_name(cfg: DictConfig, *, model: str, data: str) -> None:
    """Names a run after its model and data, unless the user named it."""
    if cfg.name is None:
        cfg.name = f"{model}_{data}"


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The config as dicts, lists, strings and numbers, every interpolation resolved.

    Raises:
        UserError: an interpolation leads nowhere.
    """
    from omegaconf.errors import OmegaConfBaseException

    try:
        container = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:
        sentence = f"the config does not resolve: {str(error).splitlines()[0]}"
        if "'data.image_shape'" in sentence:
            sentence = (
                "the model wants images, and this data has none (no data.image_shape): choose another data=, or "
                + _model_for(cfg.data)
            )
        raise UserError(sentence) from error
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}


def _model_for(data: DictConfig) -> str:
    """The words for a model of what the data has in place of images."""
    if "vocab_size" in data:
        return "for text a model of sequences, such as model=lstm"
    if "sequence_length" in data:
        return "for series a model of sequences, such as model=lstm or model=vrnn"
    return "for points model=gan model/network=points"


def build(node: Any, *, path: str) -> Any:
    """Calls the constructors of a config node, innermost first: the only call of `instantiate`.

    Args:
        node: a section with a `_target_`, as a config or as plain data.
        path: where the node stands in the config, for the error message.

    Raises:
        UserError: a constructor refused its arguments; the message is its own sentence.
    """
    try:
        return instantiate(_settled(node), _convert_="all")
    except InstantiationException as error:
        cause = error.__cause__
        if isinstance(cause, UserError):
            raise cause from error
        if not isinstance(cause, (ValueError, TypeError)):
            raise
        where = str(error).rpartition("full_key: ")[2] if "full_key: " in str(error) else ""
        raise UserError(f"{'.'.join(filter(None, (path, where)))}: {cause}") from error


def _settled(node: Any) -> Any:
    """A node as plain data in which a text that holds `${` stays what it is: `instantiate` interpolates it twice."""
    if OmegaConf.is_config(node):
        node = OmegaConf.to_container(node, resolve=True)
    if isinstance(node, dict):
        return {key: _settled(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_settled(value) for value in node]
    if isinstance(node, str):
        for _ in range(2):
            node = re.sub(r"(\\*)\$\{", lambda found: found[1] * 2 + r"\${", node)
    return node
