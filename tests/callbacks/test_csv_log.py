from pathlib import Path

import pytest

from genlab.callbacks.csv_log import CSVLog


def opened(folder: Path, step: int = 0) -> CSVLog:
    log = CSVLog()
    log.open(folder, step=step)
    return log


def text(folder: Path) -> str:
    return (folder / "metrics.csv").read_text()


def test_dicts_of_one_step_share_a_row_and_steps_are_counted_from_one(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.log_metrics({"epoch": 0, "val/loss": 2.5}, step=9)
    log.log_metrics({"epoch": 0, "train/kl": 0.1}, step=9)
    assert text(tmp_path) == "epoch,step,val/loss,train/kl\n1,10,2.5,0.1\n"


def test_only_what_carries_an_epoch_is_kept(tmp_path: Path) -> None:
    opened(tmp_path).log_metrics({"train/kl": 1.0}, step=4)
    assert not (tmp_path / "metrics.csv").exists()


def test_a_new_column_leaves_older_rows_empty_there(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.log_metrics({"epoch": 0, "val/loss": 1.0}, step=0)
    log.log_metrics({"epoch": 1, "val/loss": 0.5, "val/fid": 7.0}, step=1)
    assert text(tmp_path) == "epoch,step,val/loss,val/fid\n1,1,1,\n2,2,0.5,7\n"


def test_a_resume_drops_what_came_after_the_checkpoint_with_its_columns(tmp_path: Path) -> None:
    log = opened(tmp_path)
    log.log_metrics({"epoch": 0, "val/loss": 1.0}, step=9)
    before = text(tmp_path)
    log.log_metrics({"epoch": 1, "val/loss": 0.5, "val/fid": 7.0}, step=19)

    opened(tmp_path, step=15)
    assert text(tmp_path) == before


def test_a_resume_at_a_row_keeps_it(tmp_path: Path) -> None:
    opened(tmp_path).log_metrics({"epoch": 0, "val/loss": 1 / 3}, step=9)
    before = text(tmp_path)
    log = opened(tmp_path, step=10)
    log.log_metrics({"epoch": 1, "val/loss": 0.25}, step=19)
    assert text(tmp_path) == before + "2,20,0.25\n"


def test_a_fresh_start_drops_all_rows(tmp_path: Path) -> None:
    opened(tmp_path).log_metrics({"epoch": 0, "val/loss": 1.0}, step=9)
    opened(tmp_path)
    assert text(tmp_path) == "epoch,step\n"


def test_without_its_callback_it_says_so() -> None:
    with pytest.raises(RuntimeError, match="the Trainer lacks the callback Dashboard"):
        CSVLog().log_metrics({"epoch": 0, "val/loss": 1.0}, step=0)
