from __future__ import annotations

import json

import pytest

from detector.parsing.views import cloudtrail_row, endpoint_classes, github_row, web_row
from tests.parsing import event

LINE = b'203.0.113.7 - - [17/May/2024:10:05:03 +0200] "POST //wp%2dlogin.php?a=b HTTP/1.1" 503 5 "-" "curl/8"'


class TestWebRow:
    def test_request(self) -> None:
        """A request has every column, and its path is looked at as a server would."""
        assert web_row(event(LINE)) == {
            "ip_address": "203.0.113.7",
            "timestamp": "2024-05-17T08:05:03Z",
            "method": "POST",
            "url": "//wp%2dlogin.php?a=b",
            "protocol": "HTTP/1.1",
            "status_code": 503,
            "response_size": 5,
            "is_error": True,
            "is_client_error": False,
            "is_server_error": True,
            "is_api_endpoint": False,
            "is_login_endpoint": True,
            "is_admin_endpoint": False,
            "is_security_endpoint": True,
            "hour": 8,
            "log_source": "apache_combined",
        }

    def test_no_request(self) -> None:
        """Another event has none."""
        assert web_row(event(b"Jun  1 00:00:00 web1 cron[1]: x")) is None

    @pytest.mark.parametrize(
        ("path", "classes"),
        [
            ("/", ""),
            ("/API/users", "api"),
            ("/shop/v2/cart", "api"),
            ("/v2x/cart", ""),
            ("/apiary", ""),
            ("/user/login?next=/admin", "login security"),
            ("/wp-admin/index.php", "admin security"),
            ("/admin/login", "admin login security"),
        ],
    )
    def test_endpoints(self, path: str, classes: str) -> None:
        """Segments count, not parts of words, and not the query."""
        found = {name.split("_")[1] for name, holds in endpoint_classes(path).items() if holds}

        assert found == set(classes.split())


class TestGithubRow:
    def test_push(self) -> None:
        """A push has its columns; others have none."""
        value = {
            "id": "1",
            "type": "PushEvent",
            "actor": {"login": "alice"},
            "repo": {"name": "a/b"},
            "payload": {"size": 1},
            "public": True,
            "created_at": "2024-05-17T10:05:03Z",
        }

        assert github_row(event(json.dumps(value).encode())) == {
            "event_id": "1",
            "event_type": "PushEvent",
            "user": "alice",
            "repo": "a/b",
            "public": True,
            "payload_size": 10,
            "is_push": True,
            "is_pr": False,
            "is_issue": False,
        }
        assert github_row(event(LINE)) is None


class TestCloudtrailRow:
    def test_login(self) -> None:
        """A failed login at the console has its columns; others have none."""
        value = {
            "eventTime": "2024-05-17T10:05:03Z",
            "eventSource": "signin.amazonaws.com",
            "eventName": "ConsoleLogin",
            "eventType": "AwsConsoleSignIn",
            "awsRegion": "us-east-1",
            "sourceIPAddress": "203.0.113.7",
            "userIdentity": {"type": "IAMUser", "userName": "alice"},
            "responseElements": {"ConsoleLogin": "Failure"},
        }

        assert cloudtrail_row(event(json.dumps(value).encode())) == {
            "event_time": "2024-05-17T10:05:03Z",
            "event_name": "ConsoleLogin",
            "event_source": "signin.amazonaws.com",
            "user_identity": "alice",
            "source_ip": "203.0.113.7",
            "user_agent": None,
            "aws_region": "us-east-1",
            "is_console_login": True,
            "is_api_call": False,
            "is_error": True,
        }
        assert cloudtrail_row(event(LINE)) is None
