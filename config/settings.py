"""All settings, read from the environment. With nothing set, the embedded database is used."""

from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config import environment

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = environment.folder("COSTPRISM_DATA_DIR", default=BASE_DIR / "var")
EMBEDDED = environment.unset("DATABASE_URL")  # run a PostgreSQL of our own, in DATA_DIR

DEBUG = environment.flag("DEBUG")
ALLOWED_HOSTS = environment.hosts("ALLOWED_HOSTS", default=["*"] if EMBEDDED else [])
CSRF_TRUSTED_ORIGINS = environment.origins("CSRF_TRUSTED_ORIGINS")
SECRET_KEY = environment.secret("SECRET_KEY")
SECRET_KEY_FALLBACKS = environment.secrets("SECRET_KEY_FALLBACKS")

database: dict[str, Any]
if EMBEDDED:
    SECRET_KEY = SECRET_KEY or environment.kept_secret(DATA_DIR / "secret_key")
    database = {"ENGINE": "config.embedded", "NAME": "costprism"}
else:
    if DEBUG:
        raise ImproperlyConfigured("DEBUG must be off when DATABASE_URL is set")
    if not SECRET_KEY:
        raise ImproperlyConfigured("SECRET_KEY must be set when DATABASE_URL is set")
    if not ALLOWED_HOSTS:
        raise ImproperlyConfigured("ALLOWED_HOSTS must be set when DATABASE_URL is set")
    database = environment.database("DATABASE_URL")

# Taking a connection from a pool halves the cost of a request (9.6 k or 17.4 k events/s). A thread
# needs one at a time; `serve` raises max_size when it is asked for more threads than that.
# After an outage it would wait as long again as the outage lasted: it gives up after 2 s instead,
# and the next request tries anew. Who waits for it then waits in vain, so not for much longer: with
# 10 s, they were answered 503 when PostgreSQL, killed under load, had been back for 6 s.
POOL = {"min_size": 1, "max_size": 8, "timeout": 3, "reconnect_timeout": 2}
DATABASES = {
    "default": {
        **database,
        "CONN_MAX_AGE": 0,  # connections live in the pool, not in the thread
        "CONN_HEALTH_CHECKS": True,  # so a restart of PostgreSQL costs no request
        "OPTIONS": {"connect_timeout": 10, **database.get("OPTIONS", {}), "pool": POOL},
    }
}

# A question that would take longer is cancelled, and answered 503: it may not hold a connection,
# and the processors, for as long as it likes.
QUERY_TIMEOUT = environment.seconds("QUERY_TIMEOUT", default=30)

# What an address may get wrong in a minute. Keys have 190 bits: this spares the database.
BAD_KEYS_PER_MINUTE = 120
LOGINS_PER_MINUTE = 10

# /metrics answers to `Authorization: Bearer` with this token; without one it does not exist.
METRICS_TOKEN = environment.secret("METRICS_TOKEN")
# USD at stake in a day, below which nothing is an anomaly.
ANOMALY_MINIMUM = environment.amount("ANOMALY_MINIMUM_USD", default="5")

# Behind a proxy that speaks TLS and sets X-Forwarded-Proto (and drops a client's own).
BEHIND_TLS_PROXY = environment.flag("BEHIND_TLS_PROXY")
if BEHIND_TLS_PROXY:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    SECURE_SSL_REDIRECT = True
    SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]  # probes come without the proxy
    SECURE_HSTS_SECONDS = 365 * 24 * 3600
    SESSION_COOKIE_SECURE = True
    CSRF_COOKIE_SECURE = True
# HSTS for subdomains and preloading speak for hosts which are not ours.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "config.logs.JSONFormatter"}},
    "filters": {
        "no fault": {
            "()": "django.utils.log.CallbackFilter",
            "callback": lambda record: getattr(record, "status_code", 500) != 501,
        }
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["stderr"], "level": environment.log_level("LOG_LEVEL")},
    "loggers": {
        # Django's own handlers (mail to admins, a console only in debug) would drop or repeat it.
        "django": {"handlers": [], "propagate": True},
        # A client's 4xx is the client's to read, and so is that a question has no answer here.
        "django.request": {"level": "ERROR", "filters": ["no fault"]},
    },
}

INSTALLED_APPS = [
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config",
    "analytics",
    "events",
    "apikeys",
]

MIDDLEWARE = [
    "config.middleware.RequestId",
    "config.middleware.Measured",
    "config.middleware.ContentSecurity",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
APPEND_SLASH = False

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
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

DEFAULT_AUTO_FIELD = "django.db.models.AutoField"
LANGUAGE_CODE = "en-us"
TIME_ZONE = "UTC"
USE_TZ = True
STATIC_URL = "static/"
# Served from where the packages keep them: no collectstatic step, nothing to forget.
WHITENOISE_USE_FINDERS = True

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["apikeys.authentication.BearerKey"],
    "DEFAULT_PERMISSION_CLASSES": ["apikeys.authentication.HasScope"],
    "DEFAULT_THROTTLE_CLASSES": [],
    "DEFAULT_RENDERER_CLASSES": ["config.rendering.JSONRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "config.rendering.JSONAlways",
    "DEFAULT_SCHEMA_CLASS": "config.openapi.schema.OperationSchema",
    "EXCEPTION_HANDLER": "config.errors.handle",
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Costprism API",
    "DESCRIPTION": "Who spent what on LLM calls, on which model, when. Amounts are USD, exact to"
    " the last decimal. Every error under /v1 is a problem of RFC 9457. Send your key with each"
    " request: `Authorization: Bearer ip-…`.",
    "VERSION": "1",
    "TAGS": [
        {"name": "Analytics", "description": "Costs and usage, aggregated."},
        {
            "name": "Analytics v2",
            "description": "The second surface: agents, projects, teams and users. Days are UTC,"
            " amounts are strings, and every error has the envelope of the answers.",
        },
        {"name": "Events", "description": "One event is one LLM call."},
        {"name": "Prices", "description": "What tokens cost, from when to when."},
        {"name": "Account", "description": "Whose key this is, and whom its calls belong to."},
    ],
    "OAS_VERSION": "3.1.1",
    "SORT_OPERATIONS": False,
    "SORT_OPERATION_PARAMETERS": False,
    "POSTPROCESSING_HOOKS": ["config.openapi.schema.add_components"],
    "SERVE_AUTHENTICATION": [],  # the docs are public; what they describe is not
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    # Its default would send every reader's address to a validator on the internet.
    "SWAGGER_UI_SETTINGS": {"deepLinking": True, "validatorUrl": None},
}
