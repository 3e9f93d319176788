"""What a run says about itself: the header, result.json, the last table."""

import platform
import shlex
import sys
from pathlib import Path
from typing import Any

import pytorch_lightning
import torch
from pytorch_lightning import Trainer
from torch import nn

import genlab
from genlab import run_folder
from genlab.assembly import Parts
from genlab.callbacks.checkpoints import Checkpoints
from genlab.callbacks.early_stopping import EarlyStopping
from genlab.callbacks.throughput import Throughput
from genlab.callbacks.watchdog import Watchdog
from genlab.errors import UserError
from genlab.invocation import command, verb
from genlab.run_folder import as_typed
from genlab.tables import duration, table


def header(parts: Parts, folder: Path, notes: list[str]) -> str:
    """What is trained on what, where, into which folder."""
    config, data, model = parts.config, parts.datamodule, parts.model
    shape = config["data"].get("image_shape")
    kind = f"images of {'x'.join(map(str, shape))}" if shape else getattr(data, "counted", "samples")
    networks = [
        f"{name} {type(module).__name__} ({_count(parameters(module))})"
        for name, module in model.named_children()
        if parameters(module)
    ]
    judged = [getattr(module, "unit", "") for module in model.children()]
    lines = [
        f"{config['name']}: {data.num_train:,} training and {data.num_val:,} validation {kind}",
        f"  model    {type(model).__name__}, {parameters(model):,} parameters: {', '.join(networks)}",
        *[f"  loss     {unit}" for unit in judged if unit],
        f"  on       {describe_device(parts.trainer)}, precision {parts.trainer.precision}, seed {config['seed']}",
        f"  into     {as_typed(folder)}",
    ]
    lines += [f"  note     {note}" for note in notes]
    if config["init_from"]:
        left = [name for name in parts.unmatched if not name.startswith("codec: ")]
        taken = f"all but {len(left)} tensors" if left else "every tensor"
        lines.append(f"  weights  {taken} from {config['init_from']}")
        lines += [f"           {name}" for name in parts.unmatched]
    return "\n".join(lines)


def parameters(module: nn.Module) -> int:
    """How many numbers of a module are trained."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def describe_device(trainer: Trainer) -> str:
    """The hardware in words, with the number of processes where there are several."""
    device = trainer.strategy.root_device
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
    return (
        name
        if trainer.world_size == 1
        else f"{trainer.world_size} x {name} ({type(trainer.strategy).__name__})"
    )


def how_it_ended(trainer: Trainer) -> str:
    """`finished`, `early_stopping` or `max_time`."""
    if trainer.should_stop:
        stopped_early = any(
            isinstance(c, EarlyStopping) and c.has_stopped for c in trainer.early_stopping_callbacks
        )
        return "early_stopping" if stopped_early else "max_time"
    return "finished"


def check_saved(trainer: Trainer, folder: Path) -> None:
    """Refuses to call a run finished whose end is not on the disk.

    Raises:
        UserError: the last checkpoint could not be written.
    """
    if any(isinstance(c, Checkpoints) and not c.saved for c in trainer.checkpoint_callbacks):
        raise UserError(
            f"{folder}: the end of the run could not be saved, for the disk is full or cannot be written to; "
            f"make room and give resume={folder}"
        )


def result(parts: Parts, *, ended: str, error: str | None, seconds: float, before: float) -> dict[str, Any]:
    """All that result.json holds; metrics in the units of their names, times in seconds.

    Speed and `seconds` are those of this process, `before` is the time of the processes it went on from.
    """
    trainer, config = parts.trainer, parts.config
    keeper = next((c for c in trainer.callbacks if isinstance(c, Checkpoints)), None)  # type: ignore[attr-defined]
    speed = next((c for c in trainer.callbacks if isinstance(c, Throughput)), None)  # type: ignore[attr-defined]
    watchdog = next((c for c in trainer.callbacks if isinstance(c, Watchdog)), None)  # type: ignore[attr-defined]
    final = {name: float(value) for name, value in sorted(trainer.callback_metrics.items())}
    return {
        "name": config["name"],
        "ended": ended,
        "error": error,
        "final": final,
        "best": keeper.best() if keeper else None,
        "mode": keeper.mode if keeper else None,
        "epochs": trainer.current_epoch,
        "steps": trainer.global_step,
        "wall_seconds": round(seconds, 3),
        "wall_seconds_before": before,
        "warnings": watchdog.warnings if watchdog else [],
        "rollbacks": watchdog.rollbacks if watchdog else 0,
        "images_per_second": speed.images_per_second if speed else None,
        "counted_as_images": speed.of if speed else None,
        "peak_memory_mb": peak_memory_mb(),
        "device": describe_device(trainer),
        "processes": trainer.world_size,
        "precision": str(trainer.precision),
        "parameters": {name: parameters(module) for name, module in parts.model.named_children()}
        | {"total": parameters(parts.model)},
        "seed": config["seed"],
        "resumed": config["resume"] is not None,
        "versions": versions(),
        "git_commit": run_folder.git_commit(Path(genlab.__file__).parent),
        "command": command(),
    }


def versions() -> dict[str, str]:
    """The versions that a number depends on."""
    import hydra

    return {
        "genlab": genlab.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "pytorch_lightning": pytorch_lightning.__version__,
        "hydra": hydra.__version__,
        "platform": platform.platform(terse=True),
    }


def peak_memory_mb() -> dict[str, float]:
    """The most memory this process held, in MB: of the machine, and of the GPU where one was used."""
    peak = {}
    if sys.platform != "win32":
        import resource

        unit = 1 if sys.platform == "darwin" else 1024  # bytes there, KiB elsewhere
        peak["cpu"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6, 1)
    if torch.cuda.is_available():
        peak["gpu"] = round(torch.cuda.max_memory_allocated() / 1e6, 1)
    return peak


def summary(outcome: dict[str, Any], folder: Path) -> str:
    """The last table, and what to type next."""
    best, final = outcome["best"], outcome["final"]
    at_best = best["metrics"] if best else {}
    shown = [name for name in final if name.startswith("val/")] or list(final)
    rows = [[name, final[name], at_best.get(name)] for name in shown]
    where = f"best (epoch {best['epoch']})" if best else "best"
    speed = (
        f", {outcome['images_per_second']:,.0f} {outcome['counted_as_images']}/s"
        if outcome["images_per_second"]
        else ""
    )
    took = duration(outcome["wall_seconds"])
    run = shlex.quote(str(as_typed(folder)))
    curves = any(folder.glob("events.out.tfevents*"))
    return "\n".join(
        [
            f"{outcome['ended']}: {outcome['epochs']} epochs, {outcome['steps']:,} steps in {took}{speed}",
            *([table(rows, ["", "final", where])] if rows else []),
            "next:",
            f"  {verb('sample')} run={run}",
            f"  {verb('evaluate')} run={run}",
            *([f"  tensorboard --logdir {shlex.quote(str(as_typed(folder.parent)))}"] if curves else []),
        ]
    )


def _count(n: int) -> str:
    return f"{n / 1e6:.1f} M" if n >= 1e5 else f"{n / 1e3:.1f} k"
