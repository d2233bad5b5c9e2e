"""Request lines and URLs of web logs: their parts as they stood, and decoded once where that differs."""

from __future__ import annotations

from urllib.parse import unquote_to_bytes

_MAX_METHOD = 32
_TOKEN = frozenset("!#$%&'*+-.^_`|~abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")  # RFC 9110, 5.6.2


def split_request(line: str) -> tuple[str | None, str | None, str | None]:
    """Method, URL and protocol version of a request line (`GET /path HTTP/1.1` gives `1.1`).

    A URL may hold spaces, as attacks do. What has no method (a TLS handshake on a plain port, say) is URL as a whole,
    so that rules on URLs see it.
    """
    head, _, rest = line.partition(" ")
    if not (head and rest) or len(head) > _MAX_METHOD or not _TOKEN.issuperset(head) or head[0] == "%":
        return None, line or None, None
    url, space, protocol = rest.rpartition(" ")
    if space and protocol[:5].upper() == "HTTP/":
        return head, url, protocol[5:]
    if rest[:5].upper() == "HTTP/":
        return head, None, rest[5:]
    return head, rest, None


def decode_once(text: str) -> str:
    """Percent-decoded once; what is no valid escape stays as it stands, bytes that are not UTF-8 become U+FFFD."""
    return unquote_to_bytes(text).decode("utf-8", "replace")


def decode_query(text: str) -> str:
    """As `decode_once`, with `+` as a space, as forms are encoded."""
    return decode_once(text.replace("+", " "))


def normalize_path(path: str) -> str:
    """The path that a server makes of it: `//` merged, `.` and `..` resolved (RFC 3986, 5.2.4)."""
    absolute = path.startswith("/")
    kept: list[str] = []
    parts = path.split("/")
    for part in parts:
        if part == "..":
            if kept:
                kept.pop()
        elif part not in ("", "."):
            kept.append(part)
    folder = bool(kept) and parts[-1] in ("", ".", "..")
    return "/" * absolute + "/".join(kept) + "/" * folder


def url_fields(url: str, fields: dict[str, object]) -> None:
    """Add the parts of a URL to `fields`, by ECS names and four of our own.

    `url.original, url.path, url.query, url.scheme, url.domain, url.port`; `url.path_query` is what follows the host.
    With `_decoded`: decoded once, `url.path_normalized(_decoded)`: as `normalize_path`; each only where it differs.
    An empty query (`/path?`) is present and empty.
    """
    fields["url.original"] = url
    rest = url
    if not url.startswith("/"):
        scheme, separator, after = url.partition("://")
        if separator and scheme.isalnum() and len(scheme) <= 16:
            end = min((at for at in (after.find("/"), after.find("?")) if at >= 0), default=len(after))
            fields["url.scheme"] = scheme.lower()
            _authority(after[:end], fields)
            rest = after[end:]
    path, question, query = rest.partition("?")
    fields["url.path"] = path
    fields["url.path_query"] = rest
    if question:
        fields["url.query"] = query
    if "%" in rest or "+" in query:
        _decoded(path, query, bool(question), fields)
    if "//" in path or "/." in path:
        normalized = normalize_path(path)
        if normalized != path:
            fields["url.path_normalized"] = normalized


def authority_fields(text: str, fields: dict[str, object]) -> None:
    """Add what a CONNECT request names, `host:port`, to `fields`; the text itself is `url.original`."""
    fields["url.original"] = text
    _authority(text, fields)


def _authority(authority: str, fields: dict[str, object]) -> None:
    authority = authority.rpartition("@")[2]
    host, colon, port = authority.rpartition(":")
    if not colon or "]" in port:
        host, port = authority, ""
    if host:
        fields["url.domain"] = host.strip("[]").lower()
    if port.isascii() and port.isdigit() and len(port) <= 5:
        fields["url.port"] = int(port)


def _decoded(path: str, query: str, has_query: bool, fields: dict[str, object]) -> None:
    path_decoded, query_decoded = decode_once(path), decode_query(query)
    if path_decoded != path:
        fields["url.path_decoded"] = path_decoded
    if query_decoded != query:
        fields["url.query_decoded"] = query_decoded
    whole = f"{path_decoded}?{query_decoded}" if has_query else path_decoded
    if whole != fields["url.path_query"]:
        fields["url.path_query_decoded"] = whole
    normalized = normalize_path(path_decoded.replace("\\", "/"))  # as Windows reads it
    if normalized not in (path_decoded, path):
        fields["url.path_normalized_decoded"] = normalized
