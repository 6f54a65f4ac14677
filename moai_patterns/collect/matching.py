"""Where in a text the credentials stand: applies the rows of `rules` that a found literal calls for.

Loaded only when a literal was found. A row's pattern is compiled on its first use, so a hit costs the
import of `re` and one or two patterns rather than all of them.
"""

from __future__ import annotations

import re
from binascii import Error, a2b_base64

from moai_patterns.collect.literals import STEMS
from moai_patterns.collect.rules import RULES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    Check = Callable[[re.Match[str], str], bool]

# Texts, not compiled patterns: `re` compiles and keeps what is really used, and a hit uses two or three.
_PLACEHOLDER = r"\[REDACTED:[a-z0-9]{2,16}:[0-9a-f]{12}\]"
_RUN = r"[A-Za-z0-9_%+~=-]{16,}"
_BASE64_LINE = r"[A-Za-z0-9+/=]{30,}"
_ESCAPE = r"(?:\\[nrtbf]|%[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\[[0-9;]{0,8}m)\Z"
_TEMPLATE = r"(?i)[$#%]?\{|\$\(|\(\)|=>|<[a-z_ -]+>|%\(|^%[sd]$|x{4}|\*{3}|\.{3}|\u2022|your[_-]|example\."
_PATH = r"://|\A[.~]{1,2}/|/[A-Za-z][a-z_.-]{2,}(?:/|\Z)"
_IDENTIFIER = r"[A-Za-z_][A-Za-z_.]*[0-9]{0,2}"
_WORDS = r"(?i)pass|pwd|secret|token|key|auth|cred|user|param|arg|env|input|field|config|value|test"
_UUID = r"(?i)[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_PLAIN_PASSWORDS = ("password", "passwd", "pass", "pwd", "user", "username", "token")
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
_compiled: dict[int, re.Pattern[str]] = {}


def spans(text: str, found: Iterable[str]) -> list[tuple[int, int, str]]:
    """Return start, end and family of each stretch of `text` to be replaced, in order, without overlaps.

    `found` are literals that occur in the text. Where two rules overlap, the stretch covers both and
    the row that stands first gives the family. Placeholders are never part of a stretch.
    """
    if "[REDACTED:" in text:
        text = re.sub(_PLACEHOLDER, lambda match: "\0" * len(match[0]), text)
    rows = {(number, _stem(literal)) for literal in found for number in _BY_LITERAL.get(literal, ())}
    hits = [(start, end, number) for number, stem in rows for start, end in _hits(number, stem, text)]
    merged: list[tuple[int, int, int]] = []
    for hit in sorted(hits):
        if merged and hit[0] < merged[-1][1]:
            start, end, number = merged.pop()
            merged.append((start, max(end, hit[1]), min(number, hit[2])))
        else:
            merged.append(hit)
    return [(start, end, RULES[number][1]) for start, end, number in merged]


def _hits(number: int, stem: str, text: str) -> Iterator[tuple[int, int]]:
    names = RULES[number][4].split()
    last = -1
    for match in _matches(number, stem, text):
        if not stem and number not in _NO_TOKENS and not _is_token(match[0]):
            continue
        # What goes on from a credential begins one too: else each pass would find one more of a chain.
        glued = match.start() == last
        if all((glued and name == "word") or CHECKS[name](match, text) for name in names):
            last = match.end()
            yield match.span(match.lastindex or 0)


def essence(secret: str, family: str) -> str:
    """Return what a placeholder's hash is computed from: a key block without its line breaks, else all."""
    if family != "pem":
        return secret
    return "".join(re.findall(_BASE64_LINE, re.sub(r"\\+[nr]", "\n", secret)))


def _is_token(text: str) -> bool:
    """Tell whether a match begins unlike a name in a program: `literals` does not look into names."""
    run = re.search(_RUN, text)
    if not run or text[run.end() : run.end() + 1] == "/":
        return True
    word = run[0]
    if word.isalpha():
        return len(word) >= 32 or word[6:].isupper()
    return re.search("[A-Z0-9]|[a-z]{24}", word) is not None


def _stem(literal: str) -> str:
    return literal if literal in STEMS else ""


def _matches(number: int, stem: str, text: str) -> Iterator[re.Match[str]]:
    pattern = _compiled.get(number)
    if pattern is None:
        flags = re.ASCII | re.IGNORECASE if stem else re.ASCII
        pattern = _compiled[number] = re.compile(RULES[number][3], flags)
    if not stem:
        yield from pattern.finditer(text)
        return
    # Matching at each stem: `re` searches 30 times slower when it has to ignore case.
    lower = (
        text.lower()
        if text.isascii()
        else text.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")
    )
    at = lower.find(stem)
    while at >= 0:
        match = pattern.match(text, at)
        if match:
            yield match
        at = lower.find(stem, at + 1)


def _word(match: re.Match[str], text: str) -> bool:
    """The match does not go on from a letter before it, unless that is the end of an escape."""
    start = match.start()
    before = text[start - 1 : start]
    return not (before.isascii() and before.isalnum()) or bool(
        re.search(_ESCAPE, text[max(0, start - 10) : start])
    )


def _secret(match: re.Match[str]) -> str:
    return match[match.lastindex or 0]


def _before(match: re.Match[str], text: str, size: int) -> str:
    return text[max(0, match.start() - size) : match.start()]


def _mixed(match: re.Match[str], _: str) -> bool:
    """Letters and digits, or a word that no language has: words joined by hyphens are no token."""
    secret = _secret(match)
    if any(map(str.isdigit, secret)):
        return any(map(str.isalpha, secret))
    return re.search("[A-Za-z]{20}", secret) is not None


def _random(match: re.Match[str], _: str) -> bool:
    return is_random(_secret(match))


def is_random(value: str) -> bool:
    """Tell whether letters and digits alternate as chance has it, not as in names and paths.

    >>> is_random("3f" + "a91c" * 8), is_random("user_session_storage_v2"), is_random("https://a/b1/c2/d3")
    (True, False, False)
    """
    if re.search(_TEMPLATE, value) or re.search(_PATH, value):
        return False
    groups = re.findall("[0-9]+", value)
    letters = re.findall("[a-z]+|[A-Z]+", value)
    if not groups or not letters:
        return False
    longest = max(map(len, letters))
    return longest <= 3 or (longest <= 7 + len(value) // 32 and len(groups) > 1)


def _pem(match: re.Match[str], _: str) -> bool:
    """A block with a body, not the two lines that frame it in a program."""
    return re.search(_BASE64_LINE, match[0]) is not None


def _basic(match: re.Match[str], _: str) -> bool:
    """Base64 of printable text with a colon, as RFC 7617 has it."""
    secret = _secret(match)
    try:
        plain = a2b_base64(secret + "=" * (-len(secret) % 4))
    except (Error, ValueError):
        return False
    return b":" in plain[1:] and all(32 <= byte < 127 for byte in plain)


def _login(match: re.Match[str], _: str) -> bool:
    secret = _secret(match)
    if secret.isdigit() and len(secret) < 6:
        return False  # a port
    return (
        not re.search(_TEMPLATE, secret)
        and secret.lower() not in _PLAIN_PASSWORDS
        and secret[0] not in "$%<{["
    )


def _is_password(value: str, bare: bool) -> bool:
    """Tell whether the value of a `password` is one, rather than a name, a type, a path or a message."""
    if (
        re.search(_TEMPLATE, value)
        or re.search(_PATH, value)
        or value[0] in "$%<{[/"
        or re.search(r"\s", value)
    ):
        return False
    digits = any(map(str.isdigit, value))
    if not digits and not (re.search("[!#$%^&*?]", value) and re.search("[A-Za-z]{3}", value)):
        return False
    return not (bare and re.fullmatch(_IDENTIFIER, value) and re.search(_WORDS, value))


def _is_bare(match: re.Match[str], text: str) -> bool:
    return text[match.start(match.lastindex or 0) - 1] not in "\"'`\x01"


def _password(match: re.Match[str], text: str) -> bool:
    before, after, bare = _before(match, text, 1), match[0][4:5].lower(), _is_bare(match, text)
    if after not in "wpc\x01" and match[0][:4].lower() == "pass":
        if before.isalpha() and not (before.islower() and match[0][0] == "P"):
            return False  # compass and bypass, but dbPass
        if bare and after == ":" and before not in "_-" and not before.isalpha():
            return False  # the word of a test runner
    return _is_password(_secret(match), bare)


def _of_secret(match: re.Match[str], text: str) -> bool:
    secret = _secret(match)
    return _is_password(secret, _is_bare(match, text)) and (
        len(secret) >= 12 or not re.fullmatch(_IDENTIFIER, secret)
    )


def _of_token(match: re.Match[str], text: str) -> bool:
    secret = _secret(match)
    if re.search(_PAGING, _before(match, text, 16)):
        return False
    return is_random(secret) or re.fullmatch(_UUID, secret) is not None


def _of_key(match: re.Match[str], text: str) -> bool:
    secret = _secret(match)
    return re.search(_OF_A_KEY, _before(match, text, 16)) is not None and (
        is_random(secret) or re.fullmatch(_UUID, secret) is not None
    )


def _netrc(match: re.Match[str], text: str) -> bool:
    return re.search(r"login\s+[!-~]{1,90}(?:\s|\\n)+\Z", _before(match, text, 128)) is not None


def _sshpass(match: re.Match[str], text: str) -> bool:
    return _before(match, text, 3) == "ssh" and _login(match, text)


def _option(match: re.Match[str], text: str) -> bool:
    """`--password VALUE`, on a command line or as two elements of a list."""
    word = re.split(r"[\s\"'`,=]", _before(match, text, 24))[-1]
    if not word.startswith("--"):
        return False
    secret = _secret(match)
    if match[0][:4].lower() in ("pass", "pwd ", 'pwd"', "pwd\\", "pwd\n"):
        return _is_password(secret, bare=True)
    return len(secret) >= 16 and is_random(secret)


CHECKS: dict[str, Check] = {
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
