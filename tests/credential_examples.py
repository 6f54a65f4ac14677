"""Synthetic credentials of every rule, drawn at test time from the published formats.

`<A36>` stands for 36 random characters of the alphabet A; braces enclose the secret where it is not the
whole example. Nothing here is a credential, and the parts are joined only when a test runs, so that
no scanner of this repository has anything to find.
"""

from __future__ import annotations

import base64
import re
from random import Random

_DIGITS = "0123456789"
_LOWER = "abcdefghijklmnopqrstuvwxyz"
_UPPER = _LOWER.upper()
_ALPHABETS = {
    "A": _DIGITS + _LOWER + _UPPER,
    "a": _DIGITS + _LOWER,
    "L": _DIGITS + _UPPER,
    "X": _LOWER + _UPPER,
    "D": _DIGITS,
    "H": _DIGITS + "abcdef",
    "F": _DIGITS + "ABCDEF",
    "U": _DIGITS + _LOWER + _UPPER + "-_",
    "W": _DIGITS + _LOWER + _UPPER + "_",
    "E": _DIGITS + _LOWER + _UPPER + "-_=",
    "S": _DIGITS + _LOWER + _UPPER + "-_.=",
    "C": _DIGITS + _LOWER + _UPPER + "-_.~",
    "B": _DIGITS + _LOWER + _UPPER + "+/",
    "P": _DIGITS + _LOWER + _UPPER + "!#%+-.:=?@_~^",
}
_PART = re.compile(r"<(\w)([0-9]+)>")

FORMATS = {
    "anthropic": [
        "sk-ant-api03-<U93>AA",
        "sk-ant-admin01-<U93>AA",
        "sk-ant-oat01-<U80>",
        "sk-ant-ort01-<U80>",
    ],
    "openai-project": ["sk-proj-<U74>T3Blbk" + "FJ<U74>", "sk-proj-<A48>"],
    "openai-account": [
        "sk-svcacct-<U74>T3Blbk" + "FJ<U74>",
        "sk-admin-<U58>T3Blbk" + "FJ<U58>",
        "sk-None-<A48>",
    ],
    "sk-key": ["sk-<A20>T3Blbk" + "FJ<A20>", "sk-<H32>", "sk-<A48>"],
    "openrouter": ["sk-or-v1-<H64>"],
    "langfuse": ["sk-lf-<UUID>"],
    "huggingface": ["hf_<X34>"],
    "huggingface-org": ["api_org_<X34>"],
    "groq": ["gsk_<A52>"],
    "replicate": ["r8_<A37>"],
    "perplexity": ["pplx-<A48>"],
    "xai": ["xai-<A80>", "xai-<U84>"],
    "langsmith": ["lsv2_pt_<H32>_<H10>", "lsv2_sk_<H32>_<H10>"],
    "pinecone": ["pcsk_<A5>_<A63>", "pcsk_<A6>_<A63>"],
    "nvidia": ["nvapi-<U64>"],
    "cerebras": ["csk-<a48>"],
    "fireworks": ["fw_<A24>"],
    "together": ["tgp_v1_<U43>"],
    "tavily": ["tvly-<A32>", "tvly-dev-<A32>"],
    "firecrawl": ["fc-<H32>"],
    "elevenlabs": ["sk_<H48>"],
    "voyage": ["pa-<A43>"],
    "jina": ["jina_<H32><A28>"],
    "apify": ["apify_api_<A36>"],
    "adafruit": ["aio_<A28>"],
    "runpod": ["rpa_<L40><A6>"],
    "cursor": ["key_<H64>"],
    "posthog": ["phx_<A47>", "phs_<A47>", "pha_<A43>", "phr_<A43>"],
    "logfire": ["pylf_v1_us_<A44>", "pylf_v1_eu_<A44>"],
    "bedrock": ["ABSK<A30><B98>==", "ABSK<A30><B80>"],
    "bedrock-short": ["bedrock-api-key-<A200>"],
    "aws-key-id": ["AKIA<L16>", "ASIA<L16>", "ABIA<L16>", "ACCA<L16>"],
    "aws-pair": ["AKIA<L16>,{<B40>}", "AKIA<L16> : {<B40>}"],
    "aws-session": ["IQoJb3JpZ2luX2Vj<B300>=="],
    "aws-session-old": ["FwoGZXIvYXdzEBYa<B300>=", "FQoGZXIvYXdzEJrA<B300>="],
    "aws-mws": ["amzn.mws.<UUID>"],
    "aws-appsync": ["da2-<a26>"],
    "google-api-key": ["AIza<U35>"],
    "google-gemini": ["AQ.Ab8RN6<U44>"],
    "google-oauth-secret": ["GOCSPX-<U28>"],
    "google-access": ["ya29.<U160>"],
    "google-refresh": ["1//0<U60>"],
    "google-hmac": ["GOOG1E<L55>", "GOOG<L20>"],
    "firebase-server": ["AAAA<U7>:APA91b<U134>"],
    "azure-client": ["<A3>8Q~<C33>x", "<A3>7Q~<C31>x"],
    "azure-devops": ["<A76>AZDO<A4>"],
    "digitalocean": ["dop_v1_<H64>", "doo_v1_<H64>", "dor_v1_<H64>"],
    "alibaba": ["LTAI<A20>"],
    "tencent": ["AKID<A32>"],
    "yandex-key": ["AQVN<U36>"],
    "yandex-iam": ["t1.<U120>.<U86>"],
    "yandex-oauth": ["y0_<U58>"],
    "cloudflare-origin": ["v1.0-<H24>-<H146>"],
    "cloudflare-token": ["cfut_<A40><H8>", "cfat_<A40><H8>", "cfk_<A40><H8>"],
    "heroku": ["HRKU-AA<U58>"],
    "fly-org": ["fo1_<U43>"],
    "fly-macaroon": ["fm2_lJPE<A12><B300>==", "fm1r_lJPE<A12><B200>", "fm1a_lJPE<A12><B200>="],
    "netlify": ["nfp_<A40>"],
    "render": ["rnd_<A28>", "rnd_<A32>"],
    "vercel": ["vcp_<U50><A6>", "vci_<U50><A6>", "vca_<U50><A6>", "vcr_<U50><A6>", "vck_<U50><A6>"],
    "supabase": ["sbp_<H40>", "sbp_v0_<H40>"],
    "supabase-secret": ["sb_secret_<U31>"],
    "planetscale": ["pscale_tkn_<U43>", "pscale_pw_<U43>", "pscale_oauth_<U32>"],
    "databricks": ["dapi<H32>", "dapi<H32>-3"],
    "mongodb-atlas": ["mdb_sa_sk_<U6><A34>"],
    "cockroach": ["CCDB1_<A22>_<A40>"],
    "neon": ["napi_<a64>"],
    "aiven": ["AVNS_<U19>"],
    "clickhouse": ["4b1d<A38>"],
    "tailscale": ["tskey-auth-<A17>-<A32>", "tskey-api-<A12>CNTRL-<A32>", "tskey-<A12>-<A22>"],
    "scalingo": ["tk-us-<U48>"],
    "openshift": ["sha256~<U43>"],
    "github-personal": ["ghp_<A36>"],
    "github-oauth": ["gho_<A36>"],
    "github-user": ["ghu_<A36>"],
    "github-server": ["ghs_<A36>"],
    "github-refresh": ["ghr_<A76>"],
    "github-fine-grained": ["github_pat_<A22>_<A59>"],
    "gitlab-personal": ["glpat-<U20>", "glpat-<U27>.01.<a9>", "glpat-<U30>.<a9>"],
    "gitlab-oauth-app": ["gloas-<H64>"],
    "gitlab-deploy": ["gldt-<U20>"],
    "gitlab-runner": ["glrt-<U20>", "glrtr-<U20>", "glrt-t1_<U27>.<a9>"],
    "gitlab-ci-job": ["glcbt-64_<U20>"],
    "gitlab-trigger": ["glptt-<H40>"],
    "gitlab-feed": ["glft-<U20>"],
    "gitlab-mail": ["glimt-<U25>"],
    "gitlab-agent": ["glagent-<U50>"],
    "gitlab-workspace": ["glwt-<U20>"],
    "gitlab-scim": ["glsoat-<U20>"],
    "gitlab-flags": ["glffct-<U20>"],
    "gitlab-registration": ["GR1348941<U20>"],
    "gitlab-cookie": ["_gitlab_session={<a32>}"],
    "bitbucket": ["ATBB<A32>"],
    "atlassian": ["ATATT3xFfGF0<E180>", "ATCTT3xFfG<E100>"],
    "trello": ["ATTA<H64>", "ATTA<H72>"],
    "sourcegraph": ["sgp_<H16>_<H40>", "sgp_local_<H40>", "sgp_<H40>"],
    "circleci": ["CCIPAT_<A22>_<H40>", "CCIPRJ_<A22>_<H40>"],
    "buildkite": ["bkua_<H40>"],
    "harness": ["pat.<U22>.<A24>.<A20>", "sat.<U22>.<A24>.<A20>"],
    "octopus": ["API-<L26>"],
    "terraform": ["<A14>.atlasv1.<E67>"],
    "vault": ["hvs.<U95>", "hvb.<U150>", "hvr.<U95>"],
    "vault-old": ["s.<A24>", "X-Vault-Token: {s.<A24>}"],
    "pulumi": ["pul-<H40>"],
    "doppler": [
        "dp.pt.<A43>",
        "dp.st.dev.<A43>",
        "dp.st.<A43>",
        "dp.ct.<A43>",
        "dp.sa.<A43>",
        "dp.scim.<A43>",
    ],
    "1password-account": ["ops_eyJ<A250>="],
    "1password-key": ["A3-<L6>-<L6>-<L5>-<L5>-<L5>-<L5>", "A3-<L6>-<L11>-<L5>-<L5>-<L5>"],
    "sonar": ["squ_<H40>", "sqp_<H40>", "sqa_<H40>"],
    "sentry-org": ["sntrys_eyJpYXQi<A120>=_<B43>"],
    "sentry-user": ["sntryu_<H64>"],
    "grafana-service": ["glsa_<A32>_<H8>"],
    "grafana-cloud": ["glc_eyJ<A20><B90>="],
    "grafana-legacy": ["eyJrIjoi<A80>="],
    "newrelic-user": ["NRAK-<L27>"],
    "newrelic-browser": ["NRJS-<H19>"],
    "newrelic-insert": ["NRII-<U32>"],
    "newrelic-license": ["<H36>NRAL"],
    "dynatrace": ["dt0c01.<L24>.<L64>", "dt0s01.<L24>.<L64>", "dt0s16.<L8>.<L64>"],
    "honeycomb": ["hcaik_<a58>", "hcaic_<a58>"],
    "launchdarkly": ["sdk-<UUID>", "api-<UUID>", "mob-<UUID>"],
    "postman": ["PMAK-<H24>-<H34>"],
    "axiom": ["xaat-<UUID>", "xapt-<UUID>"],
    "prefect": ["pnu_<A36>", "pnb_<A36>"],
    "infracost": ["ico-<A32>"],
    "defined-networking": ["dnkey-<E26>-<E52>"],
    "stackhawk": ["hawk.<A20>.<A20>"],
    "intra42": ["s-s4t2ud-<H64>", "s-s4t2af-<H64>"],
    "npm": ["npm_<A36>"],
    "pypi": ["pypi-AgEIcHlwaS5vcmc<U150>", "pypi-AgENdGVzdC5weXBp<U150>"],
    "rubygems": ["rubygems_<H48>"],
    "crates": ["cio<A32>"],
    "nuget": ["oy2<a43>"],
    "clojars": ["CLOJARS_<a60>"],
    "packagist": ["packagist_ack_<H32>", "packagist_acs_<H80>", "packagist_ort_<H68>", "packagist_uut_<H68>"],
    "jfrog": ["AKCp<A69>"],
    "jfrog-reference": ["cmVmd<A59>"],
    "docker": ["dckr_pat_<U27>", "dckr_oat_<U32>"],
    "deno": ["ddp_<A36>", "ddw_<A36>"],
    "stripe": ["sk_live_<A24>", "sk_test_<A99>", "rk_live_<A24>", "rk_prod_<A24>"],
    "stripe-webhook": ["whsec_<A32>", "whsec_<A20><B23>="],
    "square-access": ["sq0atp-<U22>"],
    "square-client": ["sq0csp-<U43>"],
    "square-token": ["EAAA<U60>"],
    "braintree": ["access_token$production$<a16>$<H32>", "access_token$sandbox$<a16>"],
    "shopify-access": ["shpat_<H32>"],
    "shopify-custom": ["shpca_<H32>"],
    "shopify-private": ["shppa_<H32>"],
    "shopify-shared": ["shpss_<H32>"],
    "flutterwave": ["FLWSECK_TEST-<H32>-X", "FLWSECK-<H32>-X", "FLWSECK_TEST-<H12>"],
    "plaid": ["access-sandbox-<UUID>", "access-development-<UUID>", "access-production-<UUID>"],
    "duffel": ["duffel_test_<E43>", "duffel_live_<E43>"],
    "easypost": ["EZAK<A54>", "EZTK<A54>"],
    "shippo": ["shippo_live_<H40>", "shippo_test_<H40>"],
    "live-key": ["live_<H35>", "test_<H35>"],
    "paddle": ["pdl_live_apikey_<a26>_<A22>_<A3>", "pdl_sdbx_apikey_<a26>_<A22>_<A3>"],
    "xendit": ["xnd_production_<A64>", "xnd_development_<A58>"],
    "mercadopago": ["APP_USR-<D16>-<D6>-<H32>-<D9>"],
    "slack-bot": ["xoxb-<D12>-<D13>-<A24>", "xoxb-<D11>-<A24>"],
    "slack-user": ["xoxp-<D12>-<D12>-<D12>-<H32>"],
    "slack-other": ["xoxs-<D10>-<D10>-<D10>-<H10>", "xoxa-2-<A30>", "xoxr-<A36>"],
    "slack-cookie": ["xoxd-<A40>%2B<A60>%3D", "xoxd-<A20>/<A90>+<A20>="],
    "slack-refresh": ["xoxe-1-<L146>", "xoxe.xoxp-1-<L163>", "xoxe.xoxb-1-<L163>"],
    "slack-app": ["xapp-1-<L11>-<D13>-<H64>"],
    "slack-webhook": ["https://hooks.slack.com/services/{T<L10>/B<L10>/<A24>}"],
    "discord-webhook": ["https://discord.com/api/webhooks/{<D18>/<U68>}"],
    "teams-webhook": [
        "https://acme.webhook.office.com/webhookb2/{<UUID>@<UUID>/IncomingWebhook/<H32>/<UUID>}"
    ],
    "zapier-webhook": ["https://hooks.zapier.com/hooks/catch/{<D7>/<a7>}"],
    "discord-bot": ["MT<A22>.<U6>.<U38>", "Nz<A24>.<U6>.<U27>", "OD<A22>.<U6>.<U38>"],
    "telegram": ["<D10>:AA<U33>", "<D9>:AA<U33>"],
    "sendgrid": ["SG.<U22>.<U43>"],
    "brevo": ["xkeysib-<H64>-<A16>", "xsmtpsib-<H64>-<A16>"],
    "mailgun": ["key-<H32>"],
    "mailgun-public": ["pubkey-<H32>"],
    "mailchimp": ["<H32>-us<D2>", "<H32>-us5"],
    "resend": ["re_<A8>_<A24>"],
    "twilio": ["SK<H32>"],
    "telnyx": ["KEY<F32>_<A22>"],
    "facebook": ["EAACEdEose0cBA<A150>", "EAAM<A120>"],
    "twitter": ["AAAAAAAAAAAAAAAAAAAAA<A16>%3D<A48>"],
    "figma": ["figd_<U40>"],
    "notion": ["ntn_<D11><A35>"],
    "notion-old": ["secret_<A43>"],
    "linear": ["lin_api_<A40>", "lin_oauth_<H64>"],
    "airtable": ["pat<A14>.<H64>"],
    "clickup": ["pk_<D8>_<L32>"],
    "hubspot": ["pat-na1-<UUID>", "pat-eu1-<UUID>"],
    "dropbox": ["sl.<U135>", "sl.u.<U160>"],
    "contentful": ["CFPAT-<U43>"],
    "typeform": ["tfp_<A44>_<A14>"],
    "readme": ["rdme_<a70>"],
    "frameio": ["fio-u-<E64>"],
    "adobe": ["p8e-<A32>"],
    "maxmind": ["<A6>_<A29>_mmk"],
    "mapbox": ["sk.eyJ<A90>.<U22>", "pk.eyJ<A90>.<U22>"],
    "settlemint": ["sm_aat_<A16>", "sm_pat_<A16>", "sm_sat_<A16>"],
    "rapidapi": ["<H10>msh<H15>p1<H6>jsn<H12>"],
    "okta": ["SSWS {00<U40>}"],
    "private-key": ["<PEM:RSA PRIVATE KEY>", "<PEM:PRIVATE KEY>", "<PEM:OPENSSH PRIVATE KEY>", "<PEM:PGP>"],
    "putty": ["PuTTY-User-Key-File-2: ssh-rsa\nPublic-Lines: 1\nAAAA\nPrivate-Lines: 2\n{<B64>\n<B40>}"],
    "age": ["AGE-SECRET-KEY-1<L58>"],
    "xprv": ["xprv<A107>"],
    "jwt": ["eyJ<A33>.eyJ<U120>.<U43>"],
    "jwe": ["eyJhbGciOi<A30>.<U80>.<U16>.<U200>.<U22>", "eyJlbmMiOi<A30>..<U16>.<U200>.<U22>"],
    "basic": ["Basic {<BASIC>}", "basic {<BASIC>}"],
    "basic-header": ["Authorization: Basic {<BASIC>}", '"auth": "{<BASIC>}"', "_auth={<BASIC>}"],
    "bearer": ["Bearer {<A40>}", "bearer {<U43>}", "BEARER {<H64>}", "Bearer {<A5000>}"],
    "authorization": [
        "Authorization: {<H40>}",
        "authorization: token {<A32>}",
        '"Authorization": "Key {<A24>:<A24>}"',
    ],
    "url-login": [
        "https://user:{<A20>}@host.example",
        "postgres://app:{<A16>}@db:5432/x",
        "redis://:{<A24>}@cache",
    ],
    "url-user": ["https://{<H40>}:x-oauth-basic@git.example/x.git", "https://{<H40>}@git.example/x.git"],
    "url-signature": [
        "https://b.s3.example/k?X-Amz-Date=1&X-Amz-Signature={<H64>}",
        "https://x.blob.example/c?sv=2022-11-02&sp=r&sig={<A43>%3D}",
    ],
    "azure-function": ["https://app.azurewebsites.net/api/run?code={<A54>==}"],
    "curl-login": [
        "curl -s https://api.example/x -u admin:{<A16>}",
        "curl --user 'me:{<A14>}' https://h.example",
    ],
    "mysql-login": ["mysql -u root -p{<A9>5x} shop", "mysqldump --user=me -p'{<A9>5x}' shop"],
    "registry-login": ["docker login -u me -p {<A12>7} registry.example", "helm registry login -p {<A12>7}"],
    "netrc": ["machine git.example login me password {<A20>}"],
    "sshpass": ["sshpass -p '{<A12>}' ssh me@host"],
    "sql-login": ["CREATE USER app WITH PASSWORD '{<A16>}'"],
    "cli-option": [
        "tool --password {<A1><P10>7x}",
        "tool --api-token {<H32>} run",
        "tool --client-secret {<H40>}",
    ],
    "aws-secret": [
        "aws_secret_access_key = {<B40>}",
        '"SecretAccessKey": "{<B40>}"',
        "AWS_SECRET_ACCESS_KEY={<B40>}",
        "ENV AWS_SECRET_ACCESS_KEY {<B40>}",
        "aws configure set aws_secret_access_key {<B40>}",
        "AWS Secret Access Key [None]: {<B40>}",
    ],
    "secret-name": [
        "CLIENT_SECRET={<H40>}",
        'client_secret: "{<H32>}"',
        "secret_key = '{<A28>!7}'",
        "client_secret={<A3000>}",
    ],
    "token-name": ["AUTH_TOKEN={<H40>}", '"access_token": "{<H64>}"', "token: {<UUID>}", "x?token={<H32>}"],
    "key-name": [
        "API_KEY={<H32>}",
        '"apiKey": "{<H40>}"',
        "AccountKey={<B86>==}",
        "X-Api-Key: {<UUID>}",
        'set("APP_API_KEY", "{<H32>}")',
        'algolia_key = "{<H32>}"',
    ],
    "described-value": [
        '"value": "{<A14>7!}", "name": "DB_PASSWORD"',
        "'Value': '{<H32>}', 'Key': 'API_TOKEN'",
    ],
    "password-name": [
        "DB_PASSWORD={<A12>7!}",
        'password: "{<A10>9#}"',
        '"dbPass": "{<A9>1?}"',
        "Server=db;User=a;Password={<A12>4!};Timeout=5",
        "<password>{<A12>5}</password>",
        "- name: DB_PASSWORD\n  value: {<A14>7!}",
        "PGPASSWORD='{<A13>8x!}' psql",
    ],
}


def draw(pattern: str, rng: Random) -> tuple[str, str]:
    """Return an example of a format and the secret in it."""
    text = pattern.replace("<BASIC>", _basic(rng))
    while "<UUID>" in text:
        text = text.replace("<UUID>", "-".join(_some("H", size, rng) for size in (8, 4, 4, 4, 12)), 1)
    text = re.sub(r"<PEM:([A-Z ]+)>", lambda match: _pem(match[1], rng), text)
    text = _PART.sub(lambda match: _some(match[1], int(match[2]), rng), text)
    if "{" not in text:
        return text, text
    before, secret, after = re.split("[{}]", text)
    return before + secret + after, secret


def _some(alphabet: str, size: int, rng: Random) -> str:
    """Return random characters, two kinds of them at least, as in any real token of this size."""
    letters = _ALPHABETS[alphabet]
    while True:
        text = "".join(rng.choices(letters, k=size))
        if size < 12 or len(letters) < 11 or alphabet == "X" or _is_fair(text):
            return text


def _is_fair(text: str) -> bool:
    return len(re.findall("[0-9]+", text)) > 1 and max(map(len, re.findall("[a-z]+|[A-Z]+", text))) < 8


def _basic(rng: Random) -> str:
    """Return Base64 of a login that has a digit early, as four of five have."""
    while True:
        text = base64.b64encode(f"user:{_some('A', 16, rng)}".encode()).decode()
        if not text[:16].isalpha():
            return text


def _pem(title: str, rng: Random) -> str:
    title = "PGP PRIVATE KEY BLOCK" if title == "PGP" else title
    lines = [_some("B", 64, rng) for _ in range(12)]
    frame = "-" * 5
    return "\n".join(
        [f"{frame}BEGIN {title}{frame}", *lines, _some("B", 30, rng) + "==", f"{frame}END {title}{frame}"]
    )
