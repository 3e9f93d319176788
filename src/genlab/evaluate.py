"""The verb `evaluate`: a trained model on the test set, which nothing else touches."""

import logging
import time
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from genlab.commandline import run_verb
from genlab.errors import UserError

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
    if cfg.batch_size is not None and cfg.batch_size < 1:
        raise UserError(f"batch_size must be at least 1, or null, got {cfg.batch_size}")
    from pytorch_lightning import seed_everything

    from genlab import report
    from genlab.assembly import hush
    from genlab.checkpoint import find, load_data, load_model, pick_device
    from genlab.contracts import Density
    from genlab.density_metrics import judge_density
    from genlab.metric_choice import choose_metrics
    from genlab.metrics.density_metric import DensityMetric
    from genlab.metrics.text import TextStatistics
    from genlab.run_folder import write_json
    from genlab.sample_metrics import judge_samples
    from genlab.tables import table
    from genlab.text_metrics import judge_texts

    hush()
    began = time.perf_counter()
    model = load_model(cfg.run, weights=cfg.weights, trust=list(cfg.trust), device=pick_device(cfg.device))
    metrics = choose_metrics(model, cfg.metrics, trust=list(cfg.trust))
    of_density = {name: one for name, one in metrics.items() if isinstance(one, DensityMetric)}
    of_text = {name: one for name, one in metrics.items() if isinstance(one, TextStatistics)}
    of_samples = {name: one for name, one in metrics.items() if name not in {**of_density, **of_text}}
    changes = {"batch_size": cfg.batch_size} if cfg.batch_size else {}
    datamodule = load_data(model, trust=list(cfg.trust), changes=changes)
    counted, split = getattr(datamodule, "counted", "images"), getattr(datamodule, "test_split", "test")
    of_images = bool(model.run_config["data"].get("image_shape"))
    seed_everything(cfg.seed, verbose=False)
    bound, protocol = _bound(model, datamodule)
    rows = [[name, value, None, None] for name, value in bound.items()]
    densities = judge_density(model, of_density, datamodule, seed=cfg.seed)
    samples = judge_samples(model, of_samples, seed=cfg.seed, trust=list(cfg.trust))
    samples |= judge_texts(model, of_text, datamodule, seed=cfg.seed)
    rows += [
        [f"test/{key}", *number] for one in densities.values() for key, number in one.verdict.numbers.items()
    ]
    rows += [
        [f"{name}/{key}", value, None, None]
        for name, one in samples.items()
        for key, value in one.numbers.items()
    ]
    outcome = {
        "run": str(cfg.run),
        "checkpoint": model.checkpoint_path,
        "step": model.checkpoint_step,
        "weights": model.weights,
        "split": split,
        counted: datamodule.num_test,
        "unit": _unit(model),
        "seed": cfg.seed,
        "metrics": {name: value for name, value, _, _ in rows},
        "standard_error": {name: error for name, _, error, _ in rows if error is not None},
        "monte_carlo_error": {name: error for name, _, _, error in rows if error is not None},
        "lists": {f"test/{k}": v for one in densities.values() for k, v in one.verdict.lists.items()},
        "protocols": {
            **protocol,
            **{name: one.stamp for name, one in densities.items()},
            **{name: one.stamp for name, one in samples.items()},
        },
        "seconds": round(time.perf_counter() - began, 2),
        "versions": report.versions(),
    }
    checkpoint = find(cfg.run)
    folder = checkpoint.parent.parent if checkpoint.parent.name == "checkpoints" else Path(".")
    write_json(folder / "evaluation.json", outcome)
    judged = f"{datamodule.num_test:,} {split} {counted}"
    if split != "test":
        judged = f"the {datamodule.num_test:,} {counted} of {split}"
    log.info(f"{model.weights} weights of {model.checkpoint_path} on {judged}")
    if outcome["unit"]:
        log.info(f"in {outcome['unit']}, unless the name says otherwise")
    log.info(table(rows, ["", "value", f"+- ({counted})", "+- (Monte Carlo)"]))
    if of_images and isinstance(model, Density) and not of_density:
        log.info("  metrics=likelihood would estimate the log-likelihood, too")
    log.info(f"  {folder / 'evaluation.json'}")
    return outcome


def _unit(model: Any) -> str | None:
    """What the nats of a model are of."""
    parts = (getattr(model, name, None) for name in ("likelihood", "output", "latents"))
    return next((str(part.unit) for part in parts if part is not None and hasattr(part, "unit")), None)


def _bound(model: Any, datamodule: Any) -> tuple[dict[str, float], dict[str, Any]]:
    """What the model's own test step logs, averaged over the whole test set; of windows of a text how they were cut."""
    from pytorch_lightning import Trainer

    if getattr(model, "characters_per_token", None) and hasattr(datamodule, "characters_per_token"):
        # not those of the validation part
        model.characters_per_token = datamodule.characters_per_token("test")
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
    stamp = getattr(trainer.test_dataloaders, "stamp", None)
    protocol = {"test": stamp()} if stamp else {}
    return {name: float(value) for name, value in metrics.items()}, protocol


if __name__ == "__main__":
    main()
