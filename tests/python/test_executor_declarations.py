"""Declarations of methods: what is made of functions, and what is refused."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Literal, Optional, Union

import pytest
from attached import attached
from conftest import Home

import opstead
from opstead._executor_task import stage_of


@pytest.fixture
def executor() -> opstead.Executor:
    return opstead.Executor("test")


def test_declarations_that_cannot_be() -> None:
    executor = opstead.Executor("test")

    def good(task: opstead.Task) -> None: ...
    def without_task() -> None: ...
    def by_position(task: opstead.Task, *things: str) -> None: ...
    def odd(task: opstead.Task, when: threading.Event) -> None: ...

    executor.method("t.good")(good)
    wrong: list[tuple[str, int, Callable[..., None], str]] = [
        ("good", 1, good, "name is 'good'; allowed is '<subsystem>.<method>'"),
        ("t.other", 0, good, "version is 0; allowed is a number from 1 on"),
        ("t.good", 1, good, "t.good is declared twice in version 1"),
        ("t.other", 1, without_task, "takes no task as its first argument"),
        ("t.other", 1, by_position, "things of .* cannot be given by name"),
        ("t.other", 1, odd, "when of .* is not to be said as a JSON Schema; give kwargsSchema"),
    ]
    for name, version, function, fault in wrong:
        with pytest.raises((TypeError, ValueError), match=fault):
            executor.method(name, version=version)(function)
    executor.method("t.odd", kwargsSchema={"type": "object"})(odd)
    with pytest.raises(ValueError, match="capacity is 0; allowed is a number from 1 on"):
        opstead.Executor("test", capacity=0)
    with pytest.raises(ValueError, match="name is ''; allowed is a text"):
        opstead.Executor("")
    with pytest.raises(ValueError, match="code is 1; allowed is a number from 3000 on"):
        opstead.Failure(1, "the daemon's own")


@pytest.mark.parametrize(
    ("declaration", "fault"),
    [
        ({"name": "storage.copyImage"}, "storage"),
        ({"name": "executors.attach"}, "executors"),
        ({"name": "t.a", "object": "Thing.{name"}, "brace"),
        ({"name": "t.a", "kwargsSchema": {"type": "nonsense"}}, "kwargsSchema"),
    ],
)
def test_declarations_that_the_daemon_refuses(
    home: Home, executor: opstead.Executor, declaration: dict[str, Any], fault: str
) -> None:
    @executor.method(**declaration)
    def method(task: opstead.Task) -> None: ...

    with pytest.raises(opstead.RefusedError, match=fault):
        executor.run(home.socket)


def test_reverts_that_are_none(executor: opstead.Executor) -> None:
    @executor.method("t.create")
    def create(task: opstead.Task, name: str, size: int = 1) -> None: ...

    executor.query("t.query")(lambda: None)
    for name, version in (("t.absent", 1), ("t.create", 2), ("t.query", 1)):
        with pytest.raises(ValueError, match=f"{name} is not declared as a method in version"):
            executor.revert(name, version=version)
    for function, fault in (
        (lambda _task: None, "unexpected keyword argument 'name'"),
        (lambda _task, name, size: None, "missing a required argument: 'size'"),
        (lambda: None, "too many positional arguments"),
    ):
        with pytest.raises(TypeError, match=f"does not take what t.create takes: .*{fault}"):
            executor.revert("t.create")(function)

    def text(task: str, name: str, size: int = 1) -> None: ...

    with pytest.raises(TypeError, match=r"annotated with .*str.*allowed is opstead\.Task"):
        executor.revert("t.create")(text)
    executor.revert("t.create")(lambda _task, **anything: None)
    with pytest.raises(ValueError, match=r"t\.create is reverted twice in version 1"):
        executor.revert("t.create")


def test_the_first_argument_is_the_task(executor: opstead.Executor) -> None:
    def text(name: str, size: int) -> None: ...
    def texts(names: list[str]) -> None: ...
    def other(task: opstead.aio.Task) -> None: ...
    async def looping(task: opstead.Task) -> None: ...

    for function, fault in (
        (text, r"name of .*text is annotated with .*str.*; .* allowed is opstead\.Task"),
        (texts, r"names of .*texts is annotated with list\[str\]"),
        (other, r"task of .*other is annotated with .*AsyncTask.* allowed is opstead\.Task"),
        (looping, r"task of .*looping is annotated with .* allowed is opstead\.aio\.Task"),
    ):
        for schema in (None, {"type": "object"}):
            with pytest.raises(TypeError, match=fault):
                executor.method("t.method", kwargsSchema=schema)(function)

    def anything(task: object) -> None: ...
    def either(task: Union[opstead.Task, opstead.aio.Task]) -> None: ...

    def untold(task: Any) -> None: ...

    executor.method("t.untold")(untold)
    executor.method("t.anything")(anything)
    executor.method("t.either")(either)


def test_a_stage_is_a_pair_or_as_it_is_read() -> None:
    for stage in ((1, 3), [1, 3], {"number": 1, "total": 3}):
        assert stage_of(stage) == {"number": 1, "total": 3}
    for wrong in ((2, 1), (1,), 1, "12", (1.5, 2), (True, 2), {"number": 1}, {"done": 1, "of": 2}):
        with pytest.raises(ValueError, match="allowed is \\(completed, total\\) or"):
            stage_of(wrong)


def test_a_schema_is_made_from_annotations(home: Home, executor: opstead.Executor) -> None:
    @executor.method("t.all")
    def all_kinds(
        task: opstead.Task,
        text: str,
        number: int,
        real: float = 1.0,
        flag: bool = False,
        texts: Optional[list[str]] = None,
        by_name: Optional[dict[str, int]] = None,
        word: Literal["a", "b"] = "a",
        thing: Any = None,
        plain: dict = {},  # type: ignore[type-arg]  # noqa: B006
    ) -> None: ...

    with attached(executor, home.socket), opstead.connect(home.socket) as host:
        [declared] = [one for one in host.methods.list().methods if one.name == "t.all"]
    nothing = {"type": "null"}
    assert declared.kwargsSchema == {
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "number": {"type": "integer"},
            "real": {"type": "number"},
            "flag": {"type": "boolean"},
            "texts": {"anyOf": [{"type": "array", "items": {"type": "string"}}, nothing]},
            "by_name": {
                "anyOf": [{"type": "object", "additionalProperties": {"type": "integer"}}, nothing]
            },
            "word": {"enum": ["a", "b"]},
            "thing": {},
            "plain": {"type": "object"},
        },
        "required": ["text", "number"],
        "additionalProperties": False,
    }
