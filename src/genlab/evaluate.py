"""The verb `evaluate`: a trained model on the test set, which nothing else touches."""

import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig

from genlab.commandline import run_verb
from genlab.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

log = logging.getLogger("genlab")


def main() -> None:
    """The command `python evaluate.py run=logs/RUN`."""
    run_verb(evaluate, config="evaluate")


def evaluate(cfg: DictConfig) -> dict[str, Any]:
    """Judges a run on its test set and writes evaluation.json into its folder.

    Returns:
        What stands in the file: every number with its protocol.

    Raises:
        UserError: no such run, no data, a wrong setting.
    """
    if cfg.nll_samples < 0:
        raise UserError(f"nll_samples must be at least 0, got {cfg.nll_samples}")
    for name in ("nll_images", "batch_size"):
        if cfg[name] is not None and cfg[name] < 1:
            raise UserError(f"{name} must be at least 1, or null, got {cfg[name]}")
    from pytorch_lightning import seed_everything

    from genlab import report
    from genlab.assembly import hush
    from genlab.checkpoint import find, load_data, load_model, pick_device
    from genlab.contracts import Density
    from genlab.run_folder import write_json
    from genlab.sample_metrics import judge_samples
    from genlab.tables import table

    hush()
    began = time.perf_counter()
    model = load_model(cfg.run, weights=cfg.weights, trust=list(cfg.trust), device=pick_device(cfg.device))
    changes = {"batch_size": cfg.batch_size} if cfg.batch_size else {}
    datamodule = load_data(model, trust=list(cfg.trust), changes=changes)
    seed_everything(cfg.seed, verbose=False)
    numbers = [[name, value, None] for name, value in _bound(model, datamodule).items()]
    if cfg.nll_samples and isinstance(model, Density):
        numbers.append(["test/nll", *_log_likelihood(model, datamodule, cfg.nll_samples, cfg.nll_images)])
    judged = judge_samples(model, cfg.metrics, seed=cfg.seed, trust=list(cfg.trust))
    numbers += [
        [f"{name}/{key}", value, None] for name, one in judged.items() for key, value in one.numbers.items()
    ]
    outcome = {
        "run": str(cfg.run),
        "checkpoint": model.checkpoint_path,
        "step": model.checkpoint_step,
        "weights": model.weights,
        "split": "test",
        "images": datamodule.num_test,
        "unit": getattr(getattr(model, "likelihood", None), "unit", None),
        "seed": cfg.seed,
        "nll": {
            "samples": cfg.nll_samples,
            "images": min(cfg.nll_images or datamodule.num_test, datamodule.num_test),
        },
        "metrics": {name: value for name, value, _ in numbers},
        "protocols": {name: one.stamp for name, one in judged.items()},
        "standard_error": {name: error for name, _, error in numbers if error is not None},
        "seconds": round(time.perf_counter() - began, 2),
        "versions": report.versions(),
    }
    checkpoint = find(cfg.run)
    folder = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else Path(".")
    write_json(folder / "evaluation.json", outcome)
    log.info(f"{model.weights} weights of {model.checkpoint_path} on {datamodule.num_test:,} test images")
    if outcome["unit"]:
        log.info(f"in {outcome['unit']}, unless the name says otherwise")
    log.info(table(numbers, ["", "value", "+- (Monte Carlo, images)"]))
    log.info(f"  {folder / 'evaluation.json'}")
    return outcome


def _bound(model: Any, datamodule: Any) -> dict[str, float]:
    """What the model's own test step logs, averaged over the whole test set."""
    from pytorch_lightning import Trainer

    device = model.device
    trainer = Trainer(
        accelerator=device.type,
        devices=[device.index or 0] if device.type == "cuda" else 1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
    )
    metrics = trainer.test(model, datamodule=datamodule, verbose=False)[0]
    model.to(device).eval()  # the trainer leaves it on the CPU
    return {name: float(value) for name, value in metrics.items()}


def _log_likelihood(model: Any, datamodule: Any, samples: int, images: int | None) -> tuple[float, float]:
    """Mean and standard error of -log p(x) in nats per image, over test images spread evenly."""
    import torch

    n = datamodule.num_test
    chosen = torch.zeros(n, dtype=torch.bool)
    chosen[torch.linspace(0, n - 1, min(images or n, n)).round().long()] = (
        True  # MNIST's first half is the easier
    )
    values: list[Tensor] = []
    for batch in datamodule.test_dataloader():
        here, chosen = chosen[: len(batch.image)], chosen[len(batch.image) :]
        if here.any():
            image = datamodule.on_after_batch_transfer(batch, 0).image[here].to(model.device)
            with torch.no_grad():
                values.append(-model.log_prob(image, samples=samples).cpu())
    nll = torch.cat(values).double()
    return float(nll.mean()), float(nll.std() / len(nll) ** 0.5)


if __name__ == "__main__":
    main()
