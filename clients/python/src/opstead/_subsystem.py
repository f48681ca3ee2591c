"""What is refused before it is sent: uses that cannot be meant."""

from __future__ import annotations

from ._session import ATTACH, SUBSCRIBE


def check_attribute(owner: str, name: str) -> None:
    """Python itself asks objects for such names; no subsystem and no method has one."""
    if name.startswith("_"):
        raise AttributeError(f"{owner} has no attribute {name!r}")


def check_positional(method: str, args: tuple[object, ...]) -> None:
    if args:
        raise TypeError(
            f"{method}() takes its arguments by name, such as {method}(name=value);"
            f" {len(args)} came without"
        )


def check_method(method: str) -> None:
    if not isinstance(method, str):
        raise TypeError(f"method is {method!r}; allowed is a text such as 'storage.copyImage'")
    if method == SUBSCRIBE:
        raise ValueError("alerts of this call would come to nobody; use subscribe()")
    if method == ATTACH:
        raise ValueError("assignments of this call would come to nobody; use opstead.Executor")
