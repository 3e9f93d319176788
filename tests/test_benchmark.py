"""The benchmark measures what it says, and the document has a place for all of it."""

import re
import sys

import pytest

from conftest import ROOT

sys.path.append(str(ROOT / "scripts"))  # the scripts are no part of the package

import benchmark
from benchmarks import clocks, data_paths, memory, pairs, sequences, start_up, steps, sweeps
from benchmarks.measure import Row, compare
from benchmarks.pages import block, machine, replaced, text

PAGE = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
ROW = Row("this / that", "ms/step", 4.0, 3.8, 0.951, 0.94, [(4.0, 3.8), (4.1, 3.9)])
ABOUT = {"command": "python scripts/benchmark.py", "commit": "abc", "CPU": "two cores"}


def test_which_side_comes_first_alternates():
    order = []
    sides = {"ours": lambda: order.append("ours") or 1.0, "other": lambda: order.append("other") or 1.0}
    compare("", "s", **sides, repeats=3)
    assert order == ["other", "ours", "ours", "other", "other", "ours"]


def test_the_ratio_is_that_of_neighbours_not_of_the_medians():
    # the machine is ten times as slow from the second pair on; medians alone would say 20 / 10
    ours, other = iter([1.0, 10.0, 10.0]), iter([2.0, 20.0, 30.0])
    row = compare("", "s", ours=lambda: next(ours), other=lambda: next(other), repeats=3, reach=0.9)
    assert (row.ours, row.other, row.ratio, row.reach) == (10.0, 20.0, 2.0, 0.9)
    assert row.pairs == [(1.0, 2.0), (10.0, 20.0), (10.0, 30.0)]


def test_of_rates_more_is_better():
    row = compare("", "characters/s", ours=lambda: 30.0, other=lambda: 10.0, repeats=2, rates=True)
    assert (row.ours, row.other, row.ratio) == (30, 10, 3)


def test_a_process_that_grows_shows_as_a_ratio_below_one():
    assert memory.flatness([100.0] * 50).ratio == 1.0
    row = memory.flatness([10.0] * 10 + [100.0] * 10 + [110.0] * 20 + [125.0] * 10)
    assert (row.ours, row.other, row.ratio) == (125.0, 100.0, 0.8)
    assert row.name == "50 jobs in one process: the last 10 / jobs 11 to 20"


def test_a_block_is_a_table_with_what_it_takes_to_measure_it_again():
    marks, header, _, line, empty, facts, _ = block("trainer", [ROW], ABOUT).splitlines()
    assert marks == "<!-- trainer: made by scripts/benchmark.py -->"
    assert header == "| ours / other | ours | other | unit | ratio | to reach |"
    assert line == "| this / that | 4 | 3.8 | ms/step | 0.951 | 0.94 |"
    assert empty == ""
    assert facts == (
        "`python scripts/benchmark.py --only trainer`; medians of 2 pairs; commit abc; CPU two cores."
    )


def test_a_block_takes_the_place_of_the_one_before_and_of_no_other():
    page = replaced(PAGE, "trainer", block("trainer", [ROW], ABOUT))
    assert "| this / that |" in page
    assert replaced(page, "trainer", block("trainer", [ROW, ROW], ABOUT)).count("| this / that |") == 2
    others = [name for name in benchmark.SECTIONS if name != "trainer"]
    assert [_block(page, name) for name in others] == [_block(PAGE, name) for name in others]


def test_a_document_without_a_place_is_refused():
    with pytest.raises(SystemExit, match="the document has no place for trainer: add <!-- trainer"):
        replaced("# Nothing", "trainer", block("trainer", [ROW], ABOUT))


def test_the_document_has_a_place_for_every_section_and_no_other():
    begun = re.findall(r"<!-- (\w+): made by scripts/benchmark.py -->", PAGE)
    ended = re.findall(r"<!-- end of (\w+) -->", PAGE)
    assert begun == ended == list(benchmark.SECTIONS)


@pytest.mark.parametrize("name", list(benchmark.SECTIONS))
def test_the_document_holds_tables_of_the_script_or_says_that_there_are_none(name):
    block = _block(PAGE, name)
    assert "| ours / other | ours | other |" in block or "not measured" in block


def test_the_machine_is_told():
    about = machine()
    assert list(about) == ["command", "commit", "CPU", "GPU", "system", "versions"]
    assert re.search(r"\d+ cores, \d+ threads", about["CPU"])
    assert re.search(
        r"Python 3\.\d+\.\d+, torch \d.*, pytorch-lightning \d.*, hydra-core 1\.", about["versions"]
    )


def test_a_quick_measurement_does_not_enter_the_document(capsys):
    with pytest.raises(SystemExit):
        benchmark.parse(["--quick", "--write", "docs/benchmarks.md"])
    assert "--write takes the full measurement: leave --quick out" in capsys.readouterr().err


def test_the_command_measures_what_is_asked_for_and_writes_it_down(tmp_path, monkeypatch, capsys):
    calls = []
    sections = {name: lambda quick, n=name: calls.append((n, quick)) or [ROW] for name in benchmark.SECTIONS}
    monkeypatch.setattr(benchmark, "SECTIONS", sections)
    page, numbers = tmp_path / "page.md", tmp_path / "numbers.json"
    page.write_text(PAGE, encoding="utf-8")
    arguments = ["benchmark.py", "--only", "data", "sweep", "--json", str(numbers), "--write", str(page)]
    monkeypatch.setattr(sys, "argv", arguments)
    benchmark.main()
    assert calls == [("data", False), ("sweep", False)]
    assert "this / that" in capsys.readouterr().out and '"ratio": 0.951' in numbers.read_text()
    written = page.read_text(encoding="utf-8")
    assert "this / that" in _block(written, "data") and "this / that" in _block(written, "sweep")
    assert _block(written, "memory") == _block(PAGE, "memory")


def test_text_says_the_section_and_its_rows():
    assert "trainer" in text("trainer", [ROW]) and "0.951" in text("trainer", [ROW])


def test_the_bare_loop_does_not_pay_for_what_lightning_sets(monkeypatch):
    import os

    monkeypatch.setenv("PYTORCH_NVML_BASED_CUDA_CHECK", "1")
    with clocks.as_without_lightning():
        assert "PYTORCH_NVML_BASED_CUDA_CHECK" not in os.environ
    assert os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] == "1"


def test_a_step_of_both_sides_is_timed():
    assert 0 < steps.through_trainer("mlp", 1, 2) < 10_000
    assert 0 < steps.bare("mlp", 1, 2) < 10_000


def test_a_step_of_a_pair_is_timed_on_both_sides(monkeypatch):
    from genlab import assembly

    seen, fit = [], assembly.fit
    monkeypatch.setattr(
        assembly, "fit", lambda parts, checkpoint: seen.append(parts) or fit(parts, checkpoint)
    )
    assert 0 < steps.through_trainer("dcgan", 1, 2, pairs.SETTINGS) < 10_000
    assert type(seen[0].model).__name__ == "GAN" and seen[0].datamodule.batch_size == pairs.BATCH
    assert 0 < pairs.bare(1, 2) < 10_000


@pytest.mark.slow
def test_training_on_text_and_drawing_are_timed_on_both_sides():
    for side in (sequences.through_trainer, sequences.bare):
        assert 0 < side(1, 2) < 60_000
    for side in (sequences.with_memory, sequences.without_memory):
        assert 0 < side("transformer", 2, 3) < 10_000


def test_the_timed_run_has_all_default_callbacks_and_logs(monkeypatch):
    from genlab import assembly

    seen = []
    monkeypatch.setattr(assembly, "fit", lambda parts, checkpoint: seen.append(parts.trainer))
    with pytest.raises(AttributeError, match="milliseconds"):  # nothing was fitted
        steps.through_trainer("mlp", 1, 2)
    names = {type(part).__name__ for part in [*seen[0].callbacks, *seen[0].loggers]}
    assert names >= {
        "Meter",
        "Throughput",
        "Checkpoints",
        "SampleGrid",
        "ReconstructionGrid",
        "TensorBoardLog",
        "CSVLog",
    }


def test_both_loaders_give_the_same_kind_of_batch():
    ours, ready = next(data_paths.our_batches()), next(data_paths.ready_batches(0))
    assert ours.shape == ready.shape == (128, 1, 28, 28)
    assert ours.dtype == ready.dtype and -1 <= float(ready.min()) < 0 < float(ready.max()) <= 1


@pytest.mark.slow
def test_a_run_ends_after_its_first_step(tmp_path):
    from benchmarks.processes import seconds

    assert seconds(start_up.TRAIN, start_up.STOP, folder=tmp_path) > 0
    (run,) = (tmp_path / "logs").iterdir()
    assert (run / "config.yaml").exists() and not (run / "result.json").exists()


@pytest.mark.slow
def test_a_sweep_is_timed_and_a_failure_is_told():
    assert sweeps.sweep("hydra/launcher=basic", jobs=2) > 0
    with pytest.raises(SystemExit, match="ended with [12]:"):
        sweeps.sweep("hydra/launcher=nothing", jobs=2)


@pytest.mark.slow
def test_memory_is_noted_once_a_job():
    sizes = memory.in_one_process(3)
    assert len(sizes) == 3 and all(100 < size < 10_000 for size in sizes)


def _block(page: str, name: str) -> str:
    return page.partition(f"<!-- {name}: made")[2].partition(f"<!-- end of {name} -->")[0]
