"""Credentials that a name, a header, an address or a frame gives away; rows as in `rules`.

The values have no form of their own here, so each row has a check that tells a secret from code that
merely talks about one. Better a password missed than an agent's work blanked.
"""

from __future__ import annotations

# What may stand between a name and its value: `=`, `:`, `:=`, `=>`, a type annotation, `"value":`, in JSON
# also with escaped quotes. \x01 stands between the key and the value of an object's member (`redact`).
_IS = (
    r"""\\{0,7}["'`]?+\]?[ \t]{0,4}+(?::[ \t]{0,2}(?:str|string)[ \t]{0,2}=|=>|:=|[:=]{1,2}+"""
    r"""|(?:(?<=["']),(?:[^{}v\x00\x01]|v(?!alue)){0,200}+|(?:\s|\\[nrt]){0,24}+\\{0,7}["']?)"""
    r"""value\\{0,7}["']?[ \t]{0,2}[:=])(?:\s|\\[nrt]){0,4}+"""
)
# A quote with more backslashes than the one that opens is part of the value.
_QUOTED = (
    r"""(?:[bruf]{1,2}(?=["']))?(?P<slashes>\\{0,7})(?P<quote>["'`])"""
    r"""((?:[^\s"'`\\\x00\x01]|(?!(?P=slashes)(?P=quote))"""
    r"""(?:\\\\\\\\\\\\\\["'`]|\\\\\\["'`]|\\["'`]|\\(?![nrt\s])|["'`]))COUNT)(?=[\\"'`])"""
)
_BARE = r"""(?![$%<{*\[(@"'`\\,;&|>)}\]]|[bruf]{1,2}["'])([^\s\x00-\x1f]COUNT)"""  # the check `cut` ends it
_ELEMENT = r""">([^\s<>"'\\\x00\x01]COUNT)(?=<\\?/)"""
_MEMBER = r"""\x01([^\x00\x01]COUNT)(?=\x01)"""
_AFFIX = r"(?:[_-]?(?:prod|production|staging|dev|test|live|data|value|base64|b64|old|new|[0-9]{1,3}))?"
_ADDRESS = r"""[^?/\x00-\x20"'<>\\\x7f-\U0010ffff]"""
# And in a call: setProperty("API_KEY", "...").
_IS_GIVEN = rf"""(?:{_IS}|\\{{0,7}}["'],[ \t]{{0,3}}(?=\\{{0,7}}["']))"""
_END = r"""(?=[\s"'`\\,;&|<)}\]\x00-\x1f]|$)"""
_OPEN = rf"""(?:{_IS}\\{{0,7}}["'`]?|\x01)"""
_MOST = 16_000  # characters of a value; no header may be longer


# None of these is without, and most of what a program has after a name is.
_TELLING = r"(?=[^\s\x00]{0,200}?[0-9!#$%^&*?])"


def _assigned(name: str, least: int, *, given: str = _IS) -> str:
    return f"{name}{_AFFIX}(?:{given}{_TELLING}(?:{_QUOTED}|{_BARE})|{_ELEMENT}|{_MEMBER})".replace(
        "COUNT", f"{{{least},{_MOST}}}+"
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
        (
            r"PuTTY-User-Key-File-\d(?:(?!PuTTY-)[^\x00]){1,4000}?"
            r"Private-Lines: \d{1,3}([A-Za-z0-9+/=\s\\]{40,8000}+)"
        ),
        "",
        "putty",
    ),
    ("age", "age", "AGE-SECRET-KEY-1", r"AGE-SECRET-KEY-1[A-Z0-9]{58}", "", "age"),
    ("xprv", "wallet", "xprv", r"xprv[A-Za-z0-9]{100,112}", "word", "bip32"),
    # Attempts only where a run begins: a long one may hold many.
    (
        "jwt",
        "jwt",
        ".eyJ",
        r"eyJ(?<![\w-]{6}eyJ)[\w-]{10,16000}+\.eyJ[\w-]{10,16000}+(?:\.[\w-]{0,16000})?",
        "word",
        "rfc7519",
    ),
    (
        "jwe",
        "jwt",
        "eyJhbGciOi eyJlbmMiOi eyJ0eXAiOi eyJraWQiOi eyJjdHkiOi",
        r"eyJ(?<![\w-]{6}eyJ)[\w-]{10,4000}+\.[\w-]{0,4000}+\.[\w-]{8,64}\.[\w-]{1,16000}+\.[\w-]{16,64}",
        "word",
        "rfc7516",
    ),
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
        rf"(?:orization)?{_OPEN}(?:basic\s{{1,3}})?([A-Za-z0-9+/]{{8,4000}}+={{0,2}}){_END}",
        "basic",
        "rfc7617",
    ),
    (
        "bearer",
        "bearer",
        "earer EARER",
        r"(?:[Bb]earer|BEARER) {1,3}([\w=-]{16}[\w.~+/=-]{0,16000})",
        "mixed",
        "rfc6750",
    ),
    (
        "authorization",
        "header",
        "auth",
        rf"orization{_OPEN}(?:[a-z][a-z-]{{1,20}}\s{{1,3}})?([\w.~+/=:-]{{12,16000}}+){_END}",
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
    (
        "url-user",
        "url",
        "://",
        rf"""://([\w-]{{20,256}})(?::{_ADDRESS}{{0,256}})?@(?=[\w\[-])""",
        "random",
        "rfc3986",
    ),
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
            r"""\b(?:(?!curl)[^\x01]){0,600}?\s(?:-u|--user|--proxy-user)(?:\s{1,3}|=)?\\{0,7}["']?"""
            r"""[^\s:"'\\]{1,100}:([^\s"'\\\x00\x01]{3,128})"""
        ),
        "login",
        "gitleaks",
    ),
    (
        "mysql-login",
        "login",
        "mysql",
        (
            r"""(?:dump|admin|import|check|show|pump|sh)?\b(?:(?!mysql)[^\n\x01]){0,300}?\s"""
            r"""(?:-p|--password=)\\{0,7}["']?([^\s"'`\\\x00-\x1f]{4,128})"""
        ),
        "mysql",
        "trufflehog",
    ),
    (
        "registry-login",
        "login",
        "login",
        (
            r"""\b(?:(?!login)[^\x01;&|]){0,300}?[\s"']-p(?:\s{1,3}|=|\\{0,7}["'],\s{0,3})(?!-)\\{0,7}["']?"""
            r"""([^\s"'`\\\x00-\x1f]{4,512})"""
        ),
        "registry",
        "trufflehog",
    ),
    ("netrc", "login", "pass", r"word(?:\s|\\n){1,4}([^\s\\\"'\x00]{6,256})", "netrc", "noseyparker"),
    (
        "sshpass",
        "login",
        "pass",
        r"""\s{1,3}-p\s{0,2}\\{0,7}["']?([^\s"'\\\x00]{4,128})""",
        "sshpass",
        "gitleaks",
    ),
    (
        "sql-login",
        "login",
        "pass",
        r"word\s{1,3}\\{0,7}'([^'\\\x00]{6,128})(?=\\{0,7}')",
        "login",
        "detect-secrets",
    ),
    (
        "cli-option",
        "option",
        "pass pwd token secret key",
        (
            r"""(?:word|phrase|wd)?(?:[ \t]{1,3}|\n|\\{0,7}["'],\s{0,4}(?=\\{0,7}["']))(?!-)"""
            rf"""(?:{_QUOTED}|{_BARE})"""
        ).replace("COUNT", "{6,4096}+"),
        "cut option",
        "gitleaks",
    ),
    # Names
    (
        "aws-secret",
        "aws",
        "secret",
        (
            rf"""(?:[_ -]?(?:access)?[_ -]?key{_OPEN}"""
            r"""|[_ -]?access[_ -]?key(?: \[[^\]\s]{0,24}\]:)?[ \t]{1,3})"""
            r"""([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])"""
        ),
        "mixed",
        "gitleaks",
    ),
    (
        "secret-name",
        "assigned",
        "secret",
        _assigned(r"(?:[._ -]?(?:access)?[._ -]?(?:key|token))?", 8, given=_IS_GIVEN),
        "cut secret",
        "gitleaks",
    ),
    (
        "token-name",
        "assigned",
        "token",
        _assigned(r"(?!s)(?:[_-]?secret)?", 16, given=_IS_GIVEN),
        "cut token",
        "gitleaks",
    ),
    (
        "key-name",
        "assigned",
        "key",
        _assigned(r"(?:[_-]?secret)?", 16, given=_IS_GIVEN),
        "cut key",
        "gitleaks",
    ),
    (
        "password-name",
        "assigned",
        "pass pwd",
        _assigned(r"(?:w(?:or)?d|phrase|code)?", 6),
        "cut password",
        "detect-secrets",
    ),
    # Its name stands behind it.
    (
        "described-value",
        "assigned",
        "pass pwd secret token key",
        r"""[\w.-]{0,40}\\{0,7}["'](?!:)""",
        "described",
        "detect-secrets",
    ),
)
