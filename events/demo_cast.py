"""Who and what plays in the demo data: entities, models, features, errors."""

from dataclasses import dataclass

REGIONS = {"us": -5, "eu": 1, "apac": 8}
"""Where people sit, with the UTC offset of their business hours."""

ENVIRONMENTS = {"production": 88, "staging": 8, "development": 4}
"""Values of the tag `env`, with their weights."""


@dataclass(frozen=True)
class Actor:
    """An entity that calls models; `id` is None for calls that nobody is named for."""

    type: str
    id: str | None
    name: str
    region: str
    weight: float

    @property
    def utc_offset(self) -> int:
        return REGIONS[self.region]


@dataclass(frozen=True)
class LLModel:
    """A model as its provider offers it. Prices are the catalogue's, unless the provider reports
    costs itself: `reports` is then USD per million tokens of input and output."""

    provider: str
    name: str
    weight: float
    first_token_ms: int
    per_second: int
    """Output tokens."""
    caches: bool = False
    writes_cache: bool = False
    """Whether filling the cache is counted, and charged."""
    reasons: bool = False
    reports: tuple[int, int] | None = None


@dataclass(frozen=True)
class Feature:
    """What a model is called for. Token counts are medians, of the first turn."""

    name: str
    input_tokens: int
    output_tokens: int
    models: tuple[LLModel, ...]
    is_chat: bool = False


@dataclass(frozen=True)
class Error:
    """A way to fail, and how long that takes."""

    type: str
    code: str
    latency_ms: tuple[int, int]


# Weights fall off steeply, as those of real customers do: a few pay for most of it.
CAST = (
    Actor("customer", "acme-corp", "Acme Corp", "us", 20),
    Actor("customer", "globex", "Globex", "us", 13),
    Actor("customer", "initech", "Initech", "us", 9),
    Actor("customer", "stark-industries", "Stark Industries", "us", 6.5),
    Actor("customer", "vandelay", "Vandelay Industries", "us", 3),
    Actor("customer", "wonka", "Wonka Süßwaren GmbH", "eu", 8),
    Actor("customer", "blauhaus", "Blauhaus Möbel AG", "eu", 5),
    Actor("customer", "tyrell", "Tyrell Biotech", "eu", 4),
    Actor("customer", "petit-pain", "Petit Pain SARL", "eu", 1.2),
    Actor("customer", "nakatomi", "Nakatomi Trading", "apac", 4.5),
    Actor("customer", "soylent", "Soylent Foods", "apac", 2),
    Actor("customer", "hooli", "Hooli", "apac", 0.8),
    Actor("team", "support", "Customer Support", "eu", 3.5),
    Actor("team", "search", "Search & Ranking", "eu", 2.5),
    Actor("team", "growth", "Growth Marketing", "us", 1.5),
    Actor("project", "contract-review", "Contract Review", "us", 3),
    Actor("project", "invoice-extraction", "Invoice Extraction", "eu", 2.5),
    Actor("project", "code-migration", "Code Migration 2.0", "apac", 2),
    Actor("employee", "ada", "Ada Lindqvist", "eu", 1),
    Actor("employee", "grace", "Grace Okafor", "us", 0.8),
    Actor("employee", "linus", "Linus Tanaka", "apac", 0.6),
    Actor("nobody", None, "", "us", 2),
)

GPT_4O = LLModel("openai", "gpt-4o", 3, 420, 85, caches=True)
GPT_4O_MINI = LLModel("openai", "gpt-4o-mini", 6, 350, 110, caches=True)
O4_MINI = LLModel("openai", "o4-mini", 1, 900, 120, caches=True, reasons=True)
EMBEDDING = LLModel("openai", "text-embedding-3-small", 4, 60, 1000)
SONNET = LLModel("anthropic", "claude-sonnet-4-5", 4, 700, 65, caches=True, writes_cache=True)
HAIKU = LLModel("anthropic", "claude-haiku-4-5", 4, 380, 140, caches=True, writes_cache=True)
GEMINI_FLASH = LLModel("google", "gemini-2.5-flash", 5, 320, 180, caches=True)
GEMINI_PRO = LLModel("google", "gemini-2.5-pro", 1.5, 1100, 90, caches=True, reasons=True)
MISTRAL = LLModel("mistral", "mistral-small-latest", 2, 250, 130)
LLAMA = LLModel("groq", "llama-3.3-70b-versatile", 1.5, 150, 270)
# A gateway that tells what it charged, and a model of one's own that no catalogue prices.
GATEWAY = LLModel("openrouter", "anthropic/claude-sonnet-4.5", 0.7, 800, 60, reports=(3, 15))
OWN = LLModel("in-house", "acme-classifier-v3", 0.4, 40, 300)

CHAT = Feature("chat", 900, 260, (GPT_4O, GPT_4O_MINI, SONNET, HAIKU, GEMINI_FLASH), True)
AGENT = Feature("agent", 3500, 420, (SONNET, GPT_4O, GEMINI_PRO, O4_MINI, GATEWAY), True)
CODING = Feature("coding", 2600, 600, (SONNET, O4_MINI, GEMINI_PRO, GATEWAY), True)
SUMMARY = Feature("summary", 4200, 320, (GPT_4O_MINI, HAIKU, GEMINI_FLASH, MISTRAL, LLAMA))
EXTRACTION = Feature("extraction", 1800, 180, (GPT_4O_MINI, HAIKU, MISTRAL, OWN))
CLASSIFICATION = Feature("classification", 450, 12, (GPT_4O_MINI, GEMINI_FLASH, LLAMA, OWN))
SEARCH = Feature("search", 380, 0, (EMBEDDING,))

FEATURES = {
    "customer": (CHAT, CHAT, AGENT, SUMMARY, CLASSIFICATION, SEARCH),
    "team": (CHAT, CLASSIFICATION, SEARCH, SUMMARY),
    "project": (AGENT, EXTRACTION, SUMMARY),
    "employee": (CODING, CHAT),
    "nobody": (CLASSIFICATION, SUMMARY),
}

ERRORS = (
    Error("rate_limit_error", "429", (40, 300)),
    Error("overloaded_error", "529", (200, 2_000)),
    Error("timeout", "504", (60_000, 60_500)),
    Error("invalid_request_error", "400", (30, 150)),
)
