"""Between the shell and Hydra: values taken verbatim, and every error told in one sentence."""

import errno
import logging
import os
import re
import signal
import sys
import traceback
from collections.abc import Callable, Collection
from contextlib import redirect_stdout
from io import StringIO
from typing import Any, NoReturn

import hydra
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.hydra_config import HydraConfig
from hydra.core.object_type import ObjectType
from hydra.errors import HydraException, OverrideParseException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from genlab import invocation
from genlab.config import conf_dir, register_schemas
from genlab.errors import UserError
from genlab.invocation import config_dirs
from genlab.job_progress import is_job, take_over
from genlab.options import listing, options
from genlab.resuming import quoted, resume_arguments, where_configs_lie
from genlab.run_folder import is_child, register_resolvers
from genlab.suggestions import did_you_mean
from genlab.sweeps import leading
from genlab.sweeps.processes import end_with_rank_0, end_with_the_sweep

VERBATIM = ("data.path", "run", "prompt", "prompt_file", "out", "init_from", "name", "from_class", "to_class")
"""Settings whose values are taken as typed: commas, quotes, `=` and line breaks included."""


def run_verb(task: Callable[[DictConfig], Any], *, config: str) -> None:
    """Runs a verb under Hydra with the process's command line; does not return on errors.

    Exit codes: 1 where Hydra cannot compose the config or jobs of a sweep failed, 2 where genlab refuses, 3
    where training diverged, 128 + signal where the user stopped it.

    Args:
        task: what to do with the composed config.
        config: the root config's name, a file of conf/.
    """
    if config == "train" and "--list" in sys.argv[1:]:
        return _list()
    if config != "train" and {"-m", "--multirun"} & set(sys.argv[1:]):
        _exit(f"{invocation.verb(config)} takes one run at a time: leave -m out", 2)
    register_schemas()
    register_resolvers()
    leading.register_resolvers()
    invocation.note()
    if take_over():
        end_with_the_sweep()
    if is_child():
        end_with_rank_0()
    if not _wants_trace():
        os.environ.update(
            HYDRA_FULL_ERROR="1", GENLAB_ERRORS="1"
        )  # Hydra hands its errors on instead of printing
    try:
        if not is_child() and not is_job():
            sys.argv[1:] = prepare(sys.argv[1:])
            if config == "evaluate":
                sys.argv[1:] = change_metrics(sys.argv[1:])
        run = hydra.main(config_path=str(conf_dir()), config_name=config, version_base="1.3")(_told(task))
        with leading.concluded():
            run() if not {"--help", "-h"} & set(sys.argv) else _show_help(run)
    except KeyboardInterrupt:
        sys.exit(128 + signal.SIGINT)
    except (
        Exception
    ) as error:  # our own code tells its errors itself: these are Hydra's, or of its first writes
        if _wants_trace():
            raise
        sentence = _sentence(error)
        _exit(sentence, 2) if sentence else _exit(explain(error, config), 1)


def _list() -> None:
    """Every group and option, ours and those of `--config-dir`, with a line each."""
    try:
        print(listing([conf_dir(), *config_dirs(sys.argv[1:])]))
    except UserError as error:
        _exit(str(error), 2)


def _show_help(run: Callable[[], Any]) -> None:
    """Hydra's help without the groups that nobody chooses from: what options share, and halves of networks."""
    text, slow = StringIO(), ConfigLoaderImpl.get_group_options
    # Hydra copies its whole search path for each of some 190 questions about groups: half a second
    ConfigLoaderImpl.get_group_options = _group_options  # type: ignore[method-assign, assignment]
    try:
        with redirect_stdout(text):
            run()
    finally:
        ConfigLoaderImpl.get_group_options = slow  # type: ignore[method-assign]
        lines = text.getvalue().splitlines()
        print("\n".join(line for line in lines if not re.match(r"\S+/(base|parts|pair): ", line)))


def _group_options(
    loader: ConfigLoaderImpl, group_name: str, results_filter: Any = ObjectType.CONFIG
) -> list[str]:
    return loader.repository.get_group_options(group_name, results_filter)


def _told(task: Callable[[DictConfig], Any]) -> Callable[[DictConfig], Any]:
    """The task with its errors told, on the terminal and in the run's log, before Hydra tells them its way.

    In a sweep Hydra has to see them, so as to mark the job as failed and go on.
    """

    def told(cfg: DictConfig) -> Any:
        try:
            if missing := sorted(OmegaConf.missing_keys(cfg)):
                raise UserError("\n".join(f"{key}: no value; give {key}=..." for key in missing))
            return task(cfg)
        except Exception as error:
            sentence = _sentence(error)
            _write_to_log(sentence or traceback.format_exc())
            if HydraConfig.get().mode == RunMode.MULTIRUN:
                raise
            if sentence is None or _wants_trace():
                traceback.print_exc()
            _exit(
                sentence or f"{type(error).__name__}: a fault of genlab's or of a library; see above",
                error.exit_code if isinstance(error, UserError) else 2 if sentence else 1,
            )

    return told


def _sentence(error: Exception) -> str | None:
    """What to tell of an error that the user can mend, None of one that is a bug."""
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EROFS, errno.EACCES):
        where = error.filename or "the run folder"
        return f"{where}: cannot be written to ({error.strerror}); make room, or choose another place"
    return str(error) if isinstance(error, UserError) else None


def _write_to_log(text: str) -> None:
    """Adds to the run's log file alone."""
    record = logging.LogRecord("genlab", logging.ERROR, __file__, 0, text, None, None)
    for handler in logging.getLogger().handlers:
        if isinstance(handler, logging.FileHandler):
            handler.handle(record)


def _wants_trace() -> bool:
    """Whether the user, not we, asked Hydra for whole traces."""
    return os.environ.get("HYDRA_FULL_ERROR") == "1" and "GENLAB_ERRORS" not in os.environ


_LONG = {"--config-dir", "--config-name", "--config-path", "--package", "--cfg"}
WITH_VALUE = _LONG | {"-cd", "-cn", "-cp", "-p", "-c"}
"""Hydra's flags that are followed by a value."""


def prepare(arguments: list[str]) -> list[str]:
    """The command line as Hydra should read it: verbatim values quoted, `resume=` unfolded.

    Raises:
        UserError: as `resume_arguments`.
    """
    resume = [a.partition("=")[2] for a in arguments if a.startswith("resume=")]
    ready = [_quote_verbatim(a) for a in arguments if not a.startswith("resume=")]
    is_flag = [a.startswith("-") or (k > 0 and ready[k - 1] in WITH_VALUE) for k, a in enumerate(ready)]
    flags = [a for a, flag in zip(ready, is_flag, strict=True) if flag]
    others = [a for a, flag in zip(ready, is_flag, strict=True) if not flag]
    if not resume or resume[-1] in ("", "null"):
        return [*flags, *others]  # argparse wants no flag between overrides
    if {"-m", "--multirun"} & set(flags):
        raise UserError("resume= goes on with one run; to go on with a sweep repeat its command")
    run = resume[-1].rstrip("/")
    overrides = resume_arguments(run, others)
    return [*flags, *where_configs_lie(run, flags), *overrides]


def change_metrics(arguments: list[str]) -> list[str]:
    """Lets `metrics.NAME.SETTING=` stand without a choice of metrics: it then changes those of the run.

    Hydra does not know these before the run is read; `genlab.metric_choice` holds them against the run.
    """
    if any(argument.startswith("metrics=") for argument in arguments):
        return arguments
    return [f"++{argument}" if argument.startswith("metrics.") else argument for argument in arguments]


def _quote_verbatim(argument: str) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in VERBATIM or value in ("", "null", "???"):
        return argument
    return f"{key}={quoted(value)}"


def _exit(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


MISTYPED = r"override ([\w.]+)=.*\nValue '(.*)' (?:of type|is not) .*\b(Integer|Float|bool)\b"
KINDS = {"Integer": "a whole number", "Float": "a number", "bool": "true or false"}


def explain(error: Exception, config: str) -> str:
    """One sentence for an error of Hydra's: what, what is allowed, what was given, what to do."""
    text = str(error)
    if missing := re.search(r"Could not find '([\w/.@-]+)/([^/']*)'", text):
        group, option = missing.groups()
        return _no_option(group, option, re.findall(r"^\t(\S+)$", text, flags=re.M))
    if missing := re.search(r"Could not load '([\w/.@-]+)/([^/']*)'", text):  # one of a list
        return _no_option(missing[1], missing[2], options([conf_dir()]).get(missing[1], ()))
    if mistyped := re.search(MISTYPED, f"{text}\n{error.__cause__}"):
        return f"{mistyped[1]}: must be {KINDS[mistyped[3]]}, got {mistyped[2]!r}"
    if wrong := re.search(r"Could not override '([^']+)'", text):
        return _no_setting(wrong[1], config)
    if choose := re.search(r"You must specify '([^']+)'", text):
        return f"{choose[1]}: nothing is chosen; give {choose[1]}=<option>, see --help"
    if several := re.search(r"(?:Ambiguous value for argument|Sweep parameters) '(.+?=.*)'", text):
        return _no_sweep(several[1])
    if isinstance(error, OverrideParseException) and not text.startswith("Error parsing"):
        return _unreadable(error.override)
    if "missing EQUAL" in text:
        return f"{text.splitlines()[0]}; settings are given as name=value"
    lines = [line for line in text.splitlines() if line.strip()]
    cause = error.__cause__
    if isinstance(cause, OmegaConfBaseException):
        lines += str(cause).splitlines()
    kept = [line.strip() for line in lines if not re.match(r"\s*(full_key|object_type|reference_type)", line)]
    keys = [m[1] for line in lines if (m := re.match(r"\s*full_key: (\S+)", line))]
    sentence = " ".join(dict.fromkeys(kept[:2]))
    return f"{keys[0]}: {sentence}" if keys and keys[0] not in sentence else sentence


def _no_option(group: str, option: str, options: Collection[str]) -> str:
    if group == "model/pair":
        family, _, network = option.partition("_")
        pairs = [o.partition("_")[2] for o in options if o.startswith(f"{family}_")]
        known = ", ".join(sorted(pairs)) or "none yet"
        return f"model={family} has no network {network}; it has: {known} (model/network=...)"
    return f"{group}={option} is no option{did_you_mean(option, options)}"


def _no_sweep(override: str) -> str:
    key, _, values = override.partition("=")
    a_list = "" if "/" in key or "(" in values else f", or write a list as {key}=[{values}]"
    return f"{override}: several values are a sweep; add -m{a_list}"


def _unreadable(override: str) -> str:
    value = override.partition("=")[2]
    if re.search(r"(^|,)\s*(,|$)", value):
        return f"{override}: a value is missing beside a comma; a sweep's values stand as 4,8, without spaces"
    return f"{override}: cannot be read; a value with quotes, brackets or any of ,:= has to be quoted: \"name='a, b'\""


def _no_setting(key: str, config: str) -> str:
    """Looks the wrong key's neighbours up in the config without the user's settings."""
    if "/" in key and key not in (groups := options([conf_dir(), *config_dirs(sys.argv[1:])])):
        return f"{key} is no group of options{did_you_mean(key, groups)}"
    given = sys.argv[1:]
    overrides = [a for a in given if not a.startswith("-") and "/" in a.partition("=")[0]]
    chosen = [a for a in given if re.match(r"(model|data|trainer|logger|callbacks|experiment)=[\w-]+$", a)]
    theirs = [f"hydra.searchpath=[{quoted(f'file://{d.resolve()}')}]" for d in config_dirs(sys.argv[1:])]
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            asked = [*theirs, *chosen, *overrides]
            cfg = hydra.compose(config, asked, return_hydra_config=key.startswith("hydra."))
    except (HydraException, OmegaConfBaseException):
        return f"{key} is no setting of this run; {_in_places(key, config, [*theirs, *chosen])}"
    parent, siblings = key, None
    while siblings is None:
        parent, _, name = parent.rpartition(".")
        siblings = OmegaConf.select(cfg, parent) if parent else cfg
    if not isinstance(siblings, DictConfig):
        return f"{key}: {parent} is a value and has no settings"
    full = f"{parent}.{name}" if parent else name
    return f"{full} is no setting of {parent or 'this run'}{did_you_mean(name, map(str, siblings))}"


def _in_places(group: str, config: str, overrides: list[str]) -> str:
    """What to type for a group that a run has under other names, as a model with several optimizers."""
    try:
        with hydra.initialize_config_dir(str(conf_dir()), version_base="1.3"):
            cfg = hydra.compose(config, overrides=overrides, return_hydra_config=True)
    except (HydraException, OmegaConfBaseException):
        return "see --cfg job"
    choices = {str(name): choice for name, choice in cfg.hydra.runtime.choices.items()}
    if places := [name for name in choices if name.startswith(f"{group}@")]:
        return f"it has {' and '.join(places)}"
    if not group.startswith("model/") or "model" not in choices:
        return "see --cfg job"
    parts = {name.partition("@")[0] for name in choices if name.startswith("model/")} - {"model/pair"}
    return f"leave it out: it does not go with model={choices['model']}, which has {', '.join(sorted(parts))}"
