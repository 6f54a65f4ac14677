"""Which literals of credential formats a text holds: the question that decides whether rules are loaded.

Every capture asks it, so it must cost next to nothing, and it uses nothing but `bytes`: to look for
each of 250 literals takes 12 ms on 100 kB, and `re` is slower still. Instead:

- Tokens are long. Runs of 16 and more token characters are cut out, with the 28 bytes before each.
- Literals that end in a separator are found by splitting there and looking up the last letters of the
  pieces; literals that begin a long word by looking up the first letters of the long words.
- The few names that announce a secret (`pass`, `token`, ...) are looked for in the whole text.

A literal counts only with its tail: without, `sk-` would be found in every `task-list`. All of this may
find too much but never too little: a test draws credentials of every rule in random surroundings.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

# Tail -> literals. The tail is what follows in every match: a number of a(lphanumerics), h(ex digits),
# t(oken characters), d(igits) or s(paces), or alphanumerics and soon a dot (.). ^: it begins a word.
# `rules` names the literals of each rule; a test compares.
TAILS = {
    "^a12": "LTAI",
    "^a14": "pat",
    "^a16": "AKIA ASIA ABIA ACCA sm_aat_ sm_pat_ sm_sat_",
    "^a20": "sk- hf_ r8_ csk- fw_ aio_ rpa_ key_ phx_ phs_ pha_ phr_ da2- GOOG AKID nfp_ rnd_ napi_ 4b1d "
    "ATBB API- pnu_ pnb_ ico- npm_ cio oy2 AKCp cmVmd ddp_ ddw_ EZAK EZTK live_ test_ KEY EAA ntn_ "
    "secret_ p8e- xprv",
    "^a4": "IQoJb3JpZ2lu FwoGZXIvYXdz FQoGZXIvYXdz",
    "^a24": "s.",
    "^a8": "eyJhbGciOi eyJlbmMiOi eyJ0eXAiOi eyJraWQiOi eyJjdHkiOi "
    "sdk- api- mob- xaat- xapt- re_ pat-na1- pat-na2- pat-eu1- pat-ap1-",
    "^h20": "fc- sk_ dapi ATTA pul- squ_ sqp_ sqa_ key- pubkey- SK",
    "^.20": "MT Mj Mz ND NT Nj Nz OD OT",
    "^t0": "ABSK fm1a_ fm1r_ fm2_ ATATT3 ATCTT3 dp.pt. dp.st. dp.ct. dp.sa. dp.scim. dp.audit. ops_eyJ "
    "glc_ eyJrIjoi whsec_ AAAAAAAAAAAAAAAAAAAAA sl. tfp_",
    "^t16": "SG.",
    "^t19": "AVNS_",
    "^t20": "sk-svcacct- sk-admin- sk-None- xai- pa- AIza AQ.Ab8RN6 ya29. 1//0 AQVN t1. y0_ y1_ y2_ y3_ "
    "cfut_ cfat_ cfk_ fo1_ vcp_ vci_ vca_ vcr_ vck_ sbp_ sb_secret_ tk-us- sgp_ pat. sat. hvs. hvb. hvr. "
    "A3- hawk. EAAA figd_ pk_",
    "a10": "APP_USR-",
    "a12": "FLWSECK- FLWSECK_TEST- jsn",
    "a16": "sk_live_ sk_test_ sk_prod_ rk_live_ rk_test_ rk_prod_ $production$ $sandbox$",
    "a20": "sk-or-v1- api_org_ gsk_ pplx- jina_ apify_api_ v1.0- CCDB1_ ghp_ gho_ ghu_ ghs_ ghr_ "
    "_gitlab_session= CCIPAT_ CCIPRJ_ bkua_ glsa_ NRAK- hcaik_ hcaic_ CLOJARS_ shpat_ shpca_ shppa_ "
    "shpss_ shippo_live_ shippo_test_ xnd_production_ xnd_development_ lin_api_ lin_oauth_ rdme_ "
    "AGE-SECRET-KEY-1",
    "a4": "AZDO",
    "a8": "sk-lf- amzn.mws. dt0c01. dt0s01. dt0s02. dt0s03. dt0s16. access-sandbox- access-development- "
    "access-production-",
    "d1": "PuTTY-User-Key-File- -us",
    "h19": "NRJS-",
    "h20": "lsv2_pt_ lsv2_sk_ dop_v1_ doo_v1_ dor_v1_ sntryu_ PMAK- s-s4t2ud- s-s4t2af- rubygems_ "
    "xkeysib- xsmtpsib-",
    "t0": "bedrock-api-key- pscale_tkn_ pscale_pw_ pscale_oauth_ sntrys_ NRAL xoxd- _mmk",
    "s1": "SSWS asic earer EARER",
    "t10": ".eyJ",
    "t16": "xoxb- xoxp- xoxa- xoxr- xoxs- xoxo- xoxc-",
    "t20": "sk-ant- sk-proj- pcsk_ nvapi- tgp_v1_ tvly- pylf_v1_ pylf_v2_ GOCSPX- :APA91b HRKU- "
    "mdb_sa_sk_ tskey- sha256~ github_pat_ glpat- gloas- gldt- glrt- glrtr- glcbt- glptt- glft- glimt- "
    "glagent- glwt- glsoat- glffct- GR1348941 .atlasv1. NRII- dnkey- pypi-AgE packagist_ dckr_pat_ "
    "dckr_oat_ sq0atp- sq0csp- duffel_test_ duffel_live_ pdl_live_ pdl_sdbx_ "
    "xoxe- xoxe.xoxb- xoxe.xoxp- xapp- CFPAT- fio-u- :AA",
}
STEMS = ("pass", "pwd", "secret", "token", "key", "auth", "curl", "mysql", "login")

_HEX = b"0123456789abcdef"
_ALPHANUMERIC = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TOKEN = _ALPHANUMERIC + b"_-=%+~"


def _map(kept: bytes, to: bytes = b"") -> bytes:
    """Return a table for `translate` that blanks all but `kept`, which stays or becomes `to`."""
    table = bytearray(b" " * 256)
    for code in kept:
        table[code] = to[0] if to else code
    return bytes(table)


_RUNS = _map(_TOKEN, b"x")
_BLOBS = _map(_TOKEN + b"/", b"x")
_WORDS = _map(_ALPHANUMERIC)
_RUN = b"x" * 16
_LEAD = 28
_NAMES = b"abcdefghijklmnopqrstuvwxyz_-=%+~"
_BLOB = b"x" * 2048
_BLOB_ENDS = 256
_ESCAPES = bytes(code for code in range(256) if code not in b"\\%[")

# The literals by the last letters of a word that ends in them, by their first letters, and the rest.
_ends: dict[bytes, list[bytes]] = {}
_heads: dict[bytes, list[bytes]] = {}
_singles: list[str] = []
_tails: dict[bytes, tuple[bool, str, int]] = {}


def _index() -> None:
    for tail, literals in TAILS.items():
        plain = tail.lstrip("^")
        spec = (plain is not tail, plain[0], int(plain[1:]))
        is_word = spec[0] and plain[0] in "ah."
        for literal in literals.encode().split():
            _tails[literal] = spec
            key = literal[-5:-1]
            if literal[-1] not in b"_-.~$" or not key.isalnum():
                # The last word but one, or the last one if something follows it.
                closed = literal.translate(_WORDS).rstrip(_ALPHANUMERIC).split()
                key = max(closed, key=len)[-4:] if closed else b""
            if len(key) > 1:
                _ends.setdefault(key if len(key) == 4 else key[-2:], []).append(literal)
            elif is_word and len(literal) + spec[2] > 15 and literal[:2].isalnum():
                _heads.setdefault(literal[:4] if len(literal) > 3 else literal[:2], []).append(literal)
            else:
                _singles.append(literal.decode())


_index()
_END_KEYS, _HEAD_KEYS = frozenset(_ends), frozenset(_heads)


# The characters that JSON may write as an escape and a credential can be made of, and NUL for UTF-16.
_CODES = {f"{code:02x}": chr(code) for code in (0, *range(0x20, 0x7F))}
_CODES.update({code.upper(): character for code, character in _CODES.items()})
_ROWS = tuple(f"\\u00{row}" for row in "0234567")
_QUOTES = "\"'`"
_ESCAPED = ("\\\\", '\\"')  # single characters of UTF-16 in JSON


def unescaped(text: str) -> tuple[str, list[list[tuple[int, int]]]]:
    r"""Return a text with the escapes of JSON, at any depth, and the NULs of UTF-16 resolved, and how.

    Only what a credential can hide behind is resolved: ASCII as `\u00xx`, and `\/`. A quote keeps its
    backslashes, as they tell which quote closes it. Each list maps offsets back, the last one first:
    an offset in the result, and where the same character stood, from there on one by one.

    >>> unescaped("https:\/")
    ('https:/', [[(0, 0), (6, 6), (7, 8)]])
    """
    steps = []
    if _is_escaped(text):
        text, places = _without_escapes(text)
        steps.append(places)
    if "\0" in text:
        text, places = _without_nuls(text)
        steps.append(places)
        if _is_escaped(text):
            text, places = _without_escapes(text)
            steps.append(places)
    return text, steps


def _is_escaped(text: str) -> bool:
    if "\\" not in text:
        return False
    return "\\/" in text or ("\\u00" in text and any(row in text for row in _ROWS))


def _without_escapes(text: str) -> tuple[str, list[tuple[int, int]]]:
    first, *rest = text.split("\\")
    pieces, places = [first], [(0, 0)]
    made = at = begin = len(first)
    held = 0  # backslashes whose meaning the next character tells
    for part in rest:
        piece, at, held = part, at + 1, held + 1
        while piece[:5] in ("u005c", "u005C"):
            piece, at, held = piece[5:], at + 5, held + 1
        if not piece:
            continue
        character = piece[0] if piece[0] == "/" else ""
        size = 1
        if piece[0] == "u" and piece[1:3] == "00":
            character, size = _CODES.get(piece[3:5], ""), 5
        if character:
            # Of three backslashes before it, two stand for one, and the third begins the escape.
            kept = held if character in _QUOTES else (held - 1 if held % 2 and size > 1 else 0)
            shown = "\\" * kept + character
            places += [(made, begin), (made + len(shown), at + size)]
            pieces += [shown, piece[size:]]
            made += len(shown) + len(piece) - size
        else:
            if at - begin > held:  # some were written as escapes themselves
                places += [(made, begin), (made + held, at)]
            pieces += ["\\" * held, piece]
            made += held + len(piece)
        at += len(piece)
        begin, held = at, 0
    pieces.append("\\" * held)
    return "".join(pieces), places


def _without_nuls(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Leave out the NULs around single characters: those of UTF-16, not the ends of strings."""
    pieces = text.split("\0")
    kept, places = [pieces[0]], [(0, 0)]
    made = at = len(pieces[0])
    last, was_single = len(pieces) - 1, False
    for number, piece in enumerate(pieces[1:], 1):
        is_single = number < last and (len(piece) < 2 or piece in _ESCAPED)
        at += 1
        if is_single or was_single:
            places.append((made, at))
        else:
            kept.append("\0")
            made += 1
        kept.append(piece)
        made += len(piece)
        at += len(piece)
        was_single = is_single
    return "".join(kept), places


def found(text: str) -> Iterator[str]:
    """Yield the literals of credential formats that stand in a text with their tails.

    >>> list(found("AKIA" + "Q" * 16)), list(found("a task-based tokenizer"))
    (['AKIA'], [])
    """
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > 4 * len(_BLOB):
        data = _without_blobs(data)
    lower = data.lower()
    for stem, announces in _ANNOUNCED:
        at = lower.find(stem)
        while at >= 0:
            literal = announces(lower, at, at + len(stem))
            if literal:
                yield literal
                break
            at = lower.find(stem, at + 1)
    for token in _tokens(data):
        yield token.decode()


def _without_blobs(data: bytes) -> bytes:
    """Cut the middle out of what is one word of 2 kB and more, such as the base64 of an image."""
    shape = data.translate(_BLOBS)
    at = shape.find(_BLOB)
    if at < 0:
        return data
    pieces, last = [], 0
    while at >= 0:
        end = shape.find(b" ", at)
        end = len(data) if end < 0 else end
        pieces.append(data[last : at + _BLOB_ENDS])
        last = end - _BLOB_ENDS
        at = shape.find(_BLOB, end)
    return b"\n".join([*pieces, data[last:]])


def _tokens(data: bytes) -> list[bytes]:
    """Return the literals of tokens."""
    # What stands around this one can be in short pieces; few texts have a tilde.
    hits = [b"Q~"] if b"~" in data and b"Q~" in data else []
    long = _long_runs(data)
    if not long:
        return hits
    words = long.translate(_WORDS).split()
    ends = {word[-4:] for word in words}
    near = [_ends[key] for key in (_END_KEYS & ends) | (_END_KEYS & {end[-2:] for end in ends})]
    # A word begins after its first letter too: \n, \u001b, %3D and the m of a colour are glued to it.
    heads = {word[skip : skip + 4] for word in words if len(word) > 15 for skip in range(6)}
    if heads:
        near += [_heads[key] for key in (_HEAD_KEYS & heads) | (_HEAD_KEYS & {head[:2] for head in heads})]
    text = long.decode("latin-1")  # texts are searched faster than bytes when they are short
    near.append([literal.encode() for literal in _singles if literal in text])
    return hits + [literal for literals in near for literal in literals if _stands(long, literal)]


def _long_runs(data: bytes) -> bytes:
    shape = data.translate(_RUNS)
    at = shape.find(_RUN)
    pieces: dict[bytes, None] = {}
    first = last = 0  # of the piece that grows as long as runs stand close to each other
    while at >= 0:
        end = shape.find(b" ", at)
        if end < 0:
            end = len(data)
        if not _is_name(data[at:end], data[end : end + 1]):
            if at - _LEAD > last:
                pieces[data[first:last]] = None
                first = at - _LEAD
            last = end + 8
        at = shape.find(_RUN, end)
    pieces[data[first:last]] = None
    return b"\n".join(pieces).strip(b"\n")


def _is_name(run: bytes, following: bytes) -> bool:
    """Tell whether a run reads like a name in a program, which are long too; `matching` agrees.

    Base64 goes on after a slash, and the letter of an escape may be glued to the front.
    """
    if run.isalpha():
        return len(run) < 32 and following != b"/" and not run[6:].isupper()
    if run.translate(None, _NAMES):
        return False
    return len(run) < 28 or max(map(len, run.translate(_WORDS).split()), default=0) < 24


def _stands(data: bytes, literal: bytes) -> bool:
    """Tell whether the literal occurs with its tail, and where a word begins if it must."""
    begins, kind, size = _tails[literal]
    at = data.find(literal)
    while at >= 0:
        end = at + len(literal)
        if (not size or _is_tail(data, end, kind, size)) and (not begins or _begins(data, at)):
            return True
        at = data.find(literal, at + 1)
    return False


def _is_tail(data: bytes, at: int, kind: str, size: int) -> bool:
    tail = data[at : at + size]
    if len(tail) < size:
        return False
    if kind == "a":
        return tail.isalnum()
    if kind == "h":
        return not tail.translate(None, _HEX)
    if kind == "d":
        return tail.isdigit()
    if kind == "s":
        return tail == b" "
    if kind == ".":
        return tail.isalnum() and b"." in data[at + size : at + size + 8]
    return not tail.translate(None, _TOKEN)


def _begins(data: bytes, at: int) -> bool:
    # An escape before the word may end in a letter; `matching` looks closer.
    return not data[at - 1 : at].isalnum() or bool(data[max(0, at - 10) : at].translate(None, _ESCAPES))


_NAME = b"abcdefghijklmnopqrstuvwxyz0123456789_-."
_NO_DIGITS = bytes(code for code in range(256) if code not in b"0123456789")
_VALUE = b"value"
_DESCRIBED = 1600  # bytes between {"name": "DB_PASSWORD" and its "value"
_FILL = b"\\\"'`] \t\r\n"


def _named(lower: bytes, at: int, end: int) -> bool:
    """Tell whether a value may follow the name around `lower[at:end]`."""
    rest = lower[end : end + 160]
    if b"\\" in rest:
        rest = rest.replace(b"\\t", b" ").replace(b"\\n", b" ").replace(b"\\r", b" ")
    rest = rest.lstrip(_NAME).lstrip(_FILL)
    if rest[:1] in (b":", b"=", b">", b"\x01") or rest.startswith(b"value"):
        return True
    if rest[:1] == b"," and (lower.find(_VALUE, end, end + _DESCRIBED) >= 0 or _is_given(lower, end)):
        return True
    before = lower[max(0, at - 80) : at]
    if (b"name" in before or b"key" in before) and lower.find(_VALUE, max(0, at - _DESCRIBED), at) >= 0:
        return True
    return b"--" in lower[max(0, at - 24) : at]


def _is_given(lower: bytes, end: int) -> bool:
    """Tell whether a quoted argument with a digit follows, as in `setProperty("API_KEY", "...")`."""
    comma = lower.find(b",", end) + 1
    blanks = lower[comma : comma + 16]
    quote = blanks.lstrip(b" \\")[:1]
    if quote not in (b'"', b"'"):
        return False
    begin = comma + blanks.find(quote) + 1
    close = lower.find(quote, begin, begin + 4200)
    return bool(lower[begin : close if close >= 0 else begin + 4200].translate(None, _NO_DIGITS))


def _password(lower: bytes, at: int, end: int) -> str:
    before = lower[max(0, at - 128) : at]
    if (
        _named(lower, at, end)
        or b"login" in before
        or before.endswith(b"ssh")
        or b"'" in lower[end : end + 24]
    ):
        return lower[at:end].decode()
    return ""


def _secret(lower: bytes, at: int, end: int) -> str:
    if lower[end : end + 11].translate(None, b" _-").startswith(b"accesskey"):
        return "secret"  # after this one a blank is enough
    return "secret" if _named(lower, at, end) else ""


def _token(lower: bytes, at: int, end: int) -> str:
    return "token" if lower[end : end + 1] != b"s" and _named(lower, at, end) else ""


def _private(lower: bytes, _: int, end: int) -> str:
    return "PRIVATE" if lower[end : end + 1] in b"- " else ""


def _key(lower: bytes, at: int, end: int) -> str:
    before = lower[max(0, at - 1) : at]
    return "key" if (before.isalnum() or before in (b"_", b"-", b" ")) and _named(lower, at, end) else ""


def _auth(lower: bytes, at: int, end: int) -> str:
    is_author = lower[end : end + 2] == b"or" and lower[end : end + 4] != b"oriz"
    return "auth" if not is_author and _named(lower, at, end) else ""


def _curl(lower: bytes, _: int, end: int) -> str:
    following = lower[end : end + 4000]
    return "curl" if b"-u" in following or b"user" in following else ""


def _mysql(lower: bytes, _: int, end: int) -> str:
    return "mysql" if b"-p" in lower[end : end + 400] else ""


_OPTIONS = (b" -p", b"\n-p", b'"-p', b"'-p", b"\\n-p", b"\t-p")


def _login(lower: bytes, _: int, end: int) -> str:
    following = lower[end : end + 400]
    return "login" if b"-p" in following and any(mark in following for mark in _OPTIONS) else ""


def _address(lower: bytes, _: int, end: int) -> str:
    """`://user:password@`, a token as the user, a web hook, or a signature among the parameters."""
    start = lower[end : end + 400]
    login = start[: start.find(b"@")] if b"@" in start else b""
    if login and b"/" not in login and b" " not in login and (b":" in login or len(login) > 19):
        return "://"
    if b"hook" in start[:80]:
        return "://"
    asked = start.find(b"?")
    following = lower[end + asked : end + asked + 1600] if 0 < asked < 300 else b""
    return "://" if b"sig" in following or b"-token=" in following or b"code=" in following else ""


_ANNOUNCED: tuple[tuple[bytes, Callable[[bytes, int, int], str]], ...] = (
    (b"pass", _password),
    (b"pwd", _password),
    (b"secret", _secret),
    (b"token", _token),
    (b"private key", _private),
    (b"key", _key),
    (b"auth", _auth),
    (b"curl", _curl),
    (b"mysql", _mysql),
    (b"login", _login),
    (b"://", _address),
)
