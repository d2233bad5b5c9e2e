"""Questions that an auditor asks: which systems log, who accessed what, who used special rights, since when is kept."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from detector.analytics.questions import TIME, Area, Question, among, distinct, matches, truth, within

_SYSTEMS = ("host.name", "observer.hostname", "observer.name", "cloud.account.id", "service.name", "log.file.path")
"""What names the system that an event is of; the first that is there does."""
_RESOURCES = (
    "file.path",
    "aws.s3.object.key",
    "aws.s3.key",
    "aws.s3.bucket.name",
    "aws.s3.bucket",
    "github.repo",
    "postgresql.log.database",
    "mongodb.database",
    "orchestrator.resource.name",
    "azure.resource.id",
    "url.path",
)
_TEXTS = (
    "cloud.provider",
    "error.code",
    "event.action",
    "event.category",
    "event.format",
    "event.outcome",
    "process.command_line",
    "process.name",
    "source.ip",
    "user.effective.name",
    "user.name",
    "user.target.name",
)
_CATEGORIES = ("authentication", "configuration", "iam", "process", "session", "file", "database")
_FORMATS = r"(?:audit|cloudtrail|activity|signin|okta|onelogin|duo|windows|github|gcp_|kubernetes)"
_PRIVILEGED = (
    r"^(?:(?:Delete|Disable|Stop|Detach|Attach|Put|Update|Modify|Create|Add|Remove|Deactivate|Assume|Revoke|Authorize)"
    r"(?:Trail|Logging|Role|User|Group|Policy|AccessKey|LoginProfile|MFADevice|VirtualMFADevice|SecurityGroup|Bucket|Key|"
    r"RolePolicy|UserPolicy|GroupPolicy|UserToGroup|UserFromGroup|AccountPasswordPolicy|FlowLogs|Detector|"
    r"DBInstance|DBSnapshot|Snapshot)\w*|StopLogging|ScheduleKeyDeletion|AssumeRoot)$"
    r"|(?i)^(?:sudo|su|setuid|useradd|userdel|usermod|groupadd|passwd|visudo|add_member|remove_member|grant|revoke)\b"
    r"|(?i)(?:\.(?:add|remove|update)_(?:member|admin|owner)|\.(?:destroy|disable)|[Aa]dd member to role)"
)
_TOOLS = ("sudo", "su", "doas", "pkexec", "useradd", "userdel", "usermod", "groupadd", "passwd", "visudo", "runas")
_ROOTS = ("root", "administrator", "system", "nt authority\\system", "admin")


def _derive(columns: pa.Table) -> pa.Table:
    category, action, user = (columns[name] for name in ("event.category", "event.action", "user.name"))
    audited = pc.or_(among(category, _CATEGORIES), matches(columns["event.format"], _FORMATS))
    audited = pc.or_(audited, pc.is_valid(user))
    hour = pc.floor_temporal(columns["@timestamp"], unit="hour")
    day = pc.floor_temporal(columns["@timestamp"], unit="day")
    failed = pc.or_(truth(pc.equal(columns["event.outcome"], "failure")), pc.is_valid(columns["error.code"]))
    failed = pc.or_(failed, within(columns["http.response.status_code"], 400, 600))
    root = distinct(user, lambda texts: pc.is_in(pc.utf8_lower(texts), value_set=pa.array(_ROOTS)))
    raised = pc.and_(
        among(columns["user.effective.name"], _ROOTS), truth(pc.not_equal(columns["user.effective.name"], user))
    )
    own = pc.or_(matches(action, _PRIVILEGED), among(columns["process.name"], _TOOLS))
    privileged = pc.or_(pc.or_(own, raised), pc.and_(truth(root), among(category, ("iam", "configuration", "process"))))
    privileged = pc.or_(privileged, truth(pc.equal(category, "iam")))
    resource = pc.coalesce(*(columns[name] for name in _RESOURCES))
    return pa.table(
        {
            "@timestamp": columns["@timestamp"],
            "system": pc.coalesce(*(columns[name] for name in _SYSTEMS)),
            "format": columns["event.format"],
            "source": columns["log.file.path"],
            "hour": hour,
            "day": day,
            "audited": audited,
            "failed": failed,
            "user": user,
            "target": pc.coalesce(columns["user.target.name"], columns["process.command_line"], resource),
            "address": columns["source.ip"],
            "action": pc.coalesce(action, columns["process.name"], category),
            "resource": resource,
            "accessed": pc.and_(pc.is_valid(user), pc.is_valid(resource)),
            "privileged": privileged,
        }
    )


AREA = Area(
    {"@timestamp": TIME, "http.response.status_code": pa.int64()}
    | dict.fromkeys((*_SYSTEMS, *_RESOURCES, *_TEXTS), pa.string()),
    {
        "audit_hours": Question(("system", "hour"), sums=("audited",)),
        "accesses": Question(("user", "resource", "action"), where="accessed", sums=("failed",)),
        "privileged": Question(("user", "action", "target", "system", "address"), where="privileged", sums=("failed",)),
        "days": Question(("source", "day")),
    },
    _derive,
)
