"""Where in a text the credentials stand: applies the rows of `rules` that a found literal calls for.

Loaded only when a literal was found. A row's pattern is compiled on its first use, so a hit costs the
import of `re` and one or two patterns rather than all of them.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64
from functools import cache, lru_cache

from moai_patterns.collect.literals import STEMS
from moai_patterns.collect.rules import RULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Check = Callable[["Hit"], bool]

_PLACEHOLDER = re.compile(r"(\[REDACTED:[a-z0-9]{2,16}:[0-9a-f]{12}\])")
# Texts, not compiled patterns: `re` compiles and keeps what is really used, and a hit uses two or three.
_RUN = r"[A-Za-z0-9_%+~=-]{16,}"
_BASE64_LINE = r"[A-Za-z0-9+/=]{30,}"
_ESCAPE = r"(?:\\[nrtbf]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\[[0-9;]{0,8}m)\Z"
_TEMPLATE = (
    r"(?i)[$#%]\{|\{\{|\{%|\{(?:[a-z_][\w.()\[\]!:-]*|[0-9])?\}|\$\([a-z]{2}|\(\)|=>|<[a-z_ -]+>|%\([a-z_]|"
    r"^%[sd]$|x{4}|\*{3}|\.{3}|\u2022|your[_-]|example\."
)
_PATH = r"://|\A[.~]{1,2}/|/[A-Za-z][a-z_.-]{2,}(?:/|\Z)"
_IDENTIFIER = r"\A[A-Za-z_][A-Za-z_.]*[0-9]{0,2}\Z"
_WORDS = r"(?i)pass|pwd|secret|token|key|auth|cred|user|param|arg|env|input|field|config|value|test"
_UUID = r"(?i)\A[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z"
_PLAIN_PASSWORDS = (
    "password", "passwd", "pass", "pwd", "user", "username", "token", "x-oauth-basic", "x-token-auth",
)  # fmt: skip
# Where a value without quotes ends: at a separator that separates, and at what closes something.
_END_OF_BARE = (
    r"""[,;&|](?=[\s,;&|"'`\\)}\]>]|\Z|amp;|[\w.\[\]-]{1,64}["'\\]{0,4}[=:])"""
    r"""|"|['`](?![\w!@#$%^*+~?-])|\\+(?:["'`nrtbu]|\Z)|<(?=[/!<]|[A-Za-z][\w-]{0,20}/?>|\Z)"""
    r"""|>(?=[<"'`&\\,;)]|\Z)|[)}\]](?![\w!@#$%^*+~?-])"""
)
_PART = r"""\A[^\s"'`\\,;&|<>(){}\[\]]+(?=["'`\\,;&|<)}\]])"""
# A call, an index, a member or a quote that opens within it: what programs have after a name.
_CODE = (
    r"""\A[A-Za-z_][\w.:>-]*[(\[{](?:\Z|[)\]}"'&*-]|[A-Za-z_]|[0-9]+(?:[,)\]}.:]|\Z))"""
    r"""|\A[A-Za-z_]{2,}[0-9]?[+*/-][0-9]{1,3}\Z|->|\w::\w|[+(,\[{:]'"""
    r"""|\.[A-Z]\w*(?:Key|Token|Secret|Password|Credentials?)\Z"""
)
_DESCRIPTION = r"""(?i)(?:name|key)\\{0,7}["']?\s?:\s?\\{0,7}["'][\w.-]{0,64}\Z"""
_DESCRIBED = (
    r"""(?i)value\\{0,7}["']?\s?:\s?\\{0,7}["']([^\s"'\\\x00]{6,512})\\{0,7}["'](?:\s|\\n){0,24},"""
    r"""[^{}]{0,200}\Z"""
)
_REGISTRY = r"""(?:docker|podman|buildah|skopeo|nerdctl|helm|oras|registry|oc|az)[\\"',\s]+\Z"""
_VARIABLE = r"\b[A-Z][A-Z0-9_]{2,64}=\Z"  # what stands before the value of a variable of the environment
# What stands before `pass` in names of numbers and steps.
_STEP = (
    r"(?i)(?:first|second|third|last|next|prev|previous|one|two|multi|single|render|final|test|by|each|num)"
    r"[_-]?\Z"
)
# What stands before `token` in names of values that are none, and before `key` in names of values that are.
_PAGING = r"(?i)(?:page|next|prev|previous|cursor|continuation|sync|csrf|xsrf|cancel|pad|eos|bos)[_ -]?\Z"
_OF_A_KEY = (
    r"(?i)(?:api|access|secret|private|auth|encryption|crypto|signing|master|account|service|admin|deploy|"
    r"licen[sc]e|shared|subscription|app|application|client|consumer|server|write|read|ingest|integration|"
    r"rest|session|jwt|webhook|storage|functions?|security|bot|developer|root|project|personal|"
    # services whose keys have no prefix of their own
    r"adafruit|adobe|airbrake|airtable|algolia|alibaba|amplitude|anthropic|asana|assemblyai|azure|beamer|bitly|"
    r"bittrex|bugsnag|clearbit|cloudflare|codecov|cohere|coinbase|confluent|contentful|coveralls|datadog|deepgram|"
    r"discord|droneci|dropbox|etsy|fastly|finnhub|firebase|flickr|gemini|gitter|gocardless|google|grafana|heroku|"
    r"hubspot|intercom|jfrog|kraken|kucoin|launchdarkly|linear|linkedin|mailchimp|mailgun|mapbox|mattermost|maxmind|"
    r"messagebird|mistral|netlify|newrelic|nytimes|okta|openai|pagerduty|pinecone|plaid|postmark|pusher|rapidapi|"
    r"rollbar|sendbird|sendgrid|sentry|shodan|snyk|sonar|spotify|squarespace|stripe|sumo(?:logic)?|telegram|travis|"
    r"trello|twilio|twitch|twitter|typeform|vercel|virustotal|weather|weaviate|yandex|youtube|zendesk|"
    r"(?-i:[A-Z0-9]_))[_ .-]?\Z"
)

_BY_LITERAL: dict[str, list[int]] = {}
for _number, _row in enumerate(RULES):
    for _literal in _row[2].split():
        _BY_LITERAL.setdefault(_literal, []).append(_number)

_NO_TOKENS = {number for number, row in enumerate(RULES) if row[1] == "pem" or row[2] == "://"}
_SHORT = 256  # more than that is searched once only
_compiled: dict[tuple[int, str], re.Pattern[str]] = {}


def spans(text: str, found: Iterable[str]) -> list[tuple[int, int, str]]:
    """Return start, end and family of each stretch of `text` to be replaced, in order, without overlaps.

    `found` are literals that occur in the text. Where two rules overlap, the stretch covers both and
    the row that stands first gives the family. Placeholders are never part of a stretch.
    """
    if "[REDACTED:" in text:
        pieces = _PLACEHOLDER.split(text)
        pieces[1::2] = ["\0" * len(piece) for piece in pieces[1::2]]
        text = "".join(pieces)
    lower = _lower(text)
    rows = {(number, _stem(literal)) for literal in found for number in _BY_LITERAL.get(literal, ())}
    hits = [(*hit, number) for number, stem in rows for hit in _hits(number, stem, text, lower)]
    merged: list[tuple[int, int, int]] = []
    for hit in sorted(hits):
        if merged and hit[0] < merged[-1][1]:
            start, end, number = merged.pop()
            merged.append((start, max(end, hit[1]), min(number, hit[2])))
        else:
            merged.append(hit)
    return [(start, end, RULES[number][1]) for start, end, number in merged]


class Hit:
    """A match in a text, for the checks: where it begins, and its secret."""

    __slots__ = ("first", "last", "start", "text")

    def __init__(self, text: str, start: int, secret: tuple[int, int]) -> None:
        self.text = text
        self.start = start
        self.first, self.last = secret

    @property
    def secret(self) -> str:
        """What would be replaced."""
        return self.text[self.first : self.last]

    @property
    def is_bare(self) -> bool:
        """Whether the secret stands without quotes."""
        return self.text[self.first - 1] not in "\"'`\x01"

    def before(self, size: int) -> str:
        """The characters before the match."""
        return self.text[max(0, self.start - size) : self.start]


def _lower(text: str) -> str:
    if text.isascii():
        return text.lower()
    # Letter by letter, so that each stays where it is.
    return text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def _hits(number: int, stem: str, text: str, lower: str) -> Iterator[tuple[int, int]]:
    checks = [CHECKS[name] for name in RULES[number][4].split()]
    search = _pattern(number, stem).search
    searched = lower if stem else text
    last, at = -1, 0
    while match := search(searched, at):
        start, at = match.span()
        if not stem and number not in _NO_TOKENS and not _is_token(match[0]):
            continue
        hit = Hit(text, start, match.span(match.lastindex or 0))
        for check in checks:
            # What goes on from a credential begins one too: else each pass would find one more of a chain.
            if not (check(hit) or (check is _word and start == last)):
                if stem and at - start < _SHORT:
                    at = start + len(stem)  # a name and value may stand in what was taken for a value
                break
        else:
            last = at
            yield hit.first, hit.last


def essence(secret: str, family: str) -> str:
    """Return what a placeholder's hash is computed from: a key block without its line breaks, else all."""
    if family != "pem":
        return secret
    return "".join(re.findall(_BASE64_LINE, re.sub(r"\\+[nr]", "\n", secret)))


@cache
def _search(pattern: str) -> Callable[[str], re.Match[str] | None]:
    """Return the search for a pattern that is compiled on first use; `re.search` looks it up anew."""
    return re.compile(pattern).search


def _is_token(text: str) -> bool:
    """Tell whether a match begins unlike a name in a program: `literals` does not look into names."""
    run = _search(_RUN)(text)
    if not run or text[run.end() : run.end() + 1] == "/":
        return True
    word = run[0]
    if word.isalpha():
        return len(word) >= 32 or word[6:].isupper()
    return _search("[A-Z0-9]|[a-z]{24}")(word) is not None


def _stem(literal: str) -> str:
    return literal if literal in STEMS else ""


def _pattern(number: int, stem: str) -> re.Pattern[str]:
    """Return a row's pattern; of a stem one for texts in lower case: 30 times faster than to ignore it."""
    pattern = _compiled.get((number, stem))
    if pattern is None:
        pattern = _compiled[number, stem] = re.compile(stem + RULES[number][3], re.ASCII)
    return pattern


def _word(hit: Hit) -> bool:
    """The match does not go on from a letter before it, unless that is the end of an escape."""
    before = hit.before(1)
    return not (before.isascii() and before.isalnum()) or bool(_search(_ESCAPE)(hit.before(10)))


def _mixed(hit: Hit) -> bool:
    """Letters and digits, or a word that no language has: words joined by hyphens are no token."""
    secret = hit.secret
    if _search("[0-9]")(secret):
        return any(map(str.isalpha, secret))
    return _search("[A-Za-z]{20}")(secret) is not None


def _random(hit: Hit) -> bool:
    return is_random(hit.secret)


def is_random(value: str) -> bool:
    """Tell whether letters and digits alternate as chance has it, not as in names and paths.

    >>> is_random("3f" + "a91c" * 8), is_random("user_session_storage_v2"), is_random("https://a/b1/c2/d3")
    (True, False, False)
    """
    groups = re.findall("[0-9]+", value)
    letters = re.findall("[a-z]+|[A-Z]+", value) if groups else ()
    if not letters:
        return False
    longest = max(map(len, letters))
    if longest > 3 and (longest > 7 + len(value) // 32 or len(groups) < 2):
        return False
    # Of a long one in Base64 a part may look like a directory by chance.
    if value.isalnum() and value.isascii():
        return "xxxx" not in value.lower()
    is_path = _search(_PATH)(value) and (len(value) < 64 or len(re.findall(_PATH, value)) > 1)
    return not is_path and not _search(_TEMPLATE)(value)


def _pem(hit: Hit) -> bool:
    """A block with a body, not the two lines that frame it in a program."""
    return _search(_BASE64_LINE)(hit.secret) is not None


def _basic(hit: Hit) -> bool:
    """Base64 of printable text with a colon, as RFC 7617 has it."""
    secret = hit.secret
    try:
        plain = a2b_base64(secret + "=" * (-len(secret) % 4))
    except (Error, ValueError):
        return False
    return b":" in plain[1:] and all(32 <= byte < 127 for byte in plain)


def _login(hit: Hit) -> bool:
    secret = hit.secret
    if secret.isdigit() and len(secret) < 6:
        return False  # a port
    return (
        not _search(_TEMPLATE)(secret) and secret.lower() not in _PLAIN_PASSWORDS and secret[0] not in "$%<{["
    )


def _cut(hit: Hit) -> bool:
    """Cut a value without quotes where it ends; what a program has there instead of a secret is none."""
    if not hit.is_bare or hit.text[hit.first - 1] == ">":
        return True
    value = hit.secret
    if value.isalnum():
        return True
    end = _search(_END_OF_BARE)(value)
    if end:
        value = value[: end.start()]
        hit.last = hit.first + len(value)
    if not value:
        return False
    is_variable = _search(_VARIABLE)(hit.text[max(0, hit.first - 70) : hit.first]) is not None
    return is_variable or not _search(_CODE)(value) or _shorten(hit)


def _shorten(hit: Hit) -> bool:
    """Cut a value without quotes at the first character that can end one, if there is any."""
    part = _search(_PART)(hit.secret) if hit.is_bare else None
    if part:
        hit.last = hit.first + part.end()
    return part is not None


def _whole_or_part(hit: Hit, is_secret: Callable[[str], bool]) -> bool:
    """Tell whether a value is a secret, or goes on from one with what belongs to the text around it."""
    return is_secret(hit.secret) or (_shorten(hit) and is_secret(hit.secret))


def _is_none(value: str) -> bool:
    """Tell whether a value is what stands for one in a program or a document, or a path."""
    if value.isalnum() and value.isascii():
        return "xxxx" in value.lower()
    return bool(_search(_TEMPLATE)(value) or _search(_PATH)(value))


@lru_cache(maxsize=1024)
def _is_password(value: str, bare: bool) -> bool:
    """Tell whether the value of a `password` is one, rather than a name, a type, a path or a message."""
    if len(value) < 6 or not _is_mixed(value) or _is_none(value):
        return False
    return not (bare and _search(_IDENTIFIER)(value) and _search(_WORDS)(value))


def _is_mixed(value: str) -> bool:
    """Tell whether a value is of letters and digits or special characters, without a blank."""
    if value.isalnum() and value.isascii():
        return not value.isalpha()
    if value[0] in "$%<{[/" or _search(r"\s")(value):
        return False
    return bool(_search("[0-9]")(value) or (_search("[!#$%^&*?]")(value) and _search("[A-Za-z]{3}")(value)))


def _password(hit: Hit) -> bool:
    name, last, bare = hit.text[hit.start : hit.start + 5], hit.before(1), hit.is_bare
    after = name[4:].lower()
    if after not in "wpc\x01" and name[:4].lower() == "pass":
        before = hit.before(16)
        if last.isalpha() and _search(_ESCAPE)(before):
            last = ""
        if last.isalpha() and not (last.islower() and name[0] == "P"):
            return False  # compass and bypass, but dbPass
        if bare and after == ":" and last not in ("_", "-") and not last.isalpha():
            return False  # the word of a test runner
        if bare and _search(_STEP)(before):
            return False
    return _whole_or_part(hit, lambda secret: _is_password(secret, bare))


def _of_secret(hit: Hit) -> bool:
    bare = hit.is_bare
    return _whole_or_part(
        hit,
        lambda secret: (
            len(secret) >= 8
            and _is_password(secret, bare)
            and (len(secret) >= 12 or not _search(_IDENTIFIER)(secret))
        ),
    )


def _of_token(hit: Hit) -> bool:
    return not _search(_PAGING)(hit.before(16)) and _whole_or_part(hit, _is_long)


def _of_key(hit: Hit) -> bool:
    return _search(_OF_A_KEY)(hit.before(16)) is not None and _whole_or_part(hit, _is_long)


@lru_cache(maxsize=1024)
def _is_long(secret: str) -> bool:
    return len(secret) >= 16 and (is_random(secret) or _search(_UUID)(secret) is not None)


def _described(hit: Hit) -> bool:
    """`"value": "...", "name": "DB_PASSWORD"`: the secret stands before the match."""
    before = hit.before(900)
    name = _search(_DESCRIPTION)(before[-100:])
    value = _search(_DESCRIBED)(before[: len(before) - len(name[0])]) if name else None
    if not value:
        return False
    begin = hit.start - len(before)
    hit.first, hit.last = begin + value.start(1), begin + value.end(1)
    return _is_password(value[1], bare=False) if _is_of_password(hit) else _is_long(value[1])


def _is_of_password(hit: Hit) -> bool:
    return hit.text[hit.start : hit.start + 3].lower() in ("pas", "pwd", "sec")


def _netrc(hit: Hit) -> bool:
    return _search(r"login\s+[!-~]{1,90}(?:\s|\\n)+\Z")(hit.before(128)) is not None


def _sshpass(hit: Hit) -> bool:
    return hit.before(3) == "ssh" and _login(hit)


def _mysql(hit: Hit) -> bool:
    """`-pPASSWORD` of a command, whose `-P` is a port."""
    return "-P" not in hit.text[hit.first - 4 : hit.first] and _is_password(hit.secret, bare=True)


def _registry(hit: Hit) -> bool:
    """`docker login -p PASSWORD`, as a command or as elements of a list, and those that work alike."""
    is_option = "-P" not in hit.text[hit.start : hit.first]
    return is_option and _search(_REGISTRY)(hit.before(24)) is not None and _login(hit)


def _option(hit: Hit) -> bool:
    """`--password VALUE`, on a command line or as two elements of a list."""
    word = re.split(r"[\s\"'`,=]", hit.before(24))[-1]
    if not word.startswith("--"):
        return False
    if _is_of_password(hit):
        return _whole_or_part(hit, lambda secret: _is_password(secret, bare=True))
    return _whole_or_part(hit, lambda secret: len(secret) >= 16 and is_random(secret))


CHECKS: dict[str, Check] = {
    "cut": _cut,
    "described": _described,
    "mysql": _mysql,
    "registry": _registry,
    "word": _word,
    "mixed": _mixed,
    "random": _random,
    "pem": _pem,
    "basic": _basic,
    "login": _login,
    "password": _password,
    "secret": _of_secret,
    "token": _of_token,
    "key": _of_key,
    "netrc": _netrc,
    "sshpass": _sshpass,
    "option": _option,
}
