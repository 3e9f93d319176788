"""`validate`: everything that is wrong with a config, told at once, before any data is read.

A config path is a constructor path, so the constructors' signatures say what a config may hold: for each
node with a `_target_` the arguments are held against `inspect.signature` and the type hints.
"""

import inspect
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from importlib import import_module
from pathlib import PurePath
from typing import Any

from omegaconf import DictConfig, OmegaConf

from genlab.config import TrainConfig, plain
from genlab.errors import UserError
from genlab.suggestions import did_you_mean

HYDRA_KEYS = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}


def validate(cfg: DictConfig, *, facts_known: bool = True) -> None:
    """Checks the sections of a run against the constructors they name.

    Args:
        cfg: a composed config.
        facts_known: False before the data was read: values that are interpolated from `data` may still
            be null, since only the data can tell them.

    Raises:
        UserError: all problems, one a line.
    """
    raw = OmegaConf.to_container(cfg, resolve=False)
    values = plain(cfg)
    known = list(TrainConfig.__dataclass_fields__)
    problems = [
        f"{key}: no section of a run{did_you_mean(str(key), known)}" for key in values if key not in known
    ]
    if not 0 <= values.get("seed", 0) < 2**32:
        problems.append(f"seed: must lie in 0..2^32-1, got {values['seed']}")
    for section in ("data", "model", "trainer"):
        node = values.get(section)
        if not (isinstance(node, dict) and "_target_" in node):
            problems.append(f"{section}: nothing is chosen; give {section}=<option>, see --help")
    problems += [
        f"metrics.{name}: settings of a metric that is not chosen; give metrics=... with it, or metrics.{name}=null"
        for name, node in (values.get("metrics") or {}).items()
        if isinstance(node, dict) and "_target_" not in node
    ]
    for section in ("data", "model", "trainer", "callbacks", "logger", "metrics"):
        assert isinstance(raw, dict)
        problems += _check(values.get(section), raw.get(section), section, facts_known)
    if problems:
        raise UserError("\n".join(problems))


def check_section(values: dict[str, Any], name: str) -> None:
    """Checks one section, as plain data, like `validate` does all of them.

    Raises:
        UserError: all problems, one a line.
    """
    if problems := _check(values, values, name, facts_known=True):
        raise UserError("\n".join(problems))


def locate(target: str) -> Any:
    """The class or function that a `_target_` names.

    Raises:
        UserError: there is none of that name; the close one is offered.
    """
    parts = target.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:cut])
        try:
            found: Any = import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
                continue
            raise UserError(f"{target}: its module needs {error.name}, which is not installed") from error
        for part in parts[cut:]:
            if not hasattr(found, part):
                raise UserError(f"{target}: no {part} in {module_name}{did_you_mean(part, _public(found))}")
            found = getattr(found, part)
        return found
    raise UserError(f"{target}: no module of that name can be imported")


def _public(module: Any) -> list[str]:
    return [name for name in vars(module) if not name.startswith("_")]


def _check(value: Any, raw: Any, path: str, facts_known: bool) -> list[str]:
    """Problems of a node and of everything below it."""
    if isinstance(value, list):
        raws = raw if isinstance(raw, list) else [None] * len(value)
        return [p for i, v in enumerate(value) for p in _check(v, raws[i], f"{path}.{i}", facts_known)]
    if not isinstance(value, dict):
        return [f"{path}: no value; give {path}=..."] if value == "???" else []
    raw = raw if isinstance(raw, dict) else {}
    problems = [
        problem
        for key, child in value.items()
        if key not in HYDRA_KEYS
        for problem in _check(child, raw.get(key), f"{path}.{key}", facts_known)
    ]
    if "_target_" in value:
        problems += _check_call(value, raw, path, facts_known)
    return problems


def _check_call(node: Mapping[str, Any], raw: Mapping[str, Any], path: str, facts_known: bool) -> list[str]:
    """Holds one constructor call against its signature."""
    try:
        target = locate(str(node["_target_"]))
    except UserError as error:
        return [f"{path}: {error}"]
    try:
        parameters = inspect.signature(target).parameters
    except (TypeError, ValueError):
        return []
    hints = _hints(target)
    given = {key: value for key, value in node.items() if key not in HYDRA_KEYS}
    takes_any = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
    named = [name for name, p in parameters.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)]
    problems = []
    for key, value in given.items():
        if key not in named:
            if not takes_any:
                problems.append(f"{path}.{key}: no argument of {_name(target)}{did_you_mean(key, named)}")
            continue
        from_data = isinstance(raw.get(key), str) and raw[key].startswith("${data.")
        unread = value is None or (isinstance(value, list) and None in value)
        if value == "???" or (unread and not facts_known and (from_data or path == "data")):
            continue
        problem = mismatch(value, hints.get(key, inspect.Parameter.empty))
        if problem:
            problems.append(f"{path}.{key}: {problem}")
    if not node.get("_partial_"):
        required = [name for name in named if parameters[name].default is inspect.Parameter.empty]
        missing = [name for name in required if name not in given]
        problems += [f"{path}.{name}: {_name(target)} needs it and it is not given" for name in missing]
    return problems


def _hints(target: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError, AttributeError):
        return {}  # a third party's annotations that cannot be read: its arguments' names are still checked


def mismatch(value: Any, hint: Any) -> str | None:
    """Why a config value cannot be passed for an annotation, or None where it can."""
    if hint in (inspect.Parameter.empty, Any, object) or isinstance(hint, typing.TypeVar):
        return None
    if isinstance(value, dict) and "_target_" in value:
        return _wrong_object(value, hint)
    if _fits(value, hint):
        return None
    if _is_object(hint):
        return f"wants {_a(hint)}, got {value!r}; choose one of its config group"
    return f"must be {_describe(hint)}, got {value!r}"


def _fits(value: Any, hint: Any) -> bool:
    """Whether plain data fits an annotation; annotations that plain data cannot answer pass."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, arg) for arg in args)
    if origin is typing.Literal:
        return value in args
    if hint in (None, type(None)):
        return value is None
    if hint is float:
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool, dict):
        return isinstance(value, hint)
    if origin is tuple:
        return isinstance(value, list) and _fits_tuple(value, args)
    if inspect.isclass(origin) and issubclass(origin, Mapping):
        return isinstance(value, dict)
    if hint is list or (inspect.isclass(origin) and issubclass(origin, Iterable)):
        return isinstance(value, list) and all(_fits(v, args[0]) for v in value if args)
    return not _is_object(hint)


def _fits_tuple(values: list[Any], args: tuple[Any, ...]) -> bool:
    """A tuple's items, strictly: torch's Adam refuses betas=(0, 0.9), an int beside a float."""
    wanted = args[:1] * len(values) if ... in args else args
    if len(values) != len(wanted):
        return False
    number_kinds = {type(v) for v in values if isinstance(v, (int, float))}
    return len(number_kinds) <= 1 and all(_fits(v, a) for v, a in zip(values, wanted, strict=True))


def _is_object(hint: Any) -> bool:
    """Whether an annotation asks for an object of ours or a factory, which only a node can give."""
    if typing.get_origin(hint) is Callable or hint is Callable:
        return True
    return inspect.isclass(hint) and hint.__module__ != "builtins" and not issubclass(hint, (PurePath, Enum))


def _wrong_object(node: Mapping[str, Any], hint: Any) -> str | None:
    """Why the object of a node cannot be passed for an annotation."""
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    reasons = [_wrong_single(node, option) for option in options]
    return None if None in reasons else reasons[0]


def _wrong_single(node: Mapping[str, Any], hint: Any) -> str | None:
    try:
        target = locate(str(node["_target_"]))
    except UserError:
        return None  # told where the node itself is checked
    partial = bool(node.get("_partial_"))
    if typing.get_origin(hint) is Callable:
        returns = (typing.get_args(hint) or (None,))[-1]
        wanted = returns if inspect.isclass(returns) else None
        if wanted is not None and inspect.isclass(target) and not partial:
            return f"wants a factory: write `_partial_: true` beside {_name(target)}"
    else:
        wanted = hint if inspect.isclass(hint) else None
        if wanted is not None and partial:
            return f"wants {_a(wanted)}, got a factory: remove `_partial_: true`"
    if wanted is None or not inspect.isclass(target) or getattr(wanted, "_is_protocol", False):
        return None
    if issubclass(target, wanted):
        return None
    return f"wants {_a(wanted)}, got {_name(target)}: choose another option of its group, see --list"


def _a(thing: Any) -> str:
    name = _name(thing)
    return f"{'an' if name[0] in 'AEIOU' else 'a'} {name}"


def _name(thing: Any) -> str:
    if typing.get_origin(thing) is Callable:
        returns = (typing.get_args(thing) or (None,))[-1]
        return f"factory of {_name(returns)}"
    return getattr(thing, "__name__", str(thing))


def _describe(hint: Any) -> str:
    """An annotation in words: `a number or null`, `one of sum, mean`."""
    options = _flat(hint)
    words = [
        str(word)
        for option in options
        if typing.get_origin(option) is typing.Literal
        for word in typing.get_args(option)
    ]
    kinds = [_kind(option) for option in options if typing.get_origin(option) is not typing.Literal]
    listed = [f"one of {', '.join(dict.fromkeys(words))}"] if words else []
    return " or ".join(dict.fromkeys([*listed, *kinds]))


def _flat(hint: Any) -> list[Any]:
    """The options of a union, of unions within it too."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [option for arg in typing.get_args(hint) for option in _flat(arg)]
    return [hint]


def _kind(hint: Any) -> str:
    names = {
        int: "a whole number",
        float: "a number",
        str: "a text",
        bool: "true or false",
        type(None): "null",
    }
    if hint in names:
        return names[hint]
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if inspect.isclass(origin) and issubclass(origin, tuple) and args:
        return f"a list of {len(args)}, each {_describe(args[0])} (write 0.0, not 0)"
    if args and inspect.isclass(origin) and issubclass(origin, Iterable):
        return f"a list, each {_describe(args[0])}"
    return _name(hint)
