"""Harmless traffic of a shop's web server in Apache combined format.

Visitors look around, search, fill a cart, pay, mistype; crawlers crawl. Searches and paths hold what naive rules take
for attacks: `union jack`, `select comfort`, an apostrophe.
"""

from __future__ import annotations

from random import Random

from detector.demo.lines import Addresses, Stamp

_VISITORS = 256  # at a time
_STEPS = 64  # of a visit, at most; the low bits of a response's size number them, so that no line repeats

_SHOP = "https://shop.example"
_CATEGORIES = ("shoes", "jackets", "tents", "stoves", "maps", "ropes", "lamps", "bottles", "watches", "socks")
_ADJECTIVES = ("light", "warm", "red", "blue", "small", "large", "dry", "old", "new", "alpine", "trail", "city")
_SEARCHES = (
    "union+jack+mug",
    "select+comfort+mat",
    "o%27neill+wetsuit",
    "tent+%26+stove",
    "drop+bag",
    "cat+collar",
    "script+font+poster",
    "rope+10mm",
    "gift+%3C+20",
    "caf%C3%A9+filter",
    "order+by+phone",
    "root+cellar+lamp",
    "sleep+mat",
    "%E9%9D%B4+42",
    "etc+storage+box",
)
_SYSTEMS = (
    "Windows NT 10.0; Win64; x64",
    "Macintosh; Intel Mac OS X 10_15_7",
    "X11; Linux x86_64",
    "Linux; Android 14; Pixel 8",
)
_CRAWLERS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "DuckDuckBot/1.1; (+http://duckduckgo.com/duckduckbot.html)",
)
_SORTS = ("price", "name", "rating")
_STATIC = ("css/theme", "js/app", "js/vendor", "img/banner", "img/sprite", "fonts/inter")
_SUFFIXES = {"css/theme": "css", "js/app": "js", "js/vendor": "js", "fonts/inter": "woff2"}


class _Visit:
    __slots__ = ("crawler", "head", "left", "page", "step", "tail")

    def __init__(self, random: Random, addresses: Addresses) -> None:
        draw = random.random()
        address = addresses.ipv6() if draw < 0.12 else addresses.ipv4()
        self.crawler = draw > 0.93
        self.head = f"{address} - - ["
        self.tail = f'" "{_CRAWLERS[int(random.random() * len(_CRAWLERS))] if self.crawler else _browser(random)}"'
        self.step = 0
        self.left = 3 + int(random.random() * (_STEPS - 3))
        self.page = "-" if draw < 0.5 or self.crawler else f"https://www.google.com/search?q={int(draw * 1e9):x}"


class Web:
    """The shop's access log, line by line."""

    def __init__(self, random: Random) -> None:
        self._random = random
        self._addresses = Addresses(random)
        self._visits = [_Visit(random, self._addresses) for _ in range(_VISITORS)]

    def line(self, stamp: Stamp) -> str:
        """The next line, at the time of `stamp`."""
        draw = self._random.random
        place = int(draw() * _VISITORS)
        visit = self._visits[place]
        method, path, status, most = _crawl(draw()) if visit.crawler else _step(visit.step, draw())
        size = int(draw() * most) * _STEPS + visit.step if status != 304 else "-"
        line = f'{visit.head}{stamp.apache}] "{method} {path} HTTP/1.1" {status} {size} "{visit.page}{visit.tail}'
        if method == "GET" and not visit.crawler and path[:8] != "/static/":
            visit.page = _SHOP + path
        visit.step += 1
        visit.left -= 1
        if not visit.left:
            self._visits[place] = _Visit(self._random, self._addresses)
        return line


def _step(step: int, draw: float) -> tuple[str, str, int, int]:
    """Method, path, status and greatest size / 64 of a visitor's next request; `draw` is from [0, 1)."""
    fine = int(draw * 1e9)
    if draw < 0.42:
        name = _STATIC[fine % 6]
        return (
            "GET",
            f"/static/{name}.{fine:06x}{step:02x}.{_SUFFIXES.get(name, 'webp')}",
            200 if draw > 0.06 else 304,
            2000,
        )
    if draw < 0.66:
        color = _ADJECTIVES[fine % 12]
        return "GET", f"/product/{fine % 90_000 + 10_000}/{color}-{_CATEGORIES[fine % 10]}", 200, 600
    if draw < 0.76:
        return "GET", f"/category/{_CATEGORIES[fine % 10]}?page={fine % 40 + 1}&sort={_SORTS[fine % 3]}", 200, 900
    if draw < 0.85:
        search = _SEARCHES[fine % 15] if fine & 3 else f"{_ADJECTIVES[fine % 12]}+{_CATEGORIES[fine % 10]}"
        return "GET", f"/search?q={search}&s={fine:x}", 200, 700
    if draw < 0.90:
        return "POST", f"/api/cart/items?id={fine % 90_000 + 10_000}", 201, 10
    if draw < 0.94:
        return "GET", f"/api/stock/{fine % 90_000 + 10_000}?store={fine % 97}", 200, 4
    return _rare(draw, fine)


def _crawl(draw: float) -> tuple[str, str, int, int]:
    fine = int(draw * 1e9)
    if draw < 0.05:
        return "GET", "/robots.txt", 200, 4
    if draw < 0.1:
        return "GET", f"/sitemap-{fine % 60}.xml", 200, 3000
    return "GET", f"/product/{fine % 90_000 + 10_000}/{_CATEGORIES[fine % 10]}", 200 if draw < 0.95 else 404, 600


def _rare(draw: float, fine: int) -> tuple[str, str, int, int]:
    if draw < 0.955:
        return "POST", "/login", 302 if draw < 0.953 else 401, 5  # a mistyped password now and then
    if draw < 0.97:
        return "GET", f"/account/orders/{fine:x}", 200, 90
    if draw < 0.98:
        return "POST", f"/checkout/{fine:x}/{'address' if fine & 1 else 'payment'}", 303, 3
    if draw < 0.99:
        return "GET", f"/blog/{fine % 2000 + 1}-how-to-choose-{_CATEGORIES[fine % 10]}", 200, 500
    if draw < 0.997:
        return "GET", f"/{_CATEGORIES[fine % 10]}-{fine % 900}.html", 404, 8
    return "GET", f"/api/recommend?user={fine:x}", 503 if draw > 0.9995 else 200, 20


def _browser(random: Random) -> str:
    system = _SYSTEMS[int(random.random() * 4)]
    version = 118 + int(random.random() * 22)
    if random.random() < 0.25:
        return f"Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
    build = int(random.random() * 900_000)
    return (
        f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) "
        f"Chrome/{version}.0.{build // 150}.{build % 150} Safari/537.36"
    )
