"""How a host behaves, where its daemon is, and with which token it connects."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Optional, Union

from ._errors import TokenError

DEFAULT_PORT = 6770
TOKEN_VARIABLE = "OPSTEAD_TOKEN"
TOKEN_FILE_VARIABLE = "OPSTEAD_TOKEN_FILE"


@dataclass(frozen=True)
class Config:
    """How a host behaves. Times are in seconds."""

    connectTimeout: float = 10.0
    """How long making a connection may take."""

    callTimeout: float = 30.0
    """How long an answer may take; waits have this beside their own time."""

    backoff: float = 0.05
    """The delay before the first attempt at a new connection. It doubles with each, until a
    connection has lasted for a `pingInterval`.
    """

    backoffMost: float = 5.0
    """The longest such delay."""

    pingInterval: float = 15.0
    """How often the daemon is asked for a sign of life. Without one for three times as long the
    connection counts as lost.
    """

    queue: int = 1024
    """How many alerts a subscription holds that were not yet taken. Over that it is given up, and
    resumed after the last one taken.
    """

    callsInFlight: int = 1024
    """How many calls may be in flight; further ones wait."""

    messageBytes: int = 64 << 20
    """The longest message that is read."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, bool) or not isinstance(value, (int, float)) or not value > 0:
                raise ValueError(f"{one.name} is {value!r}; allowed is a number above 0")


@dataclass(frozen=True)
class Target:
    """Where a daemon is: a host and a port, or the path of a Unix socket."""

    host: str = ""
    port: int = 0
    path: str = ""

    @property
    def uri(self) -> str:
        """As a WebSocket's address; over a Unix socket the host means nothing."""
        return "ws://localhost/" if self.path else f"ws://{self.host}:{self.port}/"

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else f"ws://{self.host}:{self.port}"


def target_of(text: Union[str, os.PathLike[str]]) -> Target:
    """Reads `ws://host:port`, `unix:/path` or a path.

    Raises `ValueError`.
    """
    given = os.fspath(text)
    if given.startswith("unix:"):
        target = Target(path=given.removeprefix("unix:").removeprefix("//"))
    elif given.startswith("ws://"):
        target = _authority(given.removeprefix("ws://").removesuffix("/"))
    elif "://" not in given and "/" in given:
        target = Target(path=given)
    else:
        target = _authority("" if "://" in given else given)
    if not target.path and not target.host:
        raise ValueError(
            f"{given!r} is no target: expected ws://host:port, unix:/path or a path",
        )
    return target


def _authority(text: str) -> Target:
    found = re.fullmatch(r"(\[[0-9A-Fa-f:.]+\]|[^\s/:@?#\[\]]+)(?::([0-9]{1,5}))?", text)
    port = int(found[2] or DEFAULT_PORT) if found else 0
    if not found or not found[1].isprintable() or port > 0xFFFF:
        return Target()
    return Target(host=found[1], port=port)


@dataclass(frozen=True, repr=False)
class Token:
    """With what a host says who it is: this token, or the one in this file, which is read anew for
    each connection; else what the environment says, else nothing.
    """

    given: Optional[str] = None
    file: Optional[Union[str, os.PathLike[str]]] = None

    def __post_init__(self) -> None:
        if self.given is not None and self.file is not None:
            raise ValueError("token and tokenFile are both given; allowed is one of them")

    def headers(self) -> dict[str, str]:
        """The header `Authorization`, if there is a token.

        Raises `TokenError`.
        """
        token, source = self.given, "token"
        file = self.file
        if token is None and file is None:
            token, source = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
            file = os.environ.get(TOKEN_FILE_VARIABLE) if token is None else None
        if file is not None:
            source = os.fspath(file)
            try:
                token = Path(file).read_text()
            except (OSError, UnicodeDecodeError) as error:
                raise TokenError(f"cannot read the token from {source}: {error}") from error
        if token is None:
            return {}
        token = token.strip()
        # Anything else would end the header and begin another.
        if not re.fullmatch("[!-~]+", token):
            raise TokenError(f"{source}: a token is printable ASCII without spaces")
        return {"Authorization": f"Bearer {token}"}
