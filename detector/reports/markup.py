"""HTML that cannot be broken out of: whatever is no `Html` is escaped when it becomes part of one."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping

import orjson

from detector.alerts.text import printable

_VOID = frozenset({"br", "img", "input", "link", "meta"})
_RAW = frozenset({"script", "style"})
_REFERENCES = frozenset({"href", "src"})
# In a script element, these could end it or begin a comment; in JavaScript, the last two end a line.
_JSON = {ord(character): f"\\u{ord(character):04x}" for character in "<>&\u2028\u2029"}


class Html(str):
    """Markup made by `tag`, so everything in it that came from data is escaped."""

    __slots__ = ()


Child = str | int | float | None | Iterable["Child"]


def text(value: object) -> Html:
    """A value as text: markup, control characters and what reorders text are shown, not obeyed."""
    return value if isinstance(value, Html) else Html(html.escape(printable(str(value))))


def tag(name: str, /, *children: Child, **attributes: str | int | bool | None) -> Html:
    """An element. Children that are no Html are escaped; None is left out.

    attributes: `class_` for class, `aria_label` for aria-label; None and False are left out, True is an empty one.

    Raises:
        ValueError: a reference leads away from the report.
    """
    given = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    if name in _VOID:
        return Html(f"<{name}{given}>")
    return Html(f"<{name}{given}>{''.join(_children(children))}</{name}>")


def raw(name: str, content: str, **attributes: str | bool) -> Html:
    """A script or style element with content of our own.

    Raises:
        ValueError: the content would end the element.
    """
    if name not in _RAW or f"</{name}" in content.lower() or "<!--" in content:
        raise ValueError(f"this cannot be the content of a {name} element")
    given = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Html(f"<{name}{given}>{content}</{name}>")


def data(name: str, value: Mapping[str, object]) -> Html:
    """A value for the page's script: JSON that no parser takes for markup."""
    encoded = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode().translate(_JSON)
    return raw("script", encoded, type="application/json", id=name)


def _children(children: Iterable[Child]) -> Iterable[str]:
    for child in children:
        if isinstance(child, str | int | float):
            yield text(child)
        elif child is not None:
            yield from _children(child)


def _attribute(name: str, value: str | int | bool | None) -> str:
    if value is None or value is False:
        return ""
    if value is True:
        return f" {name}"
    if name in _REFERENCES and (":" in str(value) or str(value).startswith("//")):
        raise ValueError(f"{name}={value!r} leads away from the report")
    return f' {name}="{text(value)}"'
