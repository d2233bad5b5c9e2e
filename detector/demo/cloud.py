"""Harmless CloudTrail records: single events, and `Records` arrays as CloudTrail delivers them in files."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from detector.demo.lines import Addresses, Stamp

ACCOUNT = "111122223333"
_REGIONS = ("eu-central-1", "eu-west-1", "us-east-1", "ap-southeast-2")
_USERS = ("alice", "bob", "chen", "dana", "ci-runner", "backup", "inventory")
_BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"


class Call(NamedTuple):
    """An API call; parameters and answer are JSON text."""

    service: str
    name: str
    parameters: str
    answer: str = '"responseElements":null,"eventType":"AwsApiCall"'
    agent: str = ""  # one of the usual ones


_CALLS = (
    Call("ec2", "DescribeInstances", '{"instancesSet":{},"filterSet":{}}'),
    Call("ec2", "DescribeVolumes", '{"volumeSet":{},"maxResults":100}'),
    Call("s3", "ListObjects", '{"bucketName":"shop-media","prefix":"img/"}'),
    Call("s3", "HeadBucket", '{"bucketName":"shop-backups"}'),
    Call("sts", "GetCallerIdentity", "null"),
    Call("monitoring", "GetMetricData", '{"startTime":"-PT5M","metricDataQueries":[]}'),
    Call("rds", "DescribeDBInstances", '{"dBInstanceIdentifier":"shop"}'),
    Call("kms", "Decrypt", '{"encryptionAlgorithm":"SYMMETRIC_DEFAULT"}'),
    Call("cloudtrail", "DescribeTrails", '{"trailNameList":[]}'),
    Call("cloudtrail", "GetTrailStatus", '{"name":"organization"}'),
    Call("ecr", "BatchGetImage", '{"repositoryName":"shop/web"}'),
    Call("elasticloadbalancing", "DescribeTargetHealth", '{"targetGroupArn":"web"}'),
)
_AGENTS = ("aws-cli/2.{}.{} Python/3.11", "Boto3/1.{}.{} md/Botocore", "APN/1.0 HashiCorp/1.0 Terraform/1.{}.{}")


class Cloud:
    """An account's API calls and console log-ins with a second factor."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._addresses = Addresses(random)

    def record(self, stamp: Stamp) -> str:
        """The next record: one event, or several in a `Records` array."""
        draw = self._random.random()
        if draw > 0.1:
            return self.event(stamp)
        return self.records([self.event(stamp) for _ in range(1 + int(draw * 40))])

    def records(self, events: list[str]) -> str:
        """Put events into one `Records` array."""
        return f'{{"Records":[{",".join(events)}]}}'

    def event(self, stamp: Stamp) -> str:
        """One harmless event."""
        draw = self._random.random
        user = _user(_USERS[int(draw() * 7)])
        if draw() < 0.02:
            return self.console_login(stamp, user, self._addresses.ipv4(), mfa=True)
        identity = user if draw() < 0.4 else _role(f"i-{self._random.getrandbits(40):x}", stamp.iso)
        return self.of(stamp, _CALLS[int(draw() * 12)], identity, self._addresses.ipv4())

    def console_login(self, stamp: Stamp, identity: str, address: str, *, mfa: bool) -> str:
        """A successful log-in to the web console; `identity` is JSON text."""
        answer = (
            '"responseElements":{"ConsoleLogin":"Success"},"additionalEventData":{"MobileVersion":"No",'
            f'"LoginTo":"https://console.aws.amazon.com/","MFAUsed":"{"Yes" if mfa else "No"}"}},'
            '"eventType":"AwsConsoleSignIn"'
        )
        return self.of(stamp, Call("signin", "ConsoleLogin", "null", answer, _BROWSER), identity, address)

    def of(self, stamp: Stamp, call: Call, identity: str, address: str) -> str:
        """The event of a call; `identity` is JSON text."""
        number = self._random.getrandbits(128)
        text = f"{number:032x}"
        agent = call.agent or _AGENTS[number % 3].format(number % 23, number % 211)
        return (
            f'{{"eventVersion":"1.10","userIdentity":{identity},"eventTime":"{stamp.iso}",'
            f'"eventSource":"{call.service}.amazonaws.com","eventName":"{call.name}",'
            f'"awsRegion":"{_REGIONS[number & 3]}","sourceIPAddress":"{address}","userAgent":"{agent}",'
            f'"requestParameters":{call.parameters},{call.answer},"readOnly":{_read_only(call.name)},'
            f'"requestID":"{text[:8]}-{text[8:12]}-{text[12:16]}",'
            f'"eventID":"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}",'
            f'"managementEvent":true,"recipientAccountId":"{ACCOUNT}","eventCategory":"Management"}}'
        )


def _role(session: str, since: str) -> str:
    return (
        f'{{"type":"AssumedRole","principalId":"AROASHOPWEB:{session}",'
        f'"arn":"arn:aws:sts::{ACCOUNT}:assumed-role/shop-web/{session}","accountId":"{ACCOUNT}",'
        '"sessionContext":{"sessionIssuer":{"type":"Role","userName":"shop-web"},'
        f'"attributes":{{"creationDate":"{since}","mfaAuthenticated":"false"}}}}}}'
    )


def _user(name: str) -> str:
    return (
        f'{{"type":"IAMUser","principalId":"AIDA{name.upper():0<12}","userName":"{name}",'
        f'"arn":"arn:aws:iam::{ACCOUNT}:user/{name}","accountId":"{ACCOUNT}"}}'
    )


def _read_only(name: str) -> str:
    return "true" if name.startswith(("Describe", "Get", "List", "Head", "Batch")) else "false"
