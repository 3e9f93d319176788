"""What pyproject.toml cannot say: a wheel holds the top folder conf/ as genlab/conf.

A package-dir mapping would say it, too, but then an editable install becomes an import hook that Hydra's
search for plugins and type checkers do not see through. This way it stays a plain path to src/, and reads
the live conf/ of the checkout.
"""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py


class BuildWithConf(build_py):
    """Copies the Python files, then conf/ beside them."""

    def run(self) -> None:
        super().run()
        inside = Path(self.build_lib, "genlab", "conf")
        shutil.rmtree(inside, ignore_errors=True)  # an earlier build may have left an option that is gone
        shutil.copytree("conf", inside, ignore=shutil.ignore_patterns(".*"))


setup(cmdclass={"build_py": BuildWithConf})
