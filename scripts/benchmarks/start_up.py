"""From the return key to the answer, beside what importing torch and Lightning takes alone."""

import tempfile

from benchmarks.measure import Row, compare
from benchmarks.processes import ROOT, seconds

STOP = "+callbacks.stop._target_=benchmarks.stops.LeaveAfterFirstStep"
TRAIN = str(ROOT / "train.py")


def rows(quick: bool) -> list[Row]:
    repeats = 3 if quick else 11
    commands = {
        "`train.py --help` / importing torch and Lightning": [TRAIN, "--help"],
        "`train.py` to its first step / importing torch and Lightning": [TRAIN, STOP],
    }
    with tempfile.TemporaryDirectory() as folder:
        imports = ["-c", "import torch, pytorch_lightning"]
        seconds(*imports, folder=folder)  # the files are in the cache from here on
        return [
            compare(
                name,
                "s",
                ours=lambda c=command: seconds(*c, folder=folder),
                other=lambda: seconds(*imports, folder=folder),
                repeats=repeats,
            )
            for name, command in commands.items()
        ]
