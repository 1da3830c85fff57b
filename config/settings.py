"""The installation, from the environment.  A wrong or missing variable stops the start.

SIYU_ENV is `production` unless it says `demo` or `test`; those two may talk to the sandbox.
"""

import re
from datetime import timedelta
from pathlib import Path

import dj_database_url
from csp.constants import NONE, SELF, UNSAFE_EVAL, UNSAFE_INLINE
from django.urls import reverse_lazy

from config import channels
from config.embedded import celery_broker_url
from config.environment import names, number, optional, rate, stop, text

BASE_DIR = Path(__file__).resolve().parent.parent


# --- which installation -------------------------------------------------------------------------

SIYU_ENV = text("SIYU_ENV", "production")
if SIYU_ENV not in {"production", "demo", "test"}:
    stop(f"SIYU_ENV must be production, demo or test, not {SIYU_ENV!r}")
PRODUCTION = SIYU_ENV == "production"

SECRET_KEY = text("SECRET_KEY")
if PRODUCTION and len(SECRET_KEY) < 50:
    stop("SECRET_KEY is shorter than 50 signs")
DEBUG = False
ALLOWED_HOSTS = names("ALLOWED_HOSTS", "" if PRODUCTION else "127.0.0.1,localhost,testserver")
if PRODUCTION and not ALLOWED_HOSTS:
    stop("ALLOWED_HOSTS is not set (comma separated host names)")
CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS] if PRODUCTION else []
PUBLIC_URL = text("PUBLIC_URL", f"https://{ALLOWED_HOSTS[0]}" if PRODUCTION else "http://localhost")
LIVE_URL = text("LIVE_URL", PUBLIC_URL.replace("http", "ws", 1))

DATABASE_URL = text("DATABASE_URL")
REDIS_URL = text("REDIS_URL")

# --- the wiring: who answers whom, by dotted name -----------------------------------------------

# Who answers the cashier about each kind of thing that is paid for.  The only upward call.
PAYABLES = {
    "ORDER": "shop.payable",
    "TOPUP": "payments.wallet.payable",
    "GIFT_CARD": "payments.gift_cards.payable",
    "DEPOSIT": "payments.deposits.payable",
}
# Which adapter stands behind each way to pay.
PAYMENT_METHODS = {
    "BANK_TRANSFER": "payments.transfers.method",
    "WALLET": "payments.wallet.method",
}
if optional("WECHAT_PAY_MCHID"):
    PAYMENT_METHODS["WECHAT"] = "payments.wechat_pay.method"
if optional("ALIPAY_APP_ID"):
    PAYMENT_METHODS["ALIPAY_LINK"] = "payments.alipay.link"
    PAYMENT_METHODS["ALIPAY_QR"] = "payments.alipay.qr"
# The openid of a payer in our mini program; empty for who never logged in there.
PAYER_OPENID = "members.accounts.queries.openid_of"
# What buyers call a merchant, by its number.
MERCHANT_NAME = "members.merchants.queries.name_of"
# What buyers call the platform itself, where money is no merchant's: top-ups.
PLATFORM_NAME = text("PLATFORM_NAME", "平台")
# What a rule of the cashier may be about: the name of a merchant, of a category; "" for none.
RULES_ARE_ABOUT = {
    "merchant": MERCHANT_NAME,
    "category": "shop.catalog.queries.category_name",
}
# Above what amount (fen, by merchant) giving money back takes two people.
REFUND_LIMIT = "payments.transfers.queries.check_above_fen"
# What the criteria of the guarantee count, by merchant's number; one that is not in the answer has
# 0.  Deposits and ratings add theirs here, and a row to the table of criteria.
GUARANTEE_COUNTERS = {
    "TRADING": "members.guarantee.queries.is_trading",
    "OPEN_CASES": "shop.orders.queries.open_cases",
}
# Who else pays out of receiving accounts: marks of bookings that are theirs, for the statements.
OWN_PAYOUTS = ["payments.payouts.queries.known"]
# Who takes a part of a payment from its payer's wallet.
WALLET_PART = "payments.wallet.services.pay_part"
# The ledger account that a payout of ours leaves, by account, the bank's serial and fen.
PAYOUT_LEAVES = "payments.transfers.queries.payout_leaves"
# The platform certificates of WeChat Pay that were renewed and are good at a moment, as PEM.
WECHAT_CERTIFICATES = "payments.wechat_pay.queries.certificates"
# Who hears what WeChat Pay tells beside payments and refunds, by how the event begins.
WECHAT_NOTICES = {"MCHTRANSFER.": "payments.wallet.withdrawals.look_again"}
# What a guide's share code may open.
SHARE_TARGETS = {
    "MERCHANT": "members.merchants.share",
    "PRODUCT": "shop.catalog.share",
    "LIVE": "livestream.share",
}

# Who answers for which invariants; `manage.py audit`, the nightly job and the tests call all.
AUDITS = [
    "payments.ledger.queries.findings",
    "payments.cashier.queries.findings",
    "payments.receiving.queries.findings",
    "payments.transfers.queries.findings",
    "payments.payouts.queries.findings",
    "payments.deposits.queries.findings",
    "payments.closing.queries.findings",
    "payments.wechat_pay.queries.findings",
    "payments.alipay.queries.findings",
    "payments.wallet.queries.findings",
    "payments.gift_cards.queries.findings",
    "payments.offering.queries.findings",
    "payments.bills.queries.findings",
    "payments.carrier.queries.findings",
    "members.guarantee.queries.findings",
    "shop.inventory.queries.findings",
    "shop.orders.queries.findings",
    "shop.wechat_shipping.queries.findings",
    "livestream.queries.findings",
]

# --- Django -------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "unfold",
    "unfold.contrib.filters",
    "unfold.contrib.forms",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.postgres",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "knox",
    "axes",
    "config.kit",
    "payments",
    "members",
    "shop",
    "livestream",
]
MIDDLEWARE = [
    "config.kit.middleware.request_id",
    "config.health.probes",
    "config.kit.middleware.api_errors",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "config.kit.middleware.bounds",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "axes.middleware.AxesMiddleware",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
ASGI_APPLICATION = "config.asgi.application"
APPEND_SLASH = False
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "members.User"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "config" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

DATABASE_PREPARE = number("DATABASE_PREPARE", 3)
DATABASES = {"default": dict(dj_database_url.parse(DATABASE_URL))}
DATABASES["default"]["CONN_MAX_AGE"] = number("DATABASE_CONN_MAX_AGE", 600)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"].setdefault("OPTIONS", {})
DATABASES["default"]["OPTIONS"] |= {  # type: ignore[operator]
    "connect_timeout": 3,
    # Prepared on the server after three uses: a third of PostgreSQL's work was planning.  0: never,
    # for a pooler that does not know prepared statements.
    "server_side_binding": bool(DATABASE_PREPARE),
    "prepare_threshold": DATABASE_PREPARE or None,
    # A statement that hangs or waits for a lock must not hold a request for ever.
    "options": "-c statement_timeout=30s -c lock_timeout=5s"
    " -c idle_in_transaction_session_timeout=60s"
    # Tables in memory or on SSDs: a few thousand rows of a million are looked up, not searched for.
    " -c random_page_cost=1.1",
}
# Seconds a request waits for Redis before it goes on without it.
REDIS_TIMEOUT = 0.5

LANGUAGE_CODE = "zh-hans"  # without LocaleMiddleware: an English browser still sees Chinese
LOCALE_PATHS = [BASE_DIR / "config" / "locale"]
TIME_ZONE = "Asia/Shanghai"
USE_TZ = True

STATIC_URL = "/static/"
# Tests serve from the apps themselves; nothing is collected for them.
STATIC_ROOT = (
    None if SIYU_ENV == "test" else text("STATIC_ROOT", str(BASE_DIR / ".data" / "static"))
)
_STATIC = "whitenoise.storage.CompressedManifestStaticFilesStorage"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if SIYU_ENV == "test"
        else _STATIC
    },
}
WHITENOISE_USE_FINDERS = SIYU_ENV == "test"

# --- limits -------------------------------------------------------------------------------------

DATA_UPLOAD_MAX_MEMORY_SIZE = 1_048_576
MAX_UPLOAD_BYTES = 32 * 1_048_576
# Connections on which a worker imports one statement: while one waits, another computes.
IMPORT_LANES = number("IMPORT_LANES", 2)
# Wallets, in fen: what one top-up may be, and what a wallet may hold with all that is coming.
WALLET_TOP_UPS = {
    "least_fen": number("WALLET_TOP_UP_LEAST_FEN", 100),
    "most_fen": number("WALLET_TOP_UP_MOST_FEN", 200_000),
    "balance_fen": number("WALLET_MOST_FEN", 500_000),
}
# What may be taken out of one; above `check_fen` one of the staff approves.
WALLET_WITHDRAWALS = {
    "least_fen": number("WALLET_WITHDRAWAL_LEAST_FEN", 100),
    "most_fen": number("WALLET_WITHDRAWAL_MOST_FEN", 200_000),
    "day_fen": number("WALLET_WITHDRAWAL_DAY_FEN", 500_000),
    "day_times": number("WALLET_WITHDRAWAL_DAY_TIMES", 3),
    "check_fen": number("WALLET_WITHDRAWAL_CHECK_FEN", 100_000),
}
# Gift cards, in fen; in yuan where they are set.
GIFT_CARDS = {
    "least_fen": number("GIFT_CARD_LEAST_YUAN", 10) * 100,
    "most_fen": number("GIFT_CARD_MOST_YUAN", 1_000) * 100,
    "day_fen": number("GIFT_CARD_DAY_YUAN", 5_000) * 100,
    "held_fen": number("GIFT_CARD_HELD_YUAN", 5_000) * 100,
}
if GIFT_CARDS["most_fen"] > 1_000_00:
    stop("GIFT_CARD_MOST_YUAN: a card without a proven name holds at most 1000 yuan")
# Paths that begin so take larger ones: a statement of a million lines.
LARGE_UPLOADS = {
    "/api/v1/bank/statements": 512 * 1_048_576,
    "/admin/payments/statement/": 512 * 1_048_576,
}
DATA_UPLOAD_MAX_NUMBER_FIELDS = 2_000  # the admin's largest form

# --- safety -------------------------------------------------------------------------------------

PASSWORD_HASHERS = [
    "django.contrib.auth.hashers.Argon2PasswordHasher",
    "django.contrib.auth.hashers.PBKDF2PasswordHasher",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
]
AXES_FAILURE_LIMIT = 5
AXES_COOLOFF_TIME = timedelta(minutes=15)
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_IPWARE_PROXY_COUNT = number("PROXY_COUNT", 0)
# django-ipware is not installed; without this the proxy itself would be locked out.
AXES_CLIENT_IP_CALLABLE = "config.kit.limits.address_of"
AXES_VERBOSE = False
AXES_LOCKOUT_TEMPLATE = "admin/locked_out.html"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PRODUCTION
SECURE_SSL_REDIRECT = PRODUCTION
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if PRODUCTION else None
SECURE_HSTS_SECONDS = 31_536_000 if PRODUCTION else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = PRODUCTION
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [SELF],
        # Unfold's Alpine evaluates its attributes; the Swagger page has one inline script.
        "script-src": [SELF, UNSAFE_EVAL, UNSAFE_INLINE],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "base-uri": [SELF],
        "frame-ancestors": [NONE],
    }
}

# --- the API ------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    # Renderer, parser and permission are attributes of config.kit.api.View: DRF reads its own
    # defaults while `rest_framework.views` loads, which that module needs.
    "DEFAULT_AUTHENTICATION_CLASSES": ["members.accounts.auth.BearerToken"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_SCHEMA_CLASS": "config.kit.schema.Schema",
    "EXCEPTION_HANDLER": "config.kit.api.render_problem",
    "DEFAULT_THROTTLE_CLASSES": [],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
REST_KNOX = {
    "TOKEN_TTL": timedelta(days=30),
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_LIMIT_PER_USER": None,
    "AUTO_REFRESH": False,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Siyu API",
    "DESCRIPTION": "The backend of a WeChat mini-program shop. Money is integer fen, times carry "
    "an offset, ids are strings; errors are problem+json with a stable `code`.",
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_AUTHENTICATION": [],
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    "POSTPROCESSING_HOOKS": ["config.kit.schema.document_problems"],
    "PREPROCESSING_HOOKS": ["config.kit.schema.api_only"],
}

# --- jobs ---------------------------------------------------------------------------------------

CELERY_BROKER_URL = celery_broker_url(REDIS_URL)
CELERY_RESULT_BACKEND = None
CELERY_TASK_IGNORE_RESULT = True
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_TIME_LIMIT = 300
CELERY_TASK_SOFT_TIME_LIMIT = 240
CELERY_WORKER_SOFT_SHUTDOWN_TIMEOUT = 10.0
CELERY_WORKER_ENABLE_SOFT_SHUTDOWN_ON_IDLE = True
CELERY_WORKER_CANCEL_LONG_RUNNING_TASKS_ON_CONNECTION_LOSS = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {
    "visibility_timeout": 1800,  # longer than the longest task, always
    "global_keyprefix": "siyu:celery:",
    "socket_keepalive": True,
    "health_check_interval": 30,
}
CELERY_TIMEZONE = TIME_ZONE

# --- the outside world --------------------------------------------------------------------------

WECHAT_APPID = text("WECHAT_APPID")
WECHAT_SECRET = text("WECHAT_SECRET")
WECHAT_API_BASE_URL = text("WECHAT_API_BASE_URL", "https://api.weixin.qq.com")
if PRODUCTION and WECHAT_API_BASE_URL != "https://api.weixin.qq.com":
    stop("WECHAT_API_BASE_URL must not be set in production")

# What WeChat pushes (消息推送, 安全模式, JSON): its Token and EncodingAESKey; without: no hook.
WECHAT_PUSH_TOKEN = optional("WECHAT_PUSH_TOKEN")
WECHAT_PUSH_KEY = text("WECHAT_PUSH_KEY") if WECHAT_PUSH_TOKEN else ""
if WECHAT_PUSH_TOKEN and not re.fullmatch("[A-Za-z0-9]{43}", WECHAT_PUSH_KEY):
    stop("WECHAT_PUSH_KEY: the key has 43 letters and digits")
# Hours before WeChat's deadline at which an order whose shipping is not reported is an alarm.
WECHAT_SHIPPING_ALERT_HOURS = number("WECHAT_SHIPPING_ALERT_HOURS", 12)

WECHAT_PAY = channels.wechat_pay(PUBLIC_URL, is_production=PRODUCTION)
ALIPAY = channels.alipay(PUBLIC_URL, is_production=PRODUCTION)
# What each channel keeps of a payment, in per cent: its bills are held against it.
CHANNEL_FEE_PERCENT = {
    "wechat": rate("WECHAT_PAY_FEE_PERCENT", "0.6"),
    "alipay": rate("ALIPAY_FEE_PERCENT", "0.6"),
}
BANK_PROVIDERS = channels.banks(is_production=PRODUCTION)
CARRIER, CARRIER_SANDBOX = channels.carrier(is_production=PRODUCTION)
# Payouts to merchants.  Money goes to a changed bank account only after so many days; above the
# amount a payout takes two people; from which receiving account, "" for the platform's first.
# Every morning all is paid to who has at least so much; 0: merchants ask for it themselves.
PAYEE_PAUSE_DAYS = number("PAYEE_PAUSE_DAYS", 3)
PAYOUT_CHECK_ABOVE_FEN = number("PAYOUT_CHECK_ABOVE_YUAN", 10_000) * 100
PAYOUT_BATCH_ABOVE_FEN = number("PAYOUT_BATCH_ABOVE_YUAN", 0) * 100
PAYOUT_ACCOUNT = optional("PAYOUT_ACCOUNT")
# From which of our accounts at which of these banks wallets are paid out; empty: to no bank.
WALLET_PAYOUT_BANK = optional("WALLET_PAYOUT_BANK")
WALLET_PAYOUT_ACCOUNT = optional("WALLET_PAYOUT_ACCOUNT")
if WALLET_PAYOUT_BANK and (WALLET_PAYOUT_BANK not in BANK_PROVIDERS or not WALLET_PAYOUT_ACCOUNT):
    stop("WALLET_PAYOUT_BANK must be one of BANKS, and WALLET_PAYOUT_ACCOUNT an account there")
METRICS_TOKEN = optional("METRICS_TOKEN")  # without it /metrics answers on loopback only

# --- the admin ----------------------------------------------------------------------------------

FAVICON = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E"
    "%3Crect width='16' height='16' rx='3' fill='%239810fa'/%3E%3C/svg%3E"
)
UNFOLD = {
    "SITE_TITLE": "Siyu 私域",
    "SITE_HEADER": "Siyu 私域",
    "SITE_SUBHEADER": "小程序商城后台",
    "SITE_SYMBOL": "storefront",
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _: FAVICON}],
    "SITE_URL": None,
    "SHOW_HISTORY": True,
    "BORDER_RADIUS": "6px",
    "DASHBOARD_CALLBACK": "config.dashboard.dashboard",
    "LOGIN": {"redirect_after": lambda request: reverse_lazy("admin:index")},
    "SIDEBAR": {
        "show_search": True,
        "show_all_applications": False,
        "navigation": "config.sidebar.navigation",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s: %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": text("LOG_LEVEL", "WARNING")},
    # A refusal is an answer: a rush of buyers must not become a rush of log lines.
    "loggers": {"django.request": {"level": "ERROR"}},
}
