import csv
import math
from pathlib import Path

import pytest
from sweep_folders import finished, make_job

from genlab import invocation
from genlab.sweeps import ranking


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def order(sweep: Path) -> list[str]:
    return [row.told["seed"] for row in ranking.read(sweep)]


@pytest.mark.parametrize(("mode", "expected"), [("min", ["2", "0", "1"]), ("max", ["1", "0", "2"])])
def test_the_best_job_comes_first_whichever_way_is_better(tmp_path, mode, expected):
    for seed, loss in enumerate([3.0, 10.0, -1.0]):
        make_job(tmp_path, f"seed={seed}", result=finished(loss, mode=mode))
    assert order(tmp_path) == expected


@pytest.mark.parametrize("mode", ["min", "max"])
def test_jobs_without_a_number_come_last_and_say_why(tmp_path, mode):
    make_job(tmp_path, "seed=0")
    make_job(tmp_path, "seed=1", error="out of memory", result={"ended": "failed"})
    make_job(tmp_path, "seed=2", result={"ended": "interrupted", "mode": mode, "best": None, "final": {}})
    make_job(tmp_path, "seed=3", result=finished(-5.0, mode=mode))
    make_job(tmp_path, "seed=4", result=finished(math.inf, mode=mode))
    rows = ranking.read(tmp_path)
    assert rows[0].told["seed"] == "3" and [row.score for row in rows[1:]] == [None] * 4
    ended = {row.told["seed"]: (row.ended, row.error) for row in rows}
    assert ended == {
        "0": ("not run", None),
        "1": ("failed", "out of memory"),
        "2": ("interrupted", None),
        "3": ("finished", None),
        "4": ("finished", None),
    }


def test_a_job_whose_watched_number_was_never_finite_is_not_ranked_by_another(tmp_path):
    make_job(tmp_path, "seed=0", result=finished(450.0))
    make_job(tmp_path, "seed=1", result=finished(None))  # best is null; train/kl and val/kl were finite
    assert order(tmp_path) == ["0", "1"]
    assert ranking.read(tmp_path)[1].score is None


def test_a_job_that_did_not_end_well_is_not_ranked_but_keeps_its_numbers(tmp_path):
    make_job(tmp_path, "seed=0", result=finished(2.0))
    make_job(tmp_path, "seed=1", result=finished(1.0) | {"ended": "failed"}, error="killed by SIGKILL")
    first, second = ranking.read(tmp_path)
    assert first.told["seed"] == "0"
    assert (second.ended, second.score, second.metrics["val/loss"]) == ("failed", None, 1.0)


def test_only_jobs_that_watch_the_same_number_are_compared(tmp_path):
    for seed in (0, 1):
        make_job(tmp_path, f"seed={seed}", result=finished(2.0 - seed))
    accuracy = {"epoch": 1, "metrics": {"val/accuracy": 0.5}}
    make_job(tmp_path, "seed=2", result=finished(1.0, mode="max") | {"best": accuracy})
    make_job(tmp_path, "seed=3", result=finished(9.0, mode="max"))
    rows = ranking.read(tmp_path)
    assert [row.told["seed"] for row in rows[:2]] == ["1", "0"]
    assert [row.score for row in rows] == [1.0, 2.0, None, None]


def test_what_lies_beside_the_jobs_is_no_row(tmp_path):
    make_job(tmp_path, "seed=0", result=finished(1.0))
    (tmp_path / "notes").mkdir()
    (tmp_path / "sweep.csv").touch()
    assert len(ranking.read(tmp_path)) == 1


def test_the_columns_are_the_settings_that_differ_in_the_order_of_typing(tmp_path):
    make_job(tmp_path, "model/network=mlp", "trainer=cpu", "model.latent_dim=2", "seed=0")
    make_job(tmp_path, "model/network=mlp", "trainer=cpu", "model.latent_dim=4", "seed=0", "name=x")
    rows = ranking.read(tmp_path)
    assert ranking.differing(rows) == ["model.latent_dim", "name"]
    assert ranking.differing(rows[:1]) == [] and ranking.differing([]) == []


def test_the_csv_file_holds_all_that_was_found(tmp_path):
    speed = {"wall_seconds": 10.0, "wall_seconds_before": 2.5, "images_per_second": 123.4}
    best = make_job(tmp_path, "model.latent_dim=2", "seed=0", result=finished(1.25, **speed))
    failed = make_job(
        tmp_path, "model.latent_dim=4", "seed=0", error='no, "never"\u00e9', result={"ended": "failed"}
    )
    new = make_job(tmp_path, "model.latent_dim='8,9'", "seed=0")
    ranking.write_csv(tmp_path)
    rows = {row["folder"]: row for row in read_csv(tmp_path / "sweep.csv")}
    assert list(rows) == [best.name, *sorted([failed.name, new.name])]
    assert rows[best.name] == {
        "model.latent_dim": "2",
        "ended": "finished",
        "best_epoch": "2",
        "val/loss": "1.25",
        "val/kl": "1.5",
        "epochs": "3",
        "seconds": "12.5",
        "images_per_second": "123.4",
        "error": "",
        "folder": best.name,
    }
    assert rows[failed.name]["error"] == 'no, "never"\u00e9' and rows[failed.name]["val/loss"] == ""
    assert (rows[new.name]["model.latent_dim"], rows[new.name]["ended"]) == ("'8,9'", "not run")
    assert not (tmp_path / "sweep_over_seeds.csv").exists()


def test_over_seeds_there_are_mean_and_standard_error(tmp_path):
    for seed, loss in enumerate([1.0, 2.0, 6.0]):
        make_job(tmp_path, "model.latent_dim=2", f"seed={seed}", result=finished(loss))
    make_job(tmp_path, "model.latent_dim=4", "seed=0", result=finished(2.5))
    make_job(tmp_path, "model.latent_dim=4", "seed=1", error="broke", result={"ended": "failed"})
    make_job(tmp_path, "model.latent_dim=8", "seed=0")
    ranking.write_csv(tmp_path)
    small, large, none = read_csv(tmp_path / "sweep_over_seeds.csv")
    assert small == {"model.latent_dim": "4", "mean val/loss": "2.5", "standard error": "", "seeds": "1"}
    # mean (1 + 2 + 6) / 3 = 3, squared deviations 4 + 1 + 9 = 14, sample variance 14 / 2 = 7, error sqrt(7 / 3)
    assert (large["model.latent_dim"], large["mean val/loss"], large["seeds"]) == ("2", "3.0", "3")
    assert float(large["standard error"]) == pytest.approx(math.sqrt(7 / 3), rel=1e-12)
    assert none == {"model.latent_dim": "8", "mean val/loss": "", "standard error": "", "seeds": "0"}


def test_the_best_mean_comes_first_where_larger_is_better(tmp_path):
    for dim, loss in ((2, 1.0), (4, 9.0)):
        for seed in (0, 1):
            make_job(tmp_path, f"a={dim}", f"seed={seed}", result=finished(loss, mode="max"))
    rows = ranking.read(tmp_path)
    assert [group.values for group in ranking.over_seeds(rows, ["a"])] == [("4",), ("2",)]


def test_a_sweep_that_is_extended_by_seeds_counts_the_one_it_had_once(tmp_path):
    make_job(tmp_path, "a=2", result=finished(5.0, seed=0))  # seed=0 was not typed then
    make_job(tmp_path, "a=2", "seed=0", result=finished(5.0, seed=0))
    make_job(tmp_path, "a=2", "seed=1", result=finished(7.0, seed=1))
    rows = ranking.read(tmp_path)
    assert ranking.differing(rows) == ["seed"]
    (group,) = ranking.over_seeds(rows, [])
    assert (group.mean, group.standard_error, group.seeds) == (6.0, 1.0, 2)


def test_the_summary_ranks_tells_what_failed_and_what_to_type_next(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(invocation, "_typed", ["train.py"])
    sweep = tmp_path / "my sweep"
    took = {"wall_seconds": 200.0, "images_per_second": 1234.5}
    worse = make_job(sweep, "model.latent_dim=2", result=finished(1.5, **took))
    best = make_job(sweep, "model.latent_dim=4", result=finished(1.25, **took))
    failed = make_job(sweep, "model.latent_dim=8", error="too large", result={"ended": "failed"})
    new = make_job(sweep, "model.latent_dim=9")
    (best / "events.out.tfevents.1").touch()
    lines = ranking.summary(sweep).splitlines()
    cells = [line.split() for line in lines[2:6]]
    assert lines[0].split() == ["latent_dim", "val/loss", "val/kl", "time", "images/s", "folder"]
    assert cells[0] == ["1", "4", "1.25", "1.5", "3", "min", "20", "s", "1,234", best.name]
    assert cells[1] == ["2", "2", "1.5", "1.5", "3", "min", "20", "s", "1,234", worse.name]
    assert sorted(cells[2:]) == [["failed", "8", failed.name], ["not", "run", "9", new.name]]
    assert "1 of 4 jobs failed:" in lines and f"  {failed.name}: too large" in lines
    assert "table: my sweep/sweep.csv" in lines
    assert "  tensorboard --logdir 'my sweep'" in lines
    assert f"  python sample.py run='my sweep/{best.name}'" in lines


@pytest.mark.parametrize(
    ("counted", "name"), [(("windows", "windows"), "windows/s"), (("windows", "images"), "per second")]
)
def test_the_summary_names_what_is_counted_a_second(tmp_path, counted, name):
    for k, of in enumerate(counted):
        took = {"images_per_second": 5.0, "counted_as_images": of}
        make_job(tmp_path, f"data.stride={k}", result=finished(1.5, **took))
    make_job(tmp_path, "data.stride=7", error="broke", result={"ended": "failed"})
    assert f"  {name}  " in ranking.summary(tmp_path).splitlines()[0]


def test_the_summary_of_a_sweep_without_a_number_offers_no_sample(tmp_path):
    make_job(tmp_path, "seed=0", error="broke")
    assert "next:" not in ranking.summary(tmp_path)  # no curves either
    assert "over seeds" not in ranking.summary(tmp_path)


def test_the_summary_over_seeds_is_a_table_of_its_own(tmp_path):
    for seed, loss in enumerate([1.0, 3.0]):
        make_job(tmp_path, "model.a=2", f"seed={seed}", result=finished(loss))
    make_job(tmp_path, "model.a=3", "seed=0", result=finished(9.0))
    _, _, table = ranking.summary(tmp_path).partition("over seeds:\n")
    header, _, row = table.splitlines()[:3]
    assert header.split() == ["a", "mean", "val/loss", "standard", "error", "seeds"]
    assert row.split() == ["2", "2", "1", "2"]  # standard error sqrt(2) / sqrt(2)


def test_the_terminal_shows_a_few_numbers_of_the_validation_the_watched_one_first(tmp_path):
    metrics = {"val/loss": 1.0, "train/kl": 2.0, "val/a": 3.0, "val/b": 4.0, "val/c": 5.0, "val/d": 6.0}
    make_job(tmp_path, "seed=0", result=finished(1.0) | {"best": {"epoch": 1, "metrics": metrics}})
    header = ranking.summary(tmp_path).splitlines()[0].split()
    assert header == ["val/loss", "val/a", "val/b", "val/c", "folder"]  # nothing took time


@pytest.mark.parametrize(("setting", "said"), [("data", True), ("model/likelihood", True), ("seed", False)])
def test_numbers_that_do_not_compare_are_named(tmp_path, setting, said):
    for k, value in enumerate(["1", "2"]):
        make_job(tmp_path, f"{setting}={value}", result=finished(float(k)))
    sentence = f"numbers of unlike {setting} do not compare: look at ranks within each"
    assert (sentence in ranking.summary(tmp_path)) == said
