"""Until when a certificate is valid, for the metric that warns in time.

`ssl` shows a certificate's contents only for a connection, so its private decoder is used (read in Python 3.11 to
3.13); where that is gone, the answer is None.
"""

from __future__ import annotations

import ssl
from pathlib import Path

from detector import metrics


def report(path: Path | None) -> None:
    """Set the metric for the client's certificate, if it has one."""
    metrics.certificate_expiry.set((expiry(path) if path else None) or 0)


def expiry(path: Path) -> float | None:
    """Unix time at which the first certificate of a PEM file expires; None if that cannot be told."""
    decode = getattr(getattr(ssl, "_ssl", None), "_test_decode_cert", None)
    try:
        return float(ssl.cert_time_to_seconds(decode(str(path))["notAfter"])) if decode else None
    except (OSError, ValueError, KeyError):  # SSLError is an OSError; the connection itself will say what is wrong
        return None
