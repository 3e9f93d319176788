"""What a composed config has to pass before anything is written: validation, then the claim on its folder."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict
from omegaconf.errors import OmegaConfBaseException

from genlab.config import without_hydra
from genlab.errors import UserError
from genlab.resuming import quoted
from genlab.run_folder import FolderLock, claim, is_child, rank
from genlab.sweeps import leading


class Gate(Callback):
    """Hydra's callback at the start of a run, before Hydra makes the folder and writes its own files.

    A config that does not validate leaves no folder behind, and a folder that holds a run is not touched.
    """

    lock: FolderLock | None = None
    """Kept on the class: the claim lasts as long as the process."""

    def on_run_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Lets a run pass, or ends the process with a sentence and exit code 2."""
        if is_child() or rank() != 0:
            return
        from genlab.validation import validate

        with _refusing():
            folder = Path(config.hydra.run.dir)
            validate(without_hydra(config), facts_known=False)
            Gate.lock = claim(folder, resuming=config.resume is not None)

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Claims the folder of a sweep, or ends the process with a sentence and exit code 2."""
        with _refusing():
            folder = Path(config.hydra.sweep.dir)
            params = config.hydra.sweeper.get("params") or {}  # a sweep that is written in a config
            written = [f"{name}={value}" for name, value in params.items()]
            leading.begin(folder, [*written, *config.hydra.overrides.task])
            with open_dict(config):  # by the model or data of a job its folder would be in another sweep's
                config.hydra.overrides.hydra.append(f"hydra.sweep.dir={quoted(str(folder))}")


@contextmanager
def _refusing() -> Iterator[None]:
    """Turns an error into an exit: other exceptions of callbacks Hydra makes warnings of."""
    try:
        yield
    except (UserError, OmegaConfBaseException, HydraException) as error:
        print(str(error) if isinstance(error, UserError) else str(error).splitlines()[0], file=sys.stderr)
        raise SystemExit(2) from None
