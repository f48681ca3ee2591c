"""A client of the Opstead daemon: call, register, subscribe, resume, wait.

`connect` gives a `Host` for threads; `opstead.aio.connect` one for asyncio. Both have the daemon's
own names: what the protocol calls `waitForEvent` or `filterType` is called so here.
"""

from __future__ import annotations

from . import _refusals, aio, types
from ._blocking import Host, Subscription, connect
from ._config import Config
from ._errors import (
    ConnectError,
    DisconnectedError,
    Error,
    OperationFailedError,
    ProtocolError,
    RefusedError,
    TimeoutError,
    TokenError,
)
from ._executor import Executor
from ._executor_outcome import CanceledError, Failure
from ._executor_task import Task
from ._flow import Flow, Result, Step
from ._refusals import *

__all__ = [
    "CanceledError",
    "Config",
    "ConnectError",
    "DisconnectedError",
    "Error",
    "Executor",
    "Failure",
    "Flow",
    "Host",
    "OperationFailedError",
    "ProtocolError",
    "RefusedError",
    "Result",
    "Step",
    "Subscription",
    "Task",
    "TimeoutError",
    "TokenError",
    "aio",
    "connect",
    "types",
]
__all__ += _refusals.__all__
