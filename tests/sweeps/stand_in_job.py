"""Stands for train.py where the pool's processes are tested: starts in 50 ms, does what its overrides say.

`do=` is one of

- finish; fail, as a run that has told its error; crash, with a traceback; mute, without a word;
- hang, until a signal comes or the file `until=` is there; deaf, until the second or `patience=`th signal;
- orphan: leaves a child behind and is killed.

`say=` is printed first; `then=fail` makes the end of hang and deaf a failure. With `worker=`
it has a child that notes a SIGTERM. What it was given goes to seen.json.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

told = dict(argument.lstrip("+~").split("=", 1) for argument in sys.argv[1:] if "=" in argument)
do = told.get("do", "finish")
folder = Path(os.environ["GENLAB_JOB"])
signals: list[int] = []


def note(word: str) -> None:
    """One line in the sweep's diary, whole: processes write it together."""
    with open(folder.parent / "diary", "a") as diary:
        diary.write(f"{word} {told.get('job')}\n")


def end(ended: str, code: int, error: str | None = None) -> None:
    result = {
        "ended": ended,
        "error": error,
        "best": {"epoch": 1, "metrics": {"val/loss": 0.5}},
        "pid": os.getpid(),
    }
    (folder / "result.json").write_text(json.dumps(result))
    note("ends")
    sys.exit(code)


def on_signal(number: int, frame: object) -> None:
    signals.append(number)
    with open(folder / "signals", "a") as file:
        file.write(f"{number}\n")


for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, on_signal)
if told.get("ends") == "with_the_sweep":
    from genlab.sweeps.processes import end_with_the_sweep

    end_with_the_sweep()
print(told.get("say", "hello"), flush=True)
note("begins")
if "worker" in told:
    code = (
        "import pathlib, signal, sys, time\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "signal.signal(signal.SIGTERM, lambda *_: (folder / 'worker_saw_it').touch())\n"
        "(folder / 'worker').touch()\n"
        "time.sleep(30)"
    )
    subprocess.Popen([sys.executable, "-c", code, str(folder)])
    while not (folder / "worker").exists():
        time.sleep(0.01)
(folder / ".hydra").mkdir(exist_ok=True)
(folder / ".hydra" / "overrides.yaml").write_text("[]")
(folder / "progress.json").write_text('{"share": 0.5, "text": "epoch 1/2"}')
seen = {"argv": sys.argv[1:], "env": dict(os.environ), "pid": os.getpid()}
(folder / "seen.json").write_text(json.dumps(seen))
if do == "orphan":
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    (folder / "orphan").write_text(str(child.pid))
    os.kill(os.getpid(), signal.SIGKILL)
if do == "crash":
    raise ValueError("the reason of the crash")
if do == "mute":
    os._exit(7)
if do in ("hang", "deaf"):
    patience = int(told.get("patience", 2 if do == "deaf" else 1))
    until = folder.parent / told.get("until", "never")
    bored = time.monotonic() + 30  # a test that fails leaves nobody behind for long
    while len(signals) < patience and not until.exists() and time.monotonic() < bored:
        time.sleep(0.01)
    if len(signals) >= patience:
        end("interrupted", 128 + signals[-1])
if "fail" in (do, told.get("then")):
    end("failed", 2, "the reason of the failure")
time.sleep(float(told.get("take", "0")))
end("finished", 0)
