"""Credentials that a name, a header, an address or a frame gives away; rows as in `rules`.

The values have no form of their own here, so each row has a check that tells a secret from code that
merely talks about one. Better a password missed than an agent's work blanked.
"""

from __future__ import annotations

# What may stand between a name and its value: `=`, `:`, `:=`, `=>`, a type annotation, `"value":`, in JSON
# also with escaped quotes. \x01 stands between the key and the value of an object's member (`redact`).
_IS = (
    r"""\\{0,7}["'`]?\]?[ \t]{0,4}(?::[ \t]{0,2}(?:str|string)[ \t]{0,2}=|=>|:=|[:=]{1,2}"""
    r"""|,?(?:\s|\\[nrt]){0,24}\\{0,7}["']?value\\{0,7}["']?[ \t]{0,2}[:=])(?:\s|\\[nrt]){0,4}"""
)
_QUOTED = r"""\\{0,7}["'`]((?:[^\s"'`\\\x00\x01]|\\[^\\\s"'`nrtu\x00\x01])COUNT)(?=[\\"'`])"""
_BARE = r"""(?![$%<{*\[(@])([^\s"'`\\,;&|<>(){}\[\]\x00-\x1f]COUNT)(?=[\s"'`\\,;&|<)}\]\x00-\x1f]|$)"""
_ELEMENT = r""">([^\s<>"'\\\x00\x01]COUNT)(?=<\\?/)"""
_MEMBER = r"""\x01([^\x00\x01]COUNT)(?=\x01)"""
_AFFIX = r"(?:[_-]?(?:prod|production|staging|dev|test|live|data|value|base64|b64|old|new|[0-9]{1,3}))?"
_ADDRESS = r"""[^?/\x00-\x20"'<>\\\x7f-\U0010ffff]"""
# And in a call: setProperty("API_KEY", "...").
_IS_GIVEN = rf"""(?:{_IS}|\\{{0,7}}["'],[ \t]{{0,3}}(?=\\{{0,7}}["']))"""
_END = r"""(?=[\s"'`\\,;&|<)}\]\x00-\x1f]|$)"""
_OPEN = rf"""(?:{_IS}\\{{0,7}}["'`]?|\x01)"""


def _assigned(name: str, count: str, *, given: str = _IS) -> str:
    return f"{name}{_AFFIX}(?:{given}(?:{_QUOTED}|{_BARE})|{_ELEMENT}|{_MEMBER})".replace(
        "COUNT", count + "+"
    )


NAMED: tuple[tuple[str, str, str, str, str, str], ...] = (
    # Keys and signed tokens
    (
        "private-key",
        "pem",
        "PRIVATE",
        (
            r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"(?:(?:[^-\x00]|-(?!----)){0,20000}+-{5,8}END [A-Z0-9 ]{0,40}PRIVATE KEY(?: BLOCK)?-----"
            r"|(?:[A-Za-z0-9+/=\s\\\u2192|:,]|-(?!-)){0,8000}+)"
        ),
        "pem",
        "rfc7468",
    ),
    (
        "putty",
        "pem",
        "PuTTY-User-Key-File-",
        r"PuTTY-User-Key-File-\d[^\x00]{1,4000}?Private-Lines: \d{1,3}([A-Za-z0-9+/=\s\\]{40,8000}+)",
        "",
        "putty",
    ),
    ("age", "age", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{58}", "", "age"),
    ("xprv", "wallet", "xprv", r"xprv[A-Za-z0-9]{100,112}", "word", "bip32"),
    ("jwt", "jwt", ".eyJ", r"eyJ[\w-]{10,4000}+\.eyJ[\w-]{10,8000}+(?:\.[\w-]{0,4000})?", "word", "rfc7519"),
    # Headers and addresses
    (
        "basic",
        "basic",
        "asic",
        r"[Bb]asic {1,3}([A-Za-z0-9]{16}[A-Za-z0-9+/]{0,1000}={0,2})",
        "basic",
        "rfc7617",
    ),
    (
        "basic-header",
        "basic",
        "auth",
        rf"auth(?:orization)?{_OPEN}(?:basic\s{{1,3}})?([A-Za-z0-9+/]{{8,1000}}+={{0,2}}){_END}",
        "basic",
        "rfc7617",
    ),
    (
        "bearer",
        "bearer",
        "earer EARER",
        r"(?:[Bb]earer|BEARER) {1,3}([\w=-]{16}[\w.~+/=-]{0,4000})",
        "mixed",
        "rfc6750",
    ),
    (
        "authorization",
        "header",
        "auth",
        rf"authorization{_OPEN}(?:[a-z][a-z-]{{1,20}}\s{{1,3}})?([\w.~+/=:-]{{12,4000}}+){_END}",
        "mixed",
        "rfc6750",
    ),
    (
        "url-login",
        "url",
        "://",
        rf"""://[^:/@?#\x00-\x20"'<>\\\x7f-\U0010ffff]{{0,100}}:({_ADDRESS}{{3,256}})@(?=[\w\[-])""",
        "login",
        "rfc3986",
    ),
    ("url-user", "url", "://", r"""://([\w-]{20,256})@(?=[\w\[-])""", "random", "rfc3986"),
    (
        "url-signature",
        "url",
        "://",
        (
            rf"""://(?:{_ADDRESS}|/){{1,280}}\?(?:[^\s"'<>?]{{0,1500}}?&(?:amp;)?)?"""
            r"""(?i:x-amz-security-token|x-amz-signature|x-goog-signature|sig)=([\w%+/=-]{32,3000})"""
        ),
        "",
        "azure",
    ),
    (
        "azure-function",
        "url",
        "://",
        (
            rf"""://[a-z0-9.-]{{1,100}}\.azurewebsites\.net/(?:{_ADDRESS}|/){{0,180}}\?(?:[^\s"'<>?]{{0,500}}?&)?"""
            r"""code=([\w/+=%-]{20,120})"""
        ),
        "",
        "kingfisher",
    ),
    # Commands
    (
        "curl-login",
        "login",
        "curl",
        (
            r"""curl\b[^\x01]{0,600}?\s(?:-u|--user|--proxy-user)(?:\s{1,3}|=)?\\{0,7}["']?"""
            r"""[^\s:"'\\]{1,100}:([^\s"'\\\x00\x01]{3,128})"""
        ),
        "login",
        "gitleaks",
    ),
    ("netrc", "login", "pass", r"password(?:\s|\\n){1,4}([^\s\\\"'\x00]{6,256})", "netrc", "noseyparker"),
    (
        "sshpass",
        "login",
        "pass",
        r"""pass\s{1,3}-p\s{0,2}\\{0,7}["']?([^\s"'\\\x00]{4,128})""",
        "sshpass",
        "gitleaks",
    ),
    (
        "sql-login",
        "login",
        "pass",
        r"password\s{1,3}\\{0,7}'([^'\\\x00]{6,128})(?=\\{0,7}')",
        "login",
        "detect-secrets",
    ),
    (
        "cli-option",
        "option",
        "pass pwd token secret key",
        r"""(?:pass(?:word|phrase|wd)?|pwd|token|secret|key)"""
        r"""(?:[ \t]{1,3}|\n|\\{0,7}["'],\s{0,4}(?=\\{0,7}["']))(?!-)\\{0,7}["']?"""
        r"""([^\s"'`\\,;&|<>(){}\[\]\x00-\x1f$]{6,512}+)""" + _END,
        "option",
        "gitleaks",
    ),
    # Names
    (
        "aws-secret",
        "aws",
        "secret",
        rf"secret[_ -]?(?:access)?[_ -]?key{_OPEN}([A-Za-z0-9/+]{{40}})(?![A-Za-z0-9/+=])",
        "mixed",
        "gitleaks",
    ),
    (
        "secret-name",
        "assigned",
        "secret",
        _assigned(r"secret(?:[._ -]?(?:access)?[._ -]?(?:key|token))?", "{8,512}", given=_IS_GIVEN),
        "secret",
        "gitleaks",
    ),
    (
        "token-name",
        "assigned",
        "token",
        _assigned(r"token(?!s)(?:[_-]?secret)?", "{16,4096}", given=_IS_GIVEN),
        "token",
        "gitleaks",
    ),
    (
        "key-name",
        "assigned",
        "key",
        _assigned(r"key(?:[_-]?secret)?", "{16,4096}", given=_IS_GIVEN),
        "key",
        "gitleaks",
    ),
    (
        "password-name",
        "assigned",
        "pass pwd",
        _assigned(r"(?:pass(?:w(?:or)?d|phrase|code)?|pwd)", "{6,256}"),
        "password",
        "detect-secrets",
    ),
)
