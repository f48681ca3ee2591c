"""JSON as it is sent and read: integers exact, members in order, records as dataclasses."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Mapping
from typing import Any, TypeVar, Union, cast, get_args, get_origin, get_type_hints

T = TypeVar("T")


def encode(params: Mapping[str, object]) -> str:
    """The params of a call.

    Raises `TypeError` or `ValueError` for what is no JSON.
    """
    try:
        return json.dumps(params, default=_plain, allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        kind = ValueError if isinstance(error, RecursionError) else type(error)
        raise kind(f"the params are no JSON: {error}") from None


def present(params: Mapping[str, object]) -> dict[str, object]:
    """The params without those that were left out."""
    return {name: value for name, value in params.items() if value is not None}


def decode(kind: type[T], value: Any) -> T:
    """A record of the daemon. Members that are not known are passed over: it may be newer.

    Raises `ValueError` when it is none.
    """
    return cast(T, _decode(kind, value, kind_name(kind)))


def kind_name(kind: Any) -> str:
    return getattr(kind, "__name__", None) or str(kind)


def _plain(value: object) -> object:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return present(vars(value))
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a {type(value).__name__} cannot be written as JSON")


def _decode(kind: Any, value: Any, where: str) -> Any:
    if dataclasses.is_dataclass(kind):
        return _decode_record(kind, value, where)
    origin = get_origin(kind)
    if origin is list:
        if not isinstance(value, list):
            raise ValueError(f"{where} is no array")
        [of] = get_args(kind)
        return [_decode(of, one, where) for one in value]
    if origin is Union:
        [of] = [one for one in get_args(kind) if one is not type(None)]
        return None if value is None else _decode(of, value, where)
    expected = _scalar(kind)
    if expected and (not isinstance(value, expected) or isinstance(value, bool) != (kind is bool)):
        raise ValueError(f"{where} is no {kind_name(kind)}")
    return value


def _decode_record(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is no object")
    members = {}
    for name, of, required in _members(kind):
        if name in value:
            members[name] = _decode(of, value[name], f"{where}.{name}")
        elif required:
            raise ValueError(f"{where}.{name} is missing")
    return kind(**members)


def _scalar(kind: Any) -> tuple[type, ...]:
    if kind is float:
        return (int, float)
    if kind in (str, int, bool):
        return (kind,)
    return (dict,) if get_origin(kind) is dict else ()


@functools.cache
def _members(kind: Any) -> list[tuple[str, Any, bool]]:
    """Name, type and whether it must be there."""
    hints = get_type_hints(kind)
    missing = dataclasses.MISSING
    return [
        (
            one.name,
            hints[one.name],
            one.default is missing and one.default_factory is missing,
        )
        for one in dataclasses.fields(kind)
    ]
