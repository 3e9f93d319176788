"""Hydra's launcher `subprocess`: one process a job. Hydra imports this at every start: light imports."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class SubprocessLauncher(Launcher):
    """Runs each job of a sweep as a fresh process of the same program."""

    def __init__(self, n_jobs: int = 1) -> None:
        """Creates the launcher.

        Args:
            n_jobs: jobs at a time, at least 1; they share out threads and devices.
        """
        self.n_jobs = n_jobs

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        from genlab.sweeps.launching import launch

        told: list[list[str]] = [list(overrides) for overrides in job_overrides]
        return launch(told, initial_job_idx, context=self.context, config=self.config, n_jobs=self.n_jobs)
