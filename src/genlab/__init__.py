"""genlab: train, sweep, resume and honestly measure generative models."""

from typing import Any

__version__ = "0.1.0"
__all__ = ["__version__", "load_model"]


def __getattr__(name: str) -> Any:
    # load_model brings torch along; `import genlab` alone must stay light, for --help and shell completion
    if name == "load_model":
        from genlab.checkpoint import load_model

        return load_model
    raise AttributeError(f"module 'genlab' has no attribute {name!r}")
