"""Series through the real verbs, with a stub of a family: trained, drawn, judged, resumed, and refused in a sentence."""

import json
import re
from pathlib import Path

import pytest

from genlab.config import compose
from genlab.errors import UserError
from genlab.train import train
from genlab.validation import validate

CONF = Path(__file__).parent / "stub_conf"
FAST = ("model=stubseries", "trainer=cpu", "debug=fast", "logger=none")
SMALL = ("data.num_train=300", "data.num_val=40", "data.num_test=60", "data.batch_size=20")
QUICK = ("metrics.discriminative.iterations=3", "metrics.predictive.iterations=3")


STUBS = ("--config-dir", str(CONF), *FAST, "hydra.run.dir=run")


def pictures(folder: Path) -> list[str]:
    return sorted(file.name for file in (folder / "samples").iterdir())


@pytest.fixture(scope="module")
def sines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "sines"
    train(compose([*FAST, "data=sines", *SMALL], config_dir=CONF), folder=folder)
    return folder


def test_a_run_on_sines_stores_the_facts_and_draws_its_pictures(sines):
    from genlab.checkpoint import load_model

    data = load_model(sines, trust=["series_stub"]).run_config["data"]
    assert data["columns"] == [f"sine_{k}" for k in range(1, 6)]
    assert (data["num_features"], data["sequence_length"], data["num_classes"]) == (5, 24, None)
    assert pictures(sines) == ["series_epoch_0001.png", "series_epoch_0002.png", "series_map_epoch_0002.png"]


def test_evaluate_judges_samples_of_series_by_the_metrics_of_the_data(command, sines, monkeypatch):
    monkeypatch.setattr("genlab.sample_metrics._WORTH_TELLING", 0.0)
    code, out, err = command("evaluate", f"run={sines}", "trust=[series_stub]", *QUICK)
    assert (code, err) == (0, "")
    outcome = json.loads((sines / "evaluation.json").read_text())
    assert set(outcome["metrics"]) == {
        "test/loss", "discriminative/score", "discriminative/score_real", "predictive/score",
        "predictive/score_real", "marginal/distance", "marginal/distance_real", "autocorrelation/distance",
        "autocorrelation/distance_real",
    }  # fmt: skip
    # two epochs of three steps leave the means near 0, where no sine of these is
    assert outcome["metrics"]["marginal/distance"] > 0.4 > 0.1 > outcome["metrics"]["marginal/distance_real"]
    stamp = outcome["protocols"]["discriminative"]
    assert {"weights": "live", "seed": 0, "step": 6, "split": "test"}.items() <= stamp.items()
    assert stamp["judged_of_each_kind"] == 60 and outcome["protocols"]["predictive"]["iterations"] == 3
    assert "predictive/score_real" in out
    told = [line for line in out.splitlines() if " trains " in line]
    assert [line.partition(":")[0] for line in told] == [
        "discriminative trains 2 GRUs to tell samples from real series, 3 updates each",
        "predictive trains 2 GRUs to foretell series, 3 updates each",
    ]


def test_metrics_of_series_can_be_chosen_by_name(command, sines):
    code, _, err = command(
        "evaluate", f"run={sines}", "trust=[series_stub]", "metrics=[marginal,autocorrelation]"
    )
    assert (code, err) == (0, "")
    assert set(json.loads((sines / "evaluation.json").read_text())["protocols"]) == {
        "marginal",
        "autocorrelation",
    }


def test_equal_seeds_judge_alike(command, sines):
    found = []
    for _ in range(2):
        assert command("evaluate", f"run={sines}", "trust=[series_stub]", *QUICK)[0] == 0
        found.append(json.loads((sines / "evaluation.json").read_text())["metrics"])
    assert found[0] == found[1]


def test_a_run_on_the_users_own_file_draws_its_pictures_and_is_judged(command, tmp_path):
    file = tmp_path / "a, b.csv"
    file.write_text("\n".join(["time;x;y", *(f"{k};{k % 7 + 100};{-k % 5}" for k in range(300))]))
    settings = (f"data.path={file}", "data.columns=[x,y]", "data.sequence_length=6", "data.batch_size=16")
    assert command("train", *STUBS, "data=csv", *settings)[::2] == (0, "")
    run = tmp_path / "run"
    assert pictures(run) == ["series_epoch_0001.png", "series_epoch_0002.png", "series_map_epoch_0002.png"]
    code, _, err = command(
        "evaluate", "run=run", "trust=[series_stub]", *QUICK, "metrics.marginal.split=train"
    )
    assert (code, err) == (0, "")
    protocols = json.loads((run / "evaluation.json").read_text())["protocols"]
    assert protocols["marginal"]["split"] == "train"
    assert protocols["discriminative"]["judged_of_each_kind"] == 25  # 30 test rows


def test_images_as_rows_are_drawn_as_images_and_judged_as_they_were_trained_on(command, tmp_path):
    assert command("train", *STUBS, "data=digits_rows", "data.image_size=8")[::2] == (0, "")
    run = tmp_path / "run"
    assert pictures(run) == ["samples_epoch_0001.png", "samples_epoch_0002.png"]
    chosen = ("metrics=marginal", "metrics.marginal.n=50")
    assert command("evaluate", "run=run", "trust=[series_stub]", *chosen)[::2] == (0, "")
    real = json.loads((run / "evaluation.json").read_text())["metrics"]["marginal/distance_real"]
    assert real < 0.02  # black and white on both sides: grays of 0 to 255 would be far away


def test_a_resumed_run_ends_where_the_uninterrupted_one_ends(command, sines, tmp_path):
    from genlab.checkpoint import read

    assert command("train", *STUBS, "data=sines", *SMALL, "trainer.max_epochs=1")[::2] == (0, "")
    assert command("train", "resume=run", "trainer.max_epochs=2")[::2] == (0, "")
    first, second = (
        read(run / "checkpoints" / "last.ckpt")["state_dict"] for run in (sines, tmp_path / "run")
    )
    assert first and all(first[name].equal(second[name]) for name in first)


@pytest.mark.parametrize(
    ("data", "advice"),
    [
        ("sines", "for series a model of sequences, such as model=lstm or model=vrnn"),
        ("digits_rows", "for series a model of sequences, such as model=lstm or model=vrnn"),
        ("shakespeare", "for text a model of sequences, such as model=lstm"),
        ("ring", "for points model=gan model/network=points"),
    ],
)
def test_a_model_of_images_refuses_other_data_and_tells_of_a_model_for_it(data, advice):
    sentence = (
        "the model wants images, and this data has none (no data.image_shape): choose another data=, or "
    )
    with pytest.raises(UserError, match=f"^{re.escape(sentence + advice)}$"):
        validate(compose(["model=vae", f"data={data}"]), facts_known=False)


def test_a_file_that_cannot_be_used_is_one_sentence_at_the_command_line(command, tmp_path):
    (tmp_path / "a.csv").write_text("day,x\nMon,1\nTue,\n")
    where = ("--config-dir", str(CONF), "model=stubseries", "data=csv")
    code, _, err = command("train", *where, "data.path=a.csv", "data.columns=[x]")
    assert (code, err.strip()) == (
        2, "a.csv line 3, column x: the value is missing; fill it or remove the line, or leave the column out by"
        " data.columns=[...]",
    )  # fmt: skip
    code, _, err = command("train", *where)
    assert code == 2 and err.strip() == "data.path: no value; give data.path=..."
