"""Published credential formats: what `redact` looks for once a literal was found.

Loaded only then. Each row: name, family (the word that stays in the placeholder), literals (at least
one stands in every match), pattern, checks, source. Patterns are compiled one by one when their
literal occurs, without Unicode classes (`re.ASCII`). None nests quantifiers and all are bounded, so
matching is linear; where the vendor's length is exact but test tokens vary, the minimum is lower.

- The secret is the group that took part in the match, or all of it when the pattern has none.
- Literals in lower case without a separator (`pass`, `key`, ...) are *stems*: the pattern of their rows is
  what follows the stem, in lower case, and matches in any letter case.
- Checks are names from `matching.CHECKS`; `word` wants the start of a word before the match.
"""

from __future__ import annotations

from moai_patterns.collect.named_rules import NAMED

SOURCES = {
    "age": "https://github.com/C2SP/C2SP/blob/main/age.md",
    "aiven": "https://aiven.io/docs/",
    "aws": "https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_identifiers.html",
    "axiom": "https://axiom.co/docs/reference/tokens",
    "azure": "https://learn.microsoft.com/azure/storage/common/storage-configure-connection-string",
    "betterleaks": "https://github.com/betterleaks/betterleaks/tree/main/cmd/generate/config/rules",
    "bip32": "https://github.com/bitcoin/bips/blob/master/bip-0032.mediawiki",
    "cloudflare": "https://developers.cloudflare.com/fundamentals/api/get-started/token-formats/",
    "detect-secrets": "https://github.com/Yelp/detect-secrets/tree/master/detect_secrets/plugins",
    "dynatrace": "https://docs.dynatrace.com/docs/manage/identity-access-management/access-tokens-and-oauth-clients",
    "fireworks": "https://docs.fireworks.ai/",
    "github": "https://docs.github.com/authentication/keeping-your-account-and-data-secure/about-authentication-to-github",
    "github-list": "https://docs.github.com/code-security/secret-scanning/introduction/supported-secret-scanning-patterns",
    "gitlab": "https://docs.gitlab.com/security/tokens/#token-prefixes",
    "gitleaks": "https://github.com/gitleaks/gitleaks/blob/master/config/gitleaks.toml",
    "google": "https://developers.google.com/identity/protocols/oauth2",
    "google-hmac": "https://cloud.google.com/storage/docs/authentication/hmackeys",
    "hashicorp": "https://developer.hashicorp.com/vault/docs/concepts/tokens",
    "honeycomb": "https://docs.honeycomb.io/configure/environments/manage-api-keys/",
    "kingfisher": "https://github.com/mongodb/kingfisher/tree/main/crates/kingfisher-rules/data/rules",
    "launchdarkly": "https://launchdarkly.com/docs/home/account/environment/keys",
    "logfire": "https://logfire.pydantic.dev/docs/how-to-guides/create-write-tokens/",
    "mercadopago": "https://www.mercadopago.com/developers/en/docs/your-integrations/credentials",
    "noseyparker": "https://github.com/praetorian-inc/noseyparker/tree/main/crates/noseyparker/data/default/builtin/rules",
    "patterns-db": "https://github.com/mazen160/secrets-patterns-db/blob/master/db/rules-stable.yml",
    "putty": "https://the.earth.li/~sgtatham/putty/latest/htmldoc/AppendixC.html",
    "rfc3986": "https://www.rfc-editor.org/rfc/rfc3986#section-3.2.1",
    "rfc6750": "https://www.rfc-editor.org/rfc/rfc6750#section-2.1",
    "rfc7468": "https://www.rfc-editor.org/rfc/rfc7468",
    "rfc7516": "https://www.rfc-editor.org/rfc/rfc7516",
    "rfc7519": "https://www.rfc-editor.org/rfc/rfc7519",
    "rfc7617": "https://www.rfc-editor.org/rfc/rfc7617",
    "slack": "https://docs.slack.dev/authentication/tokens",
    "tailscale": "https://tailscale.com/kb/1277/key-prefixes",
    "trufflehog": "https://github.com/trufflesecurity/trufflehog/tree/main/pkg/detectors",
    "vercel": "https://vercel.com/changelog/new-token-formats-and-secret-scanning",
}

_SHORT = {
    "<a>": "[A-Za-z0-9]",
    "<h>": "[0-9a-f]",
    "<end>": "(?![A-Za-z0-9])",
    "<uuid>": "[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}",
}

# name, family, source, checks, literals, pattern; an indented line goes on with the one before
_TABLE = r"""
# AI services
anthropic          anthropic    gitleaks    mixed      sk-ant- sk-ant-[\w-]{20,300}
openai-project     openai       gitleaks    mixed      sk-proj- sk-proj-[\w-]{20,300}
openai-account     openai       gitleaks    word,mixed sk-svcacct-,sk-admin-,sk-None-
    sk-(?:svcacct|admin|None)-[\w-]{40,300}
sk-key             openai       kingfisher  word,mixed sk- sk-<a>{32,64}<end>
openrouter         openrouter   betterleaks -          sk-or-v1- sk-or-v1-<a>{40,80}
langfuse           langfuse     betterleaks -          sk-lf- sk-lf-<uuid>
huggingface        huggingface  gitleaks    word       hf_ hf_<a>{34,40}<end>
huggingface-org    huggingface  gitleaks    -          api_org_ api_org_<a>{34}
groq               groq         gitleaks    -          gsk_ gsk_<a>{40,64}
replicate          replicate    betterleaks word       r8_ r8_<a>{37,40}
perplexity         perplexity   gitleaks    -          pplx- pplx-<a>{40,64}
xai                xai          betterleaks word,mixed xai- xai-[\w-]{70,120}
langsmith          langsmith    gitleaks    -          lsv2_pt_,lsv2_sk_ lsv2_[ps][tk]_<h>{32}_<h>{10}
pinecone           pinecone     kingfisher  -          pcsk_ pcsk_<a>{4,8}_<a>{50,80}
nvidia             nvidia       kingfisher  -          nvapi- nvapi-[\w-]{60,70}
cerebras           cerebras     betterleaks word,mixed csk- csk-[a-z0-9]{40,48}
fireworks          fireworks    fireworks   word,mixed fw_ fw_<a>{20,40}<end>
together           together     betterleaks -          tgp_v1_ tgp_v1_[\w-]{40,50}
tavily             tavily       kingfisher  mixed      tvly- tvly-[A-Za-z0-9-]{20,60}
firecrawl          firecrawl    noseyparker word       fc- fc-<h>{32}<end>
elevenlabs         elevenlabs   kingfisher  word       sk_ sk_<h>{48}<end>
voyage             voyage       kingfisher  word,random pa- pa-[\w-]{43}(?![\w-])
jina               jina         kingfisher  -          jina_ jina_<a>{60}
apify              apify        kingfisher  -          apify_api_ apify_api_<a>{34,40}
runpod             runpod       betterleaks word       rpa_ rpa_[A-Z0-9]{40}<a>{6}
cursor             cursor       kingfisher  word,mixed key_ key_[0-9a-z]{64}<end>
posthog            posthog      kingfisher  word       phx_,phs_,pha_,phr_ ph[xsar]_<a>{40,50}
logfire            logfire      logfire     -          pylf_v1_,pylf_v2_
    pylf_v\d_[a-z]{2,8}_[A-Za-z0-9_]{40,60}
bedrock            bedrock      gitleaks    word       ABSK ABSK[A-Za-z0-9+]{12}[A-Za-z0-9+/]{90,300}={0,2}
bedrock-short      bedrock      gitleaks    -          bedrock-api-key-
    bedrock-api-key-[A-Za-z0-9+/=]{20,4000}
# Clouds and hosting
aws-key-id         aws          aws         word       AKIA,ASIA,ABIA,ACCA A(?:KI|SI|BI|CC)A[A-Z0-9]{16}<end>
aws-pair           aws          aws         word,mixed AKIA,ASIA
    A(?:KI|SI)A[A-Z0-9]{16}["']?[\s,;:|]{1,4}["']?([A-Za-z0-9/+]{40})(?![A-Za-z0-9/+=])
aws-session        aws          aws         word       IQoJb3JpZ2lu IQoJb3JpZ2lu<a>{4}[A-Za-z0-9+/=%]{60,4000}
aws-session-old    aws          aws         word       FwoGZXIvYXdz,FQoGZXIvYXdz
    F[wQ]oGZXIvYXdz<a>{4}[A-Za-z0-9+/=%]{60,4000}
aws-mws            aws          patterns-db    -          amzn.mws. amzn\.mws\.<uuid>
aws-appsync        aws          patterns-db word,mixed da2- da2-[a-z0-9]{26}(?![a-z0-9])
google-api-key     google       gitleaks    word       AIza AIza[\w-]{35}(?![\w-])
google-gemini      google       betterleaks word       AQ.Ab8RN6 AQ\.Ab8RN6[\w-]{40,48}
google-oauth-secret google       github-list -          GOCSPX- GOCSPX-[\w-]{24,40}
google-access      google       noseyparker word       ya29. ya29\.[\w-]{20}[\w.-]{0,2000}
google-refresh     google       google      word,mixed 1//0 1//0[\w-]{38,250}
google-hmac        google       google-hmac word,mixed GOOG GOOG[A-Z0-9]{20,58}<end>
firebase-server    google       github-list -          :APA91b AAAA[\w-]{7}:APA91b[\w-]{100,200}
azure-client       azure        gitleaks    word       Q~ [\w~.]{3}\dQ~[\w~.-]{31,34}(?![\w~-])
azure-devops       azure        kingfisher  word       AZDO <a>{76}AZDO<a>{4}<end>
digitalocean       digitalocean gitleaks    -          dop_v1_,doo_v1_,dor_v1_ do[por]_v1_<h>{64}
alibaba            alibaba      gitleaks    word,mixed LTAI LTAI<a>{12,26}<end>
tencent            tencent      github-list word       AKID AKID<a>{32}<end>
yandex-key         yandex       gitleaks    word       AQVN AQVN[\w-]{35,38}(?![\w-])
yandex-iam         yandex       gitleaks    word       t1. t1\.[\w-]{20,500}={0,2}\.[\w-]{86}={0,2}
yandex-oauth       yandex       github-list word,mixed y0_,y1_,y2_,y3_ y[0-3]_[\w-]{50,64}
cloudflare-origin  cloudflare   gitleaks    -          v1.0- v1\.0-[0-9a-z]{24,64}-[0-9a-z-]{100,250}
cloudflare-token   cloudflare   cloudflare  word,mixed cfut_,cfat_,cfk_ cf(?:ut|at|k)_[\w-]{40,64}
heroku             heroku       gitleaks    -          HRKU- HRKU-[\w-]{36,66}
fly-org            fly          gitleaks    word       fo1_ fo1_[\w-]{43}
fly-macaroon       fly          gitleaks    word       fm1a_,fm1r_,fm2_
    fm(?:1[ar]|2)_[A-Za-z0-9+]{12}[A-Za-z0-9+/]{80,2000}={0,3}
netlify            netlify      kingfisher  word       nfp_ nfp_<a>{36,48}
render             render       betterleaks word,mixed rnd_ rnd_<a>{28,80}
vercel             vercel       vercel      word,mixed vcp_,vci_,vca_,vcr_,vck_ vc[piark]_[\w-]{50,60}
supabase           supabase     kingfisher  word       sbp_ sbp_(?:v0_)?<h>{40}
supabase-secret    supabase     kingfisher  word,mixed sb_secret_ sb_secret_[\w-]{20,48}
planetscale        planetscale  gitleaks    -          pscale_tkn_,pscale_pw_,pscale_oauth_
    pscale_(?:tkn|pw|oauth)_[\w=-]{9}[\w=.-]{23,64}
databricks         databricks   gitleaks    word       dapi dapi<h>{32}(?:-\d)?<end>
mongodb-atlas      mongodb      kingfisher  -          mdb_sa_sk_ mdb_sa_sk_[\w-]{40}
cockroach          cockroach    kingfisher  -          CCDB1_ CCDB1_<a>{22}_<a>{40}
neon               neon         betterleaks word,mixed napi_ napi_<a>{40,80}
aiven              aiven        aiven       word       AVNS_ AVNS_[\w-]{19}(?![\w-])
clickhouse         clickhouse   gitleaks    word       4b1d 4b1d<a>{38}<end>
tailscale          tailscale    tailscale   -          tskey- tskey-(?:[a-z]{2,20}-)?\w{6,40}-\w{16,64}
scalingo           scalingo     gitleaks    word       tk-us- tk-us-[\w-]{48}
openshift          openshift    gitleaks    -          sha256~ sha256~[\w-]{43}(?![\w-])
# Git hosts
github-personal    github       github      -          ghp_ ghp_<a>{30,255}
github-oauth       github       github      -          gho_ gho_<a>{30,255}
github-user        github       github      -          ghu_ ghu_<a>{30,255}
github-server      github       github      -          ghs_ ghs_<a>{30,255}
github-refresh     github       github      -          ghr_ ghr_<a>{30,255}
github-fine-grained github       github      mixed      github_pat_ github_pat_\w{36,255}
gitlab-personal    gitlab       gitlab      -          glpat-
    glpat-[\w-]{20,300}(?:\.[0-9a-z]{2}\.?[0-9a-z]{7,9})?
gitlab-oauth-app   gitlab       gitlab      -          gloas- gloas-[\w-]{64}
gitlab-deploy      gitlab       gitlab      -          gldt- gldt-[\w-]{20,64}
gitlab-runner      gitlab       gitlab      -          glrt-,glrtr- glrtr?-[\w-]{20,300}(?:\.[0-9a-z]{9,12})?
gitlab-ci-job      gitlab       gitlab      -          glcbt- glcbt-[\w-]{20,300}
gitlab-trigger     gitlab       gitlab      -          glptt- glptt-[\w-]{20,64}
gitlab-feed        gitlab       gitlab      -          glft- glft-[\w-]{20,64}
gitlab-mail        gitlab       gitlab      -          glimt- glimt-[\w-]{25,64}
gitlab-agent       gitlab       gitlab      -          glagent- glagent-[\w-]{50,1024}
gitlab-workspace   gitlab       gitlab      -          glwt- glwt-[\w-]{20,64}
gitlab-scim        gitlab       gitlab      -          glsoat- glsoat-[\w-]{20,64}
gitlab-flags       gitlab       gitlab      -          glffct- glffct-[\w-]{20,64}
gitlab-registration gitlab       gitlab      -          GR1348941 GR1348941[\w-]{20}
gitlab-cookie      gitlab       gitlab      -          _gitlab_session= _gitlab_session=([0-9a-z]{32})
bitbucket          bitbucket    trufflehog  word       ATBB ATBB<a>{28,40}<end>
atlassian          atlassian    gitleaks    word       ATATT3,ATCTT3 AT[AC]TT3[\w=.-]{40,300}
trello             trello       trufflehog  word       ATTA ATTA<h>{64,80}
sourcegraph        sourcegraph  gitleaks    word       sgp_ sgp_(?:[A-Fa-f0-9]{16}_|local_)?[A-Fa-f0-9]{40}
# CI, infrastructure, monitoring
circleci           circleci     kingfisher  -          CCIPAT_,CCIPRJ_ CCIP(?:AT|RJ)_<a>{22}_<h>{40}
buildkite          buildkite    kingfisher  -          bkua_ bkua_[0-9a-z]{40,64}
harness            harness      gitleaks    word       pat.,sat. [ps]at\.[\w-]{22}\.<a>{24}\.<a>{20}
vault-old          vault        hashicorp   word,mixed s. s\.<a>{24}(?![\w.-])
octopus            octopus      gitleaks    word,mixed API- API-[A-Z0-9]{25,27}<end>
terraform          terraform    gitleaks    -          .atlasv1. <a>{14}\.atlasv1\.[\w=-]{60,70}
vault              vault        gitleaks    word,mixed hvs.,hvb.,hvr. hv[sbr]\.[\w-]{24,300}
pulumi             pulumi       gitleaks    word       pul- pul-<h>{40}
doppler            doppler      gitleaks    word       dp.pt.,dp.st.,dp.ct.,dp.sa.,dp.scim.,dp.audit.
    dp\.(?:pt|st|ct|sa|scim|audit)\.(?:[a-z0-9_-]{2,16}\.)?<a>{40,44}
1password-account  1pw          gitleaks    word       ops_eyJ
    ops_eyJ[A-Za-z0-9+]{16}[A-Za-z0-9+/]{80,3000}={0,3}
1password-key      1pw          gitleaks    word       A3-
    A3-[A-Z0-9]{6}-(?:[A-Z0-9]{11}|[A-Z0-9]{6}-[A-Z0-9]{5})(?:-[A-Z0-9]{5}){3}
sonar              sonar        noseyparker word       squ_,sqp_,sqa_ sq[upa]_<h>{40}
sentry-org         sentry       gitleaks    -          sntrys_ sntrys_[A-Za-z0-9+=_]{9}[A-Za-z0-9+/=_]{50,700}
sentry-user        sentry       gitleaks    -          sntryu_ sntryu_<h>{64}
grafana-service    grafana      gitleaks    -          glsa_ glsa_<a>{32}_[A-Fa-f0-9]{8}
grafana-cloud      grafana      gitleaks    word,mixed glc_ glc_[A-Za-z0-9+]{12}[A-Za-z0-9+/]{20,400}={0,3}
grafana-legacy     grafana      gitleaks    word       eyJrIjoi
    eyJrIjoi[A-Za-z0-9+]{8}[A-Za-z0-9+/]{50,400}={0,3}
newrelic-user      newrelic     gitleaks    -          NRAK- NRAK-<a>{27}
newrelic-browser   newrelic     gitleaks    -          NRJS- NRJS-<h>{19}
newrelic-insert    newrelic     gitleaks    -          NRII- NRII-[\w-]{32}
newrelic-license   newrelic     github-list word       NRAL <h>{36}NRAL<end>
dynatrace          dynatrace    dynatrace   -          dt0c01.,dt0s01.,dt0s02.,dt0s03.,dt0s16.
    dt0[cs]\d\d\.<a>{8,24}\.<a>{64}
honeycomb          honeycomb    honeycomb   -          hcaik_,hcaic_ hcai[kc]_<a>{58}
launchdarkly       launchdarkly launchdarkly word       sdk-,api-,mob- (?:sdk|api|mob)-<uuid>
postman            postman      gitleaks    -          PMAK- PMAK-<h>{24}-<h>{34}
axiom              axiom        axiom       word       xaat-,xapt- xa[ap]t-<uuid>
prefect            prefect      gitleaks    word       pnu_,pnb_ pn[ub]_<a>{36}
infracost          infracost    gitleaks    word,mixed ico- ico-<a>{32}<end>
defined-networking defined      gitleaks    -          dnkey- dnkey-[\w=-]{26}-[\w=-]{52}
stackhawk          stackhawk    noseyparker word,mixed hawk. hawk\.[\w-]{20}\.[\w-]{20}(?![\w-])
intra42            intra42      gitleaks    -          s-s4t2ud-,s-s4t2af- s-s4t2(?:ud|af)-<h>{64}
# Package indexes
npm                npm          gitleaks    word       npm_ npm_<a>{36}<end>
pypi               pypi         gitleaks    -          pypi-AgE pypi-AgE[\w-]{50,1000}
rubygems           rubygems     gitleaks    -          rubygems_ rubygems_<h>{48}
crates             crates       noseyparker word,mixed cio cio<a>{32}<end>
nuget              nuget        noseyparker word       oy2 oy2[a-z0-9]{43}<end>
clojars            clojars      gitleaks    -          CLOJARS_ CLOJARS_<a>{60}
packagist          packagist    kingfisher  -          packagist_
    packagist_(?:ac[ks]|o[ru]t|[uc]ut)_<h>{28,100}
jfrog              jfrog        gitleaks    word       AKCp AKCp<a>{60,80}
jfrog-reference    jfrog        gitleaks    word       cmVmd cmVmd<a>{59}<end>
docker             docker       betterleaks -          dckr_pat_,dckr_oat_ dckr_[po]at_[\w-]{24,40}
deno               deno         betterleaks word       ddp_,ddw_ dd[pw]_<a>{36}
# Payment and trade
stripe             stripe       gitleaks    -          sk_live_,sk_test_,sk_prod_,rk_live_,rk_test_,rk_prod_
    [sr]k_(?:live|test|prod)_<a>{16,250}
stripe-webhook     stripe       github-list word       whsec_ whsec_[A-Za-z0-9+]{12}[A-Za-z0-9+/=]{12,80}
square-access      square       gitleaks    -          sq0atp- sq0atp-[\w-]{22,60}
square-client      square       detect-secrets -          sq0csp- sq0csp-[\w-]{40,60}
square-token       square       gitleaks    word       EAAA EAAA[\w-]{56,60}(?![\w-])
braintree          braintree    gitleaks    -          $production$,$sandbox$
    access_token\$(?:production|sandbox)\$[0-9a-z]{16}(?:\$<h>{32})?
shopify-access     shopify      gitleaks    -          shpat_ shpat_[A-Fa-f0-9]{32}
shopify-custom     shopify      gitleaks    -          shpca_ shpca_[A-Fa-f0-9]{32}
shopify-private    shopify      gitleaks    -          shppa_ shppa_[A-Fa-f0-9]{32}
shopify-shared     shopify      gitleaks    -          shpss_ shpss_[A-Fa-f0-9]{32}
flutterwave        flutterwave  gitleaks    -          FLWSECK-,FLWSECK_TEST-
    FLWSECK(?:_TEST)?-<a>{12,32}(?:-X)?
plaid              plaid        gitleaks    -          access-sandbox-,access-development-,access-production-
    access-(?:sandbox|development|production)-<uuid>
duffel             duffel       gitleaks    -          duffel_test_,duffel_live_
    duffel_(?:test|live)_[\w=-]{43}
easypost           easypost     gitleaks    word       EZAK,EZTK EZ[AT]K<a>{54}<end>
shippo             shippo       gitleaks    -          shippo_live_,shippo_test_
    shippo_(?:live|test)_[A-Fa-f0-9]{40}
live-key           payment      gitleaks    word,random live_,test_ (?:live|test)_<a>{30,40}(?![\w-])
paddle             paddle       betterleaks -          pdl_live_,pdl_sdbx_ pdl_(?:live|sdbx)_\w{40,80}
xendit             xendit       betterleaks -          xnd_production_,xnd_development_
    xnd_(?:production|development)_<a>{40,80}
mercadopago        mercadopago  mercadopago -          APP_USR- APP_USR-\d{10,20}-\d{6}-<h>{32}-\d{5,12}
# Chat, mail, social
slack-bot          slack        slack       mixed      xoxb- xoxb-[\w-]{16,200}
slack-user         slack        slack       mixed      xoxp- xoxp-[\w-]{16,200}
slack-other        slack        gitleaks    mixed      xoxa-,xoxr-,xoxs-,xoxo-,xoxc- xox[arsoc]-[\w-]{16,200}
slack-cookie       slack        kingfisher  mixed      xoxd- xoxd-[\w%+=-]{12}[\w%/+=-]{8,300}
slack-refresh      slack        slack       mixed      xoxe-,xoxe.xoxb-,xoxe.xoxp-
    xoxe(?:\.xox[bp])?-[\w-]{20,300}
slack-app          slack        slack       -          xapp- xapp-\d-[A-Za-z0-9-]{20,200}
slack-webhook      webhook      gitleaks    -          ://
    ://hooks\.slack(?:-gov)?\.com/(?:services|workflows|triggers)/([A-Za-z0-9+/]{20,90})
discord-webhook    webhook      trufflehog  -          ://
    ://(?:ptb\.|canary\.)?discord(?:app)?\.com/api/(?:v\d{1,2}/)?webhooks/(\d{17,20}/[\w-]{50,90})
teams-webhook      webhook      gitleaks    -          ://
    ://[a-z0-9-]{1,60}\.webhook\.office\.com/webhookb2/([\w@/-]{80,300})
zapier-webhook     webhook      trufflehog  -          ://
    ://hooks\.zapier\.com/hooks/catch/([0-9]{4,10}/\w{5,12})
discord-bot        discord      detect-secrets word       MT,Mj,Mz,ND,NT,Nj,Nz,OD,OT
    [MNO][DTjz]<a>{20,26}\.[\w-]{6}\.[\w-]{27,40}(?![\w-])
telegram           telegram     detect-secrets -          :AA [0-9]{8,10}:AA[\w-]{33}(?![\w-])
sendgrid           sendgrid     gitleaks    word,mixed SG. SG\.[\w-]{16,32}\.[\w-]{16,64}
brevo              brevo        gitleaks    -          xkeysib-,xsmtpsib- x(?:key|smtp)sib-<h>{64}-<a>{16}
mailgun            mailgun      gitleaks    word       key- key-<h>{32}<end>
mailgun-public     mailgun      gitleaks    word       pubkey- pubkey-<h>{32}<end>
mailchimp          mailchimp    gitleaks    word       -us <h>{32}-us\d{1,2}<end>
resend             resend       betterleaks word,mixed re_ re_<a>{8}_<a>{20,30}(?!\w)
twilio             twilio       gitleaks    word       SK SK<h>{32}<end>
telnyx             telnyx       kingfisher  word       KEY KEY[0-9A-F]{32}_<a>{22}
facebook           facebook     gitleaks    word,mixed EAA EAA<a>{80,400}(?![\w+/=])
twitter            twitter      gitleaks    word       AAAAAAAAAAAAAAAAAAAAA
    A{21,24}<a>{2,60}%[A-Za-z0-9%]{30,90}
# Other services
figma              figma        kingfisher  word       figd_ figd_[\w-]{38,44}
notion             notion       gitleaks    word       ntn_ ntn_[0-9]{11}<a>{35}
notion-old         notion       trufflehog  word,mixed secret_ secret_<a>{43}(?!\w)
linear             linear       gitleaks    -          lin_api_,lin_oauth_ lin_(?:api|oauth)_<a>{32,80}
airtable           airtable     gitleaks    word       pat pat<a>{14}\.<h>{64}
clickup            clickup      kingfisher  word       pk_ pk_\d{6,9}_[A-Z0-9]{32}
hubspot            hubspot      trufflehog  word       pat-na1-,pat-na2-,pat-eu1-,pat-ap1-
    pat-(?:na|eu|ap)[12]-<uuid>
dropbox            dropbox      kingfisher  word       sl. sl\.(?:[a-z]\.)?[\w-]{100,2000}
contentful         contentful   trufflehog  -          CFPAT- CFPAT-[\w-]{43}
typeform           typeform     gitleaks    word,mixed tfp_ tfp_[\w=-]{12}[\w=.-]{28,64}
readme             readme       gitleaks    -          rdme_ rdme_[a-z0-9]{70}
frameio            frameio      gitleaks    -          fio-u- fio-u-[\w=-]{64}
adafruit           adafruit     patterns-db word       aio_ aio_<a>{28}<end>
adobe              adobe        gitleaks    word       p8e- p8e-<a>{32}<end>
maxmind            maxmind      gitleaks    word       _mmk <a>{6}_<a>{29}_mmk(?!\w)
mapbox             mapbox       gitleaks    word       .eyJ [spt]k\.eyJ[\w-]{20,400}\.[\w-]{16,64}
settlemint         settlemint   gitleaks    word       sm_aat_,sm_pat_,sm_sat_ sm_[aps]at_<a>{16}
rapidapi           rapidapi     trufflehog  -          jsn
    [0-9a-z]{10}msh[0-9a-z]{15}p1[0-9a-z]{6}jsn[0-9a-z]{12}
okta               okta         detect-secrets mixed      SSWS SSWS {1,3}([\w-]{38,44})
"""


def _rows(table: str) -> tuple[tuple[str, str, str, str, str, str], ...]:
    for short, pattern in _SHORT.items():
        table = table.replace(short, pattern)
    rows = []
    for line in table.replace("\n    ", " ").splitlines():
        if line and not line.startswith("#"):
            name, family, source, checks, literals, pattern = line.split(None, 5)
            rows.append(
                (
                    name,
                    family,
                    literals.replace(",", " "),
                    pattern,
                    checks.strip("-").replace(",", " "),
                    source,
                )
            )
    return tuple(rows)


RULES = _rows(_TABLE) + NAMED
