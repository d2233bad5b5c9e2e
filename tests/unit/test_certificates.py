"""Until when a certificate is valid."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from detector import certificates, metrics

EXPIRES = datetime(2026, 12, 4, 8, 29, 41, tzinfo=UTC).timestamp()
CERTIFICATE = """\
-----BEGIN CERTIFICATE-----
MIIBdDCCARmgAwIBAgIUdUDS8NByBpbtjXRTU4s6XRxYE5MwCgYIKoZIzj0EAwIw
DzENMAsGA1UEAwwEdGVzdDAeFw0yNjExMjQwODI5NDFaFw0yNjEyMDQwODI5NDFa
MA8xDTALBgNVBAMMBHRlc3QwWTATBgcqhkjOPQIBBggqhkjOPQMBBwNCAATzte4R
7fjN+Cz3+hmypd4h0cmPlJ1UjW5QH476ZqWwjsLJKTDVj82HMwCLsN6xRKOTcMYh
OOJD9YCh6iZhppO/o1MwUTAdBgNVHQ4EFgQUhZ7oNxkKIkeeMNlp6WPwYhjF+zgw
HwYDVR0jBBgwFoAUhZ7oNxkKIkeeMNlp6WPwYhjF+zgwDwYDVR0TAQH/BAUwAwEB
/zAKBggqhkjOPQQDAgNJADBGAiEApPExKR9ytFXkeNnaFgF8HWiISTd9sy41OVub
azw/R3MCIQCvSnZodWjctgcHsBozdeP2cmxl22FbJWi0OhNaniKAsw==
-----END CERTIFICATE-----
"""


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "client.pem"
    path.write_text(CERTIFICATE)
    return path


class TestExpiry:
    def test_told(self, certificate: Path) -> None:
        """The time is the certificate's own, in UTC."""
        assert certificates.expiry(certificate) == EXPIRES

    @pytest.mark.parametrize("content", [None, "", "no certificate", CERTIFICATE[:200]])
    def test_unknown(self, tmp_path: Path, content: str | None) -> None:
        """A file that is missing or no certificate has none, and raises nothing."""
        path = tmp_path / "client.pem"
        if content is not None:
            path.write_text(content)

        assert certificates.expiry(path) is None


class TestReport:
    def test_metric(self, certificate: Path) -> None:
        """The metric holds the time, and zero without a certificate."""
        certificates.report(certificate)
        told = metrics.REGISTRY.get_sample_value("detector_certificate_expiry_timestamp_seconds")
        certificates.report(None)
        none = metrics.REGISTRY.get_sample_value("detector_certificate_expiry_timestamp_seconds")

        assert (told, none) == (EXPIRES, 0)
