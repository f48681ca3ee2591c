"""Flows: steps that succeed together or are reverted. Built step by step, registered as a whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Optional, Union

from .types import Dependency, FlowStep, RetryPolicy, Timestamp


class Flow:
    """A flow that is being built: `host.registerFlow(flow)` registers it.

    name: what it is called; its `methodName` is `flow.<name>`.
    id: an id of one's own, so that the request can be repeated.
    tags: words of one's own, to find it by.
    startAt, startBefore: not before, not later.
    after: when these operations are done.
    """

    def __init__(
        self,
        name: str,
        *,
        id: Optional[str] = None,
        tags: Optional[Sequence[str]] = None,
        startAt: Optional[Timestamp] = None,
        startBefore: Optional[Timestamp] = None,
        after: Optional[Sequence[Union[Dependency, Mapping[str, Any]]]] = None,
    ) -> None:
        self.name = name
        self.id = id
        self._more = {
            "tags": tags,
            "startAt": startAt,
            "startBefore": startBefore,
            "after": after,
        }
        self._steps: dict[str, Step] = {}

    def step(self, name: str, method: str, /, **kwargs: Any) -> Step:
        """Adds a step that runs the method with these kwargs, in which results of steps before
        may stand. It starts as soon as what it requires has completed, in parallel with whatever
        is not ordered.

        name: what the flow calls it, once; its id is `<flow id>.<name>`.
        """
        if name in self._steps:
            raise ValueError(f"the flow has a step {name!r} before; each has a name of its own")
        step = Step(self, name, method, kwargs)
        self._steps[name] = step
        return step

    @property
    def steps(self) -> list[FlowStep]:
        """The steps as they are sent."""
        return [step._described() for step in self._steps.values()]

    def _named(self, name: str) -> Step:
        if name not in self._steps:
            raise ValueError(f"{self!r} has no step {name!r}")
        return self._steps[name]

    def _params(self) -> dict[str, object]:
        return {"name": self.name, "steps": self.steps, "id": self.id, **self._more}

    def __repr__(self) -> str:
        return f"<flow {self.name!r} of {len(self._steps)} steps>"


class Step:
    """A step of a flow; made by `Flow.step`."""

    def __init__(self, flow: Flow, name: str, method: str, kwargs: Mapping[str, Any]) -> None:
        self.name = name
        self._flow = flow
        self._method = method
        self._kwargs = {key: _bound(flow, value) for key, value in kwargs.items()}
        self._requires: list[str] = []
        self._version: Optional[int] = None
        self._retry: Optional[RetryPolicy] = None

    @property
    def result(self) -> Result:
        """What it will return, for the kwargs of another step: `create.result["sizeBytes"]`."""
        return Result(self)

    def requires(self, *steps: Union[Step, str]) -> Step:
        """Waits for these steps too, whose results it need not take; also by their names."""
        for step in steps:
            found = self._flow._named(step) if isinstance(step, str) else step
            _check_of(self._flow, found)
            self._requires.append(found.name)
        return self

    def version(self, version: int) -> Step:
        """Runs that version of the method; else it is the highest declared."""
        self._version = version
        return self

    def retry(self, *, maxAttempts: int, initialMs: int, factor: float, maxMs: int) -> Step:
        """Is tried again so, in place of what the method declares."""
        self._retry = RetryPolicy(
            factor=factor, initialMs=initialMs, maxAttempts=maxAttempts, maxMs=maxMs
        )
        return self

    def _described(self) -> FlowStep:
        return FlowStep(
            methodName=self._method,
            name=self.name,
            kwargs=self._kwargs,
            requires=self._requires or None,
            retry=self._retry,
            version=self._version,
        )

    def __repr__(self) -> str:
        return f"<step {self.name!r}>"


class Result:
    """What a step will return, or with `[…]` a part of that. It may stand anywhere in the kwargs
    of another step, which then waits for this one.
    """

    # With indexes that never end, Python would iterate over it for ever.
    __iter__ = None

    def __init__(self, step: Step, pointer: str = "") -> None:
        self._step = step
        self._pointer = pointer

    def __getitem__(self, part: Union[str, int]) -> Result:
        """A member of an object by its name, or an element of an array by its index."""
        if isinstance(part, bool) or not isinstance(part, (str, int)):
            raise TypeError(f"a part of a result is {part!r}; allowed is a name or an index")
        if isinstance(part, int) and part < 0:
            raise ValueError(f"an index of a result is {part}; allowed is 0 or more")
        name = str(part).replace("~", "~0").replace("/", "~1")
        return Result(self._step, f"{self._pointer}/{name}")

    def _reference(self, flow: Flow) -> dict[str, str]:
        _check_of(flow, self._step)
        pointer = self._pointer and f"#{self._pointer}"
        return {"$result": f"{self._step.name}{pointer}"}

    def __repr__(self) -> str:
        return f"<result {self._step.name}{self._pointer}>"


def _check_of(flow: Flow, step: Step) -> None:
    if step._flow is not flow:
        raise ValueError(f"{step!r} belongs to another flow; allowed are steps of {flow!r}")


def _bound(flow: Flow, value: Any) -> Any:
    """The value with each result as it is written on the wire."""
    if isinstance(value, Result):
        return value._reference(flow)
    if isinstance(value, Step):
        raise TypeError(f"{value!r} is no value; its result is {value.name}.result")
    if isinstance(value, Mapping):
        return {key: _bound(flow, one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_bound(flow, one) for one in value]
    return value
