#!/usr/bin/env python3
"""Writes what the client knows of the wire: types, refusals, the daemon's own methods.

From `schema/openrpc.json`, the one description of it. `generate.py` writes the files; with
`--check` it writes nothing and exits with 1 if one of them is stale.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parents[1] / "schema" / "openrpc.json"
PACKAGE = HERE / "src" / "opstead"

Schema = dict[str, Any]

SCALARS = {
    "string": "str",
    "integer": "int",
    "number": "float",
    "boolean": "bool",
    "object": "dict[str, Any]",
}

# These mean something only on a connection that is subscribed or attached: `Host.subscribe` and
# `Executor` are for them.
OF_CONNECTIONS = (
    "alerts.subscribe",
    "alerts.unsubscribe",
    "executors.attach",
    "executors.update",
    "executors.complete",
    "executors.fail",
    "executors.canceled",
    "executors.answer",
    "executors.capacity",
    "objects.publish",
    "objects.retire",
)
# Likewise of `operations.register`.
PARAM_OF_CONNECTIONS = "lease"

# From here on errors end operations.
FIRST_OF_OPERATIONS = 2000

# JSON-RPC's own, as far as callers tell them apart.
OF_JSON_RPC = {
    "invalidParams": {
        "code": -32602,
        "message": "The arguments are not as they should be; `faults` name them all.",
    },
    "methodNotFound": {"code": -32601, "message": "There is no such method."},
}

# What a caller can do about it, where the daemon's own message does not say.
ADVICE = {
    "conflict": "`details.reasons` say with what; wait until that is done",
    "idReused": "choose another id, or send exactly the first request",
    "cursorExpired": "go on after `oldestCursor`, and read what was missed with `operations.list`",
    "cursorUnknown": "begin anew: subscribe without a place, and read with `operations.list`",
    "overloaded": "ask again later",
    "shuttingDown": "wait with `waitForReconnect`, then ask again",
    "unauthenticated": "pass `token` or `tokenFile`, or set OPSTEAD_TOKEN_FILE: it is in"
    " `admin.token` of the daemon's data folder",
    "storageFailed": "repeat the request with the same id",
}


def main() -> int:
    document = json.loads(DOCUMENT.read_text())
    files = {
        "types.py": types_of(document["components"]["schemas"]),
        "_refusals.py": refusals_of(document["components"]["errors"]),
        "_blocking_families.py": families_of(document, is_async=False),
        "_aio_families.py": families_of(document, is_async=True),
    }
    stale = []
    for name, text in files.items():
        path = PACKAGE / name
        if not path.exists() or path.read_text() != text:
            stale.append(name)
            if "--check" not in sys.argv[1:]:
                path.write_text(text)
    for name in stale:
        print(f"{name} was stale; clients/python/generate.py writes it anew")
    return 1 if stale and "--check" in sys.argv[1:] else 0


def head(about: str, imports: list[str]) -> str:
    note = "Generated from `schema/openrpc.json` by `generate.py`: do not edit."
    lines = [f'"""{about}', "", note, '"""', "", "from __future__ import annotations", "", *imports]
    return "\n".join(lines) + "\n"


# Types


def types_of(schemas: dict[str, Schema]) -> str:
    text = head(
        "The types of the wire, each as `PROTOCOL.md` describes it.",
        [
            "from dataclasses import dataclass, field",
            "from typing import Any, Literal, Optional",
        ],
    )
    names = {name: schema for name, schema in schemas.items() if "properties" not in schema}
    for name, schema in sorted(names.items()):
        text += alias_of(name, schema)
    for name in in_order(schemas):
        text += class_of(name, schemas[name])
    return text


def in_order(schemas: dict[str, Schema]) -> list[str]:
    """The classes, each after those that it has members of."""
    done: list[str] = []

    def visit(name: str) -> None:
        if name in done or "properties" not in schemas[name]:
            return
        for reference in references_in(schemas[name]):
            visit(reference)
        done.append(name)

    for name in sorted(schemas):
        visit(name)
    return done


def references_in(schema: Any) -> list[str]:
    if isinstance(schema, dict):
        own = [reference_of(schema)] if "$ref" in schema else []
        return own + [name for value in schema.values() for name in references_in(value)]
    if isinstance(schema, list):
        return [name for value in schema for name in references_in(value)]
    return []


def alias_of(name: str, schema: Schema) -> str:
    choices = schema.get("oneOf", [])
    words = schema.get("enum", [])
    if choices and all(isinstance(choice.get("const"), str) for choice in choices):
        words = [choice["const"] for choice in choices]
    if words:
        body = "".join(f'    "{word}",\n' for word in words)
        text = f"\n{name} = Literal[\n{body}]\n"
    else:
        kinds = [schema, *choices]
        kind = next(SCALARS[found["type"]] for found in kinds if "type" in found)
        text = f"\n{name} = {kind}\n"
    text += doc(schema.get("description", ""), "")
    for choice in choices:
        if words and "description" in choice:
            text = text.replace(
                f'    "{choice["const"]}",\n',
                f'    # {one_line(choice["description"])}\n    "{choice["const"]}",\n',
            )
    return text


def class_of(name: str, schema: Schema) -> str:
    text = f"\n\n@dataclass(frozen=True)\nclass {name}:\n{doc(schema['description'], '    ')}"
    required = schema.get("required", [])
    members = sorted(schema["properties"].items(), key=lambda member: member[0] not in required)
    for member, of in members:
        text += f"\n    {member}: {annotation(of)}{'' if member in required else default_of(of)}\n"
        text += doc(of.get("description", ""), "    ")
    return text


def default_of(schema: Schema) -> str:
    kind = annotation(schema)
    if "default" in schema and not isinstance(schema["default"], (dict, list)):
        return f" = {literal(schema['default'])}"
    if kind.startswith("list["):
        return " = field(default_factory=list)"
    if kind.startswith("dict["):
        return " = field(default_factory=dict)"
    if kind == "bool":
        return " = False"
    if kind == "str":
        return ' = ""'
    return " = None"


def annotation(schema: Schema) -> str:
    """The type of what the daemon sends."""
    if "$ref" in schema:
        return reference_of(schema)
    choices = schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf")
    if choices:
        [only] = [choice for choice in choices if choice.get("type") != "null"]
        optional = len(choices) > 1
        return f"Optional[{annotation(only)}]" if optional else annotation(only)
    kind = schema.get("type")
    if kind is None:
        return "Any"
    if isinstance(kind, list):
        [only] = [one for one in kind if one != "null"]
        return f"Optional[{annotation({**schema, 'type': only})}]"
    if kind == "array":
        return f"list[{annotation(schema['items'])}]"
    values = schema.get("additionalProperties")
    if kind == "object" and isinstance(values, dict):
        return f"dict[str, {annotation(values)}]"
    return SCALARS[kind]


# Refusals


def refusals_of(errors: dict[str, Schema]) -> str:
    text = head(
        "The daemon's own errors, one class each.",
        ["from ._errors import RefusedError"],
    )
    classes = []
    errors = {**OF_JSON_RPC, **errors}
    for reason, error in sorted(errors.items(), key=lambda item: item[1]["code"]):
        if error["code"] >= FIRST_OF_OPERATIONS:
            continue
        name = class_name(reason)
        classes.append((error["code"], name))
        text += f"\n\nclass {name}(RefusedError):\n{doc(error['message'], '    ')}"
        if reason in ADVICE:
            text += f"\n    _advice = {wrapped(ADVICE[reason], '        ')}\n"
        if reason == "cursorExpired":
            text += OLDEST_CURSOR
    body = "".join(f"    {code}: {name},\n" for code, name in classes)
    text += f"\n\nBY_CODE: dict[int, type[RefusedError]] = {{\n{body}}}\n"
    names = "".join(f'    "{name}",\n' for _code, name in sorted(classes, key=lambda it: it[1]))
    return text + f"\n__all__ = [\n{names}]\n"


OLDEST_CURSOR = '''
    @property
    def oldestCursor(self) -> int:
        """The oldest place from which alerts can still be read."""
        return self.details.oldestCursor or 0
'''


def class_name(reason: str) -> str:
    return reason[0].upper() + reason[1:] + "Error"


# Methods


def families_of(document: Schema, *, is_async: bool) -> str:
    components = document["components"]
    schemas, errors = components["schemas"], components["errors"]
    methods = [
        of_host(method, errors)
        for method in document["methods"]
        if method["name"] not in OF_CONNECTIONS
    ]
    families: dict[str, list[Schema]] = {}
    for method in methods:
        family, _dot, _name = method["name"].rpartition(".")
        families.setdefault(family, []).append(method)
    used = " ".join(definition_of(method, schemas, is_async=is_async) for method in methods)
    imports = [name for name in ("Any", "Optional", "TypeVar", "Union") if name in used]
    imports += ["Protocol", "TypeVar"]
    generics = [name for name in ("Awaitable", "Mapping", "Sequence") if f"{name}[" in used]
    if is_async:
        generics = sorted({*generics, "Awaitable"})
    text = head(
        f"The daemon's own methods, {'asyncio' if is_async else 'blocking'}.",
        [
            f"from collections.abc import {', '.join(generics)}",
            "from functools import cached_property",
            f"from typing import {', '.join(sorted(set(imports)))}",
            "",
            "from . import types",
        ],
    )
    answer = "Awaitable[T]" if is_async else "T"
    text += ASK.replace("ANSWER", answer)
    for family, of in families.items():
        if family:
            text += f'\n\nclass {family.capitalize()}:\n    """The methods `{family}.…`."""\n'
            text += "\n    def __init__(self, ask: Ask) -> None:\n        self._ask = ask\n"
            text += "".join(definition_of(method, schemas, is_async=is_async) for method in of)
    text += '\n\nclass DaemonMethods:\n    """The daemon\'s own methods, by family."""\n'
    text += "\n    _ask: Ask\n"
    for family in filter(None, families):
        text += f"\n    @cached_property\n    def {family}(self) -> {family.capitalize()}:\n"
        text += f'        """The methods `{family}.…`."""\n'
        text += f"        return {family.capitalize()}(self._ask)\n"
    return text + "".join(
        definition_of(method, schemas, is_async=is_async) for method in families.get("", [])
    )


def of_host(method: Schema, errors: dict[str, Schema]) -> Schema:
    """A method as it can be called on any connection."""
    params = [param for param in method["params"] if param["name"] != PARAM_OF_CONNECTIONS]
    if len(params) == len(method["params"]):
        return method
    # What a call is answered with beyond this comes with that param.
    answered = [
        error
        for error in method["errors"]
        if reference_of(error) != "staleLease"
        and errors[reference_of(error)]["code"] < FIRST_OF_OPERATIONS
    ]
    return {**method, "params": params, "errors": answered}


ASK = '''
T = TypeVar("T")


class Ask(Protocol):
    """How a method is called: its name, its params, what it is answered with."""

    def __call__(
        self, method: str, params: dict[str, object], answer: type[T], waitMs: int = 0
    ) -> ANSWER: ...
'''


def definition_of(method: Schema, schemas: dict[str, Schema], *, is_async: bool) -> str:
    name = method["name"].rpartition(".")[2]
    params = sorted(method["params"], key=lambda param: not param["required"])
    star = ["*"] if method["paramStructure"] == "by-name" and params else []
    arguments = ["self", *star, *(parameter(param, schemas) for param in params)]
    answer = answer_of(method["result"]["schema"])
    word = "async def" if is_async else "def"
    text = f"\n    {word} {name}(\n"
    text += "".join(f"        {argument},\n" for argument in arguments)
    text += f"    ) -> {answer}:\n"
    if len(arguments) == 1:
        text = f"\n    {word} {name}(self) -> {answer}:\n"
    text += documentation_of(method)
    entries = "".join(f'            "{param["name"]}": {param["name"]},\n' for param in params)
    sent = f"{{\n{entries}        }}" if params else "{}"
    text += f"        params: dict[str, object] = {sent}\n"
    waits = ", timeoutMs" if method["x-waits"] else ""
    calling = "await self._ask" if is_async else "self._ask"
    return text + f'        return {calling}("{method["name"]}", params, {answer}{waits})\n'


def parameter(param: Schema, schemas: dict[str, Schema]) -> str:
    schema = param["schema"]
    kind = accepted(schema, schemas)
    if param["required"]:
        return f"{param['name']}: {kind}"
    if "default" in schema and not isinstance(schema["default"], (dict, list)):
        return f"{param['name']}: {kind} = {literal(schema['default'])}"
    optional = kind if kind.startswith("Optional[") else f"Optional[{kind}]"
    return f"{param['name']}: {optional} = None"


def accepted(schema: Schema, schemas: dict[str, Schema]) -> str:
    """The type of what a caller may give: more than is ever sent back."""
    kind = annotation(schema)
    text = kind.replace("list[", "Sequence[").replace("dict[", "Mapping[")
    for name in references_in(schema):
        own = f"types.{name}"
        if "properties" in schemas[name]:
            own = f"Union[{own}, Mapping[str, Any]]"
        text = re.sub(rf"\b{name}\b", own, text)
    return text


def answer_of(schema: Schema) -> str:
    text = annotation(schema) if "const" not in schema else "bool"
    for name in references_in(schema):
        text = re.sub(rf"\b{name}\b", f"types.{name}", text)
    return text


def documentation_of(method: Schema) -> str:
    lines = [method["summary"]]
    params = [param for param in method["params"] if param.get("summary")]
    if params:
        lines.append("")
    for param in params:
        lines += textwrap.wrap(f"{param['name']}: {param['summary']}", 90, subsequent_indent="    ")
    raised = [class_name(reference_of(error)) for error in method["errors"]]
    if raised:
        lines += ["", *textwrap.wrap(f"Raises {', '.join(raised)}.", 90)]
    if len(lines) == 1:
        return f'        """{lines[0]}"""\n'
    body = "".join(f"        {line}".rstrip() + "\n" for line in lines[1:])
    return f'        """{lines[0]}\n{body}        """\n'


# Text


def reference_of(schema: Schema) -> str:
    return str(schema["$ref"]).rpartition("/")[2]


def one_line(text: str) -> str:
    return " ".join(text.split())


def literal(value: Any) -> str:
    return json.dumps(value) if isinstance(value, str) else repr(value)


def wrapped(text: str, indent: str) -> str:
    lines = textwrap.wrap(text, 80, drop_whitespace=False)
    if len(lines) == 1:
        return literal(text)
    return "(\n" + "".join(f"{indent}{literal(line)}\n" for line in lines) + "    )"


def doc(text: str, indent: str) -> str:
    if not text:
        return ""
    lines = textwrap.wrap(one_line(text), 92 - len(indent))
    if len(lines) == 1:
        return f'{indent}"""{lines[0]}"""\n'
    return f'{indent}"""' + f"\n{indent}".join(lines) + f'\n{indent}"""\n'


if __name__ == "__main__":
    sys.exit(main())
