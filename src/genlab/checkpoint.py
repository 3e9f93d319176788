"""Checkpoints: written whole or not at all, self-describing, and read without running what they say."""

import inspect
import os
from collections.abc import Sequence
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, Literal

import torch
from pytorch_lightning import Callback, LightningModule, Trainer
from pytorch_lightning.plugins.io import TorchCheckpointIO
from torch import nn
from torch.optim import Optimizer
from torch.utils.data import Dataset

import genlab
from genlab.atomic import write_whole
from genlab.codecs.registry import restore, state_of
from genlab.config import build
from genlab.errors import UserError
from genlab.validation import locate

FORMAT = 1
"""Version of what genlab adds to a Lightning checkpoint."""

TRUSTED = ("genlab", "torch", "torchvision")
"""Packages whose constructors a checkpoint may call."""

Weights = Literal["ema", "live"]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes beside the target, then renames: a kill leaves the old file or the new one.

    Lightning writes to TMPDIR and moves; where that is another filesystem a kill leaves half a file.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None
    ) -> None:
        """Saves to `path`, an ordinary file system's."""
        try:
            write_whole(path, lambda file: torch.save(checkpoint, file))
        except RuntimeError as error:
            # torch tells of a full disk by a RuntimeError of its own, while handling the OSError
            if isinstance(error.__context__, OSError):
                raise error.__context__ from error
            raise


class StoreConfig(Callback):
    """Puts what rebuilds the model, plain data, into every checkpoint."""

    def __init__(self, config: dict[str, Any], codec: dict[str, Any] | None = None) -> None:
        """Takes the run's config, and the state of its codec where it has one."""
        self.config, self.codec = config, codec

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        own = {"format": FORMAT, "version": genlab.__version__, "config": self.config}
        checkpoint["genlab"] = own if self.codec is None else {**own, "codec": self.codec}


def read(path: Path) -> dict[str, Any]:
    """Loads a checkpoint of genlab's, tensors and plain data only.

    Raises:
        UserError: the file is missing, truncated, somebody else's, or of a newer genlab.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise UserError(f"{path}: no such checkpoint") from None
    except Exception as error:  # torch.load has no exception of its own: zip, pickle, EOF, runtime errors
        kind = (
            "holds more than tensors and plain data" if "weights_only" in str(error).lower() else "is damaged"
        )
        raise UserError(f"{path}: {kind}, or no checkpoint at all; it was not loaded") from error
    if not isinstance(content, dict) or "genlab" not in content or "state_dict" not in content:
        raise UserError(f"{path}: is not a checkpoint of genlab (it has no genlab section)")
    made = content["genlab"]
    known = isinstance(made, dict) and type(made.get("format")) is int
    if known and made["format"] > FORMAT:
        version = made.get("version", "?")
        raise UserError(
            f"{path}: was written by a newer genlab ({version}), this is {genlab.__version__}; update genlab"
        )
    config = made.get("config") if known else None
    if not isinstance(config, dict) or not isinstance(config.get("model"), dict):
        raise UserError(f"{path}: its genlab section is damaged; it was not loaded")
    return content


def find(run: str | Path) -> Path:
    """The checkpoint that stands for a run: its best, else its last; a checkpoint file stands for itself.

    Raises:
        UserError: there is none.
    """
    path = Path(run)
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(f"{path}: no such run; give the folder of a run, e.g. one of logs/*, or a .ckpt file")
    for name in ("best.ckpt", "last.ckpt"):
        if (path / "checkpoints" / name).is_file():
            return path / "checkpoints" / name
    raise UserError(f"{path}: holds no checkpoint; was the run stopped before its first epoch ended?")


def load_model(
    run: str | Path,
    *,
    weights: Weights | None = None,
    trust: Sequence[str] = (),
    device: str | torch.device = "cpu",
) -> Any:
    """A trained model in eval mode, ready for `.sample(n, seed=...)`, from a run folder or checkpoint.

    Args:
        run: a run folder (its best checkpoint, else its last) or a checkpoint file.
        weights: `ema` (moving average) or `live`; None takes the average where there is one.
        trust: further packages whose constructors the checkpoint may call.
        device: where the model is to live.

    Returns:
        The LightningModule, with the run's `run_config` (a dict), `weights` (which ones it has) and, where its
        data are sequences, `codec`.

    Raises:
        UserError: no such run, a damaged, foreign, newer or untrusted checkpoint, or no moving average
            where one was asked for.
    """
    path = find(run)
    content = read(path)
    config = content["genlab"]["config"]
    check_trust(config["model"], trust, path)
    model = build(config["model"], path="model")
    shadow = content.get("ema")
    if weights not in (None, "ema", "live"):
        raise UserError(f"weights must be ema or live, got {weights}")
    if weights == "ema" and not shadow:
        raise UserError(f"{path}: holds no moving average of the weights; use weights=live")
    try:
        model.load_state_dict(content["state_dict"])
        if shadow and weights != "live":
            for name, module in model.sampling_modules().items():
                module.load_state_dict(shadow[name])
    except (RuntimeError, KeyError) as error:
        raise UserError(
            f"{path}: its weights do not fit the model it describes: {_first_line(error)}"
        ) from error
    model.run_config, model.codec = config, codec_of(content, path)
    model.weights = "ema" if shadow and weights != "live" else "live"
    model.checkpoint_path, model.checkpoint_step = str(path), content.get("global_step")
    return model.eval().to(device)


def codec_of(content: dict[str, Any], path: Path) -> Any:
    """The codec that a checkpoint keeps; None where it keeps none.

    Raises:
        UserError: it is damaged, or of an unknown kind.
    """
    try:
        return restore(content["genlab"].get("codec"))
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def check_trust(node: Any, trust: Sequence[str], path: Path) -> None:
    """Refuses constructors from packages that nobody vouched for, before anything is imported.

    Raises:
        UserError: a `_target_` lies outside the trusted packages.
    """
    _check_plain(node, path)
    plugins = {
        point.value.partition(":")[0].partition(".")[0] for point in entry_points(group="genlab.plugins")
    }
    allowed = {*TRUSTED, *plugins, *trust}
    for target in _targets(node):
        package = target.partition(".")[0]
        if package not in allowed:
            raise UserError(
                f"{path}: wants to call {target}, and {package} is not trusted; "
                f"if you trust this file, pass trust=[{package}]"
            )
        found = locate(target)
        home = getattr(found, "__module__", "").partition(".")[0]
        # torch.os.system starts with torch, and torch.hub.load downloads code: only building blocks pass
        blocks = (nn.Module, Optimizer, Dataset) if home in ("torch", "torchvision") else (object,)
        harmless = inspect.isclass(found) and issubclass(found, blocks)
        if home not in allowed or not harmless:
            raise UserError(
                f"{path}: wants to call {target}, which builds no part of a model; it was not loaded"
            )


def _check_plain(node: Any, path: Path) -> None:
    """Lets pass only what the check of targets can read as well as Hydra: no tuples, no interpolations."""
    if type(node) is dict and all(type(key) is str for key in node):
        for child in node.values():
            _check_plain(child, path)
    elif type(node) is list:
        for child in node:
            _check_plain(child, path)
    elif type(node) not in (str, int, float, bool, type(None)) or (type(node) is str and "${" in node):
        raise UserError(
            f"{path}: its config holds something other than plain data ({str(node)[:40]}); it was not loaded"
        )


def _targets(node: Any) -> list[str]:
    if isinstance(node, dict):
        own = [str(node["_target_"])] if "_target_" in node else []
        return own + [target for child in node.values() for target in _targets(child)]
    if isinstance(node, list):
        return [target for child in node for target in _targets(child)]
    return []


def load_data(model: Any, *, trust: Sequence[str] = (), changes: dict[str, Any] | None = None) -> Any:
    """The datamodule that a loaded model was trained with, read and split as it was then.

    Args:
        model: from `load_model`.
        trust: as there.
        changes: datamodule arguments to change, e.g. `{"batch_size": 500}`.

    Raises:
        UserError: the data is not to be had, or the checkpoint names an untrusted constructor.
    """
    node = {**model.run_config["data"], **(changes or {})}
    if "root" in node and "GENLAB_DATA" in os.environ and not Path(str(node["root"])).exists():
        node["root"] = os.environ["GENLAB_DATA"]  # the run was trained elsewhere
    check_trust(node, trust, Path(model.checkpoint_path))
    datamodule = build(node, path="data")
    datamodule.prepare_data()
    datamodule.setup("fit")
    datamodule.setup("test")
    if state_of(getattr(datamodule, "codec", None)) != state_of(getattr(model, "codec", None)):
        raise UserError(
            f"{model.checkpoint_path}: its data read otherwise now than in training (another vocabulary or scale); take"
            " the files and libraries that it was trained with"
        )
    return datamodule


def pick_device(name: str) -> torch.device:
    """`auto` is the GPU where there is one.

    Raises:
        UserError: there is no such device here.
    """
    if name != "auto":
        try:
            return torch.empty(0, device=name).device
        except (RuntimeError, AssertionError) as error:
            raise UserError(f"device={name}: not available here; use device=auto or device=cpu") from error
    return torch.device(
        "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    )


def init_weights(model: LightningModule, run: str | Path) -> list[str]:
    """Copies the weights of another run wherever name and shape agree.

    Returns:
        The unmatched names, each with the reason, for the user to see.

    Raises:
        UserError: the other run cannot be read, or nothing of it fits.
    """
    content = read(find(run))
    other, codec = content["state_dict"], content["genlab"].get("codec")
    own = model.state_dict()
    fits = {k: v for k, v in other.items() if k in own and own[k].shape == v.shape}
    if not fits:
        raise UserError(f"init_from={run}: none of its {len(other)} tensors fits this model")
    model.load_state_dict(fits, strict=False)
    shapes = [
        f"{k}: {list(other[k].shape)} there, {list(own[k].shape)} here"
        for k in own
        if k in other and k not in fits
    ]
    differs = state_of(getattr(model, "codec", None)) != codec
    return (
        ["codec: another vocabulary or scale there, so equal numbers mean other things"] * differs
        + shapes
        + [f"{k}: only here" for k in own if k not in other]
        + [f"{k}: only there" for k in other if k not in own]
    )


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip().endswith(".")), str(error))
