"""Callbacks that the benchmarks put into runs of the command line."""

import json
import os
import time
from pathlib import Path

from pytorch_lightning import Callback

from benchmarks.clocks import wait


class LeaveAfterFirstStep(Callback):
    """Ends the process at once after the first optimizer step: what it took was the start."""

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        os._exit(0)


class NoteMemory(Callback):
    """Adds a line to a file when a job begins to train: the memory of the process in bytes."""

    def __init__(self, file: str) -> None:
        self.file = file

    def on_fit_start(self, trainer, pl_module) -> None:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        with open(self.file, "a") as out:
            print(pages * os.sysconf("SC_PAGE_SIZE"), file=out)


class NoteEpochs(Callback):
    """Writes into a file, at the end of training, when each epoch and its validation began and the last ended."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.began: list[float] = []
        self.trained: list[float] = []

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.began.append(time.perf_counter())

    def on_validation_start(self, trainer, pl_module) -> None:
        wait(pl_module.device)
        self.trained.append(time.perf_counter())

    def on_train_end(self, trainer, pl_module) -> None:
        notes = {"began": self.began, "trained": self.trained, "ended": time.perf_counter()}
        Path(self.file).write_text(json.dumps(notes))
