"""The verb evaluate: which metrics judge a run, how they are changed, and what stands in evaluation.json."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from omegaconf import OmegaConf

from genlab import density_metrics, sample_metrics
from genlab.commandline import change_metrics
from genlab.config import compose
from genlab.contracts import ImageBatch
from genlab.density_metrics import gather_rows
from genlab.errors import UserError
from genlab.metric_choice import choose_metrics
from genlab.metrics.judging import judge
from genlab.metrics.sample_metric import Needs, SampleMetric, Samples, Work
from genlab.sequence_contracts import SequenceBatch
from genlab.train import train

SMALL = ("model/network=mlp", "model.latent_dim=4", "trainer=cpu", "debug=fast", "logger=none")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(compose([*SMALL, "model/likelihood=discretized_logistic"]), folder=folder)
    return folder


def judged(folder: Path) -> dict:
    return json.loads((folder / "evaluation.json").read_text())


def test_a_likelihood_model_is_judged_by_its_bound_its_likelihood_and_its_latents(command, finished):
    code, out, err = command("evaluate", f"run={finished}", "metrics.nll.k=20", "metrics.nll.n=null")
    assert (code, err) == (0, "")
    outcome = judged(finished)
    metrics, values = outcome["metrics"], 32 * 32
    assert metrics["test/loss"] == pytest.approx(
        metrics["test/reconstruction"] + metrics["test/kl"], rel=1e-4
    )
    assert metrics["test/nll"] < metrics["test/loss"]  # more importance samples, a tighter bound
    for name in ("nll", "loss"):
        bits = metrics[f"test/{'nll_' if name == 'nll' else ''}bits_per_dim"]
        assert bits == pytest.approx(metrics[f"test/{name}"] / values / 0.693147, rel=1e-4)
    assert outcome["monte_carlo_error"]["test/nll"] < outcome["standard_error"]["test/nll"]
    assert 1 <= metrics["test/nll_effective_samples"] <= 20
    assert 0 <= metrics["test/active_units"] <= 4
    kl = outcome["lists"]["test/kl_per_dimension"]
    assert len(kl) == 4 and sum(kl) == pytest.approx(metrics["test/kl"], rel=0.02)
    assert metrics["test/mutual_information"] + metrics["test/aggregate_kl"] == pytest.approx(sum(kl))
    assert "test/nll" in out and "+- (Monte Carlo)" in out


def test_every_number_has_its_protocol(command, finished):
    assert command("evaluate", f"run={finished}", "metrics.nll.k=3", "metrics.nll.n=10", "seed=5")[0] == 0
    whose = {"weights": "live", "seed": 5, "step": 6, "unit": "nats, 8-bit gray levels", "split": "test"}
    nll, latents = (judged(finished)["protocols"][name] for name in ("nll", "latents"))
    assert nll == {**whose, "estimator": "importance sampling", "k": 3, "n": 10, "images": "spread evenly"}
    assert whose.items() <= latents.items()
    assert (latents["n"], latents["active_above"]) == (10_000, 0.01)


def test_equal_seeds_give_equal_numbers_whatever_the_memory(command, finished):
    numbers = []
    for extra in ("seed=1", "metrics.nll.memory_mb=0.5", "seed=2"):
        seed = [] if "seed" in extra else ["seed=1"]
        assert (
            command("evaluate", f"run={finished}", extra, *seed, "metrics.nll.k=9", "metrics.nll.n=50")[0]
            == 0
        )
        numbers.append(judged(finished)["metrics"]["test/nll"])
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-5)
    assert numbers[0] != pytest.approx(numbers[2], rel=1e-5)


def test_metrics_are_left_out_chosen_and_refused_from_the_command_line(command, finished):
    assert command("evaluate", f"run={finished}", "metrics.nll=null")[0] == 0
    assert set(judged(finished)["protocols"]) == {"latents"}
    assert command("evaluate", f"run={finished}", "metrics=nll", "metrics.nll.k=2", "metrics.nll.n=5")[0] == 0
    assert set(judged(finished)["protocols"]) == {"nll"}
    code, out, _ = command("evaluate", f"run={finished}", "metrics=none")
    assert code == 0 and judged(finished)["protocols"] == {}
    assert "metrics=likelihood would estimate the log-likelihood, too" in out
    for setting, sentence in {
        "metrics.nll.kk=3": "metrics.nll.kk is no setting of metrics.nll; did you mean k?",
        "metrics.nil.k=3": "metrics.nil: this run has nll, latents; did you mean nll?",
        "metrics.nll=3": "metrics.nll has settings and is no value; null leaves it out",
        "metrics.nll.k=many": "metrics.nll.k: must be a whole number, got 'many'",
        "metrics.nll.k=0": "metrics.nll.k must be at least 1, got 0",
    }.items():
        code, _, err = command("evaluate", f"run={finished}", setting)
        assert (code, err.strip().split(" (")[0].split("; choose")[0]) == (2, sentence)
    code, _, err = command("evaluate", f"run={finished}", "model/loss=beta")
    assert (code, err.strip()) == (1, "model/loss is no setting of this run; see --cfg job")


def test_settings_of_metrics_stand_alone_unless_metrics_are_chosen():
    assert change_metrics(["run=x", "metrics.nll.k=3"]) == ["run=x", "++metrics.nll.k=3"]
    assert change_metrics(["metrics=nll", "metrics.nll.k=3"]) == ["metrics=nll", "metrics.nll.k=3"]


def test_a_run_without_metrics_says_how_to_choose_some():
    model = SimpleNamespace(run_config={}, checkpoint_path="x")
    assert choose_metrics(model, None) == {}
    with pytest.raises(UserError) as error:
        choose_metrics(model, OmegaConf.create({"nll": {"k": 3}}))
    assert str(error.value) == (
        "metrics.nll: this run has no metrics of its own; choose by metrics=<option>, see --help"
    )


class Batches:
    """Nine numbered images in batches of four."""

    num_test = 9

    def test_dataloader(self):
        image = torch.arange(9.0).view(9, 1, 1, 1)
        return [ImageBatch(part, part.flatten().long()) for part in image.split(4)]


def test_images_of_given_rows_are_read_from_whatever_batches():
    batch = gather_rows(Batches(), torch.tensor([0, 5, 8]))
    assert batch.image.flatten().tolist() == [0, 5, 8] and batch.label.tolist() == [0, 5, 8]


@pytest.mark.parametrize(
    ("target", "columns", "instead"),
    [
        (torch.zeros(2, 3, dtype=torch.int64), None, "text"),
        (torch.zeros(2, 3, 1), ["a"], "series"),
        (torch.zeros(2, 3, 1), None, "none"),
    ],
)
def test_density_metrics_of_images_tell_what_there_is_for_sequences(target, columns, instead):
    batch = SequenceBatch(target, target, None, torch.zeros(2), torch.ones(2, dtype=torch.bool))
    data = SimpleNamespace(num_test=2, test_dataloader=lambda: [batch], facts=lambda: {"columns": columns})
    with pytest.raises(UserError) as error:
        gather_rows(data, torch.arange(2))
    assert str(error.value) == (
        "likelihood, nll and latents judge models of images, and this data has none: test/loss is the "
        f"negative log-likelihood already, or a bound of it; leave metrics out, or give metrics={instead}"
    )


def test_how_long_it_takes_is_told_before_it_starts(caplog, monkeypatch):
    order = []

    class Slow:
        n = None
        rows = staticmethod(lambda n: torch.arange(n))
        check = staticmethod(lambda model: None)
        seconds = staticmethod(lambda model, batch: 75.0)
        compute = staticmethod(lambda model, batch: order.append(caplog.messages[-1]))
        stamp = staticmethod(lambda: {})

    model = SimpleNamespace(device=torch.device("cpu"), weights="live", checkpoint_step=1)
    with caplog.at_level("INFO", logger="genlab"):
        density_metrics.judge_density(model, {"nll": Slow()}, Batches(), seed=0)
    assert order == ["nll on 9 test images: about 1 min 15 s"]


def test_what_metrics_of_samples_will_be_busy_with_is_told_where_it_takes_long(caplog):
    order = []

    class Slow(SampleMetric):
        seconds = 75.0
        needs = staticmethod(lambda: Needs(fakes=2))
        prepare = staticmethod(lambda facts, train: None)
        compute = staticmethod(lambda fake, test: order.append(list(caplog.messages)) or {})
        stamp = staticmethod(lambda: {})

        def work(self, fake, test):
            return Work("trains 2 GRUs", self.seconds)

    quick, idle = Slow(), type("Idle", (Slow,), {"work": SampleMetric.work})()
    quick.seconds = 4.9
    with caplog.at_level("INFO", logger="genlab"):
        judge(
            {"idle": idle, "quick": quick, "slow": Slow()},
            facts={},
            draw=lambda n: Samples(torch.zeros(n, 1)),
            read=lambda split: None,
            tell=sample_metrics._tell,
        )
    assert order == [[], [], ["slow trains 2 GRUs: about 1 min 15 s"]]
