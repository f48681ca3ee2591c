"""A function as a method that is offered: what is declared of it, and how it is called."""

from __future__ import annotations

import inspect
import re
import types as python_types
from collections.abc import Mapping
from typing import Any, Callable, Literal, NamedTuple, Optional, Union, get_args, get_origin
from typing import get_type_hints as hints_of

from ._executor_task import AsyncTask, Task
from ._executor_work import is_async
from ._json import present

SCALARS: dict[Any, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
    dict: "object",
    list: "array",
}
UNIONS = (Union, getattr(python_types, "UnionType", Union))


class Declared(NamedTuple):
    """A method, the function that carries it out, and the one that reverts it."""

    function: Callable[..., Any]
    declaration: dict[str, Any]
    revert: Optional[Callable[..., Any]] = None

    def reverted_by(self, function: Callable[..., Any]) -> Declared:
        """The same method, which can be reverted.

        Raises `TypeError` when the functions do not take the same arguments, or this one takes no
        task.
        """
        parameters = _named(self.function)
        for given in (parameters, [one for one in parameters if one.default is one.empty]):
            try:
                inspect.signature(function).bind(None, **{one.name: None for one in given})
            except TypeError as error:
                raise TypeError(
                    f"{function.__qualname__} does not take what {self.declaration['name']}"
                    f" takes: {error}"
                ) from None
        _check_takes_task(function)
        return Declared(self.function, {**self.declaration, "revertible": True}, function)


def _named(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """What a method's function takes by name, beside its task."""
    _task, *parameters = inspect.signature(function).parameters.values()
    by_name = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    return [one for one in parameters if one.kind in by_name]


def declared(
    function: Callable[..., Any], given: Mapping[str, object], *, takes_task: bool
) -> Declared:
    """A method as it is declared: what was given, and what its function says by itself.

    Raises `TypeError` or `ValueError`.
    """
    name, version = given["name"], given["version"]
    if not isinstance(name, str) or not re.fullmatch(r"[^.\s]+\.[^.\s]+", name):
        raise ValueError(f"name is {name!r}; allowed is '<subsystem>.<method>'")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ValueError(f"version is {version!r}; allowed is a number from 1 on")
    if takes_task:
        _check_takes_task(function)
    declaration = present(given)
    # A summary is one line.
    first_line = (inspect.getdoc(function) or "").partition("\n")[0]
    declaration.setdefault("summary", first_line)
    if "kwargsSchema" not in declaration:
        declaration["kwargsSchema"] = schema_of(function, takes_task=takes_task)
    return Declared(function, declaration)


def schema_of(function: Callable[..., Any], *, takes_task: bool) -> dict[str, Any]:
    """The JSON Schema of a function's arguments, by their annotations.

    Raises `TypeError` for what has none.
    """
    parameters = list(inspect.signature(function).parameters.values())
    if takes_task:
        parameters = parameters[1:]
    hints = _hints(function)
    properties, required, is_open = {}, [], False
    for one in parameters:
        if one.kind is inspect.Parameter.VAR_KEYWORD:
            is_open = True
            continue
        if one.kind in (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.VAR_POSITIONAL):
            raise TypeError(f"{one.name} of {function.__qualname__} cannot be given by name")
        try:
            properties[one.name] = _schema(hints.get(one.name, Any))
        except TypeError as error:
            raise TypeError(
                f"{one.name} of {function.__qualname__}: {error}; give kwargsSchema"
            ) from None
        if one.default is inspect.Parameter.empty:
            required.append(one.name)
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    if required:
        schema["required"] = required
    if not is_open:
        schema["additionalProperties"] = False
    return schema


def _check_takes_task(function: Callable[..., Any]) -> None:
    parameters = list(inspect.signature(function).parameters.values())
    if not parameters or parameters[0].kind in (
        inspect.Parameter.KEYWORD_ONLY,
        inspect.Parameter.VAR_KEYWORD,
    ):
        raise TypeError(f"{function.__qualname__} takes no task as its first argument")
    try:
        kind = hints_of(function).get(parameters[0].name, Any)
    except (NameError, TypeError):
        # Names that only a type checker sees; where a schema is made of them it is refused.
        return
    given, said = (AsyncTask, "opstead.aio.Task") if is_async(function) else (Task, "opstead.Task")
    # Others, such as unions and protocols, are for a type checker to judge.
    of = get_origin(kind) or kind
    is_judged = (
        isinstance(of, type) and of not in (Any, *UNIONS) and not getattr(of, "_is_protocol", False)
    )
    if is_judged and not issubclass(given, of):
        raise TypeError(
            f"{parameters[0].name} of {function.__qualname__} is annotated with {kind!r}; the first"
            f" argument is the task, allowed is {said}"
        )


def _hints(function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return hints_of(function)
    except (NameError, TypeError) as error:
        raise TypeError(
            f"the annotations of {function.__qualname__} cannot be read: {error}; give kwargsSchema"
        ) from None


def _schema(kind: Any) -> dict[str, Any]:
    if kind is Any:
        return {}
    if isinstance(kind, type) and kind in SCALARS:
        return {"type": SCALARS[kind]}
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in UNIONS:
        return {"anyOf": [_schema(one) for one in arguments]}
    if origin is list:
        return {"type": "array", "items": _schema(arguments[0])}
    if origin is dict and arguments[0] is str:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    raise TypeError(f"{kind!r} is not to be said as a JSON Schema")


def key_of(name: Optional[str], version: Optional[int]) -> tuple[str, int]:
    """By which a method is found."""
    return name or "", version or 1
