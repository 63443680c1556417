"""The profile's section ``interpretation``: who explains features, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urlsplit

from featrack_utils.pipeline.checks import at_least, need, one_of

EXPLAINERS = ("lookup", "endpoint")


@dataclass(frozen=True)
class Interpretation:
    """Who explains: counting alone (lookup), or a chat model as well (endpoint).

    The endpoint is any server that speaks OpenAI's chat protocol. Its key is never a parameter:
    `key_variable` names the environment variable that holds it, and is empty where none is needed.
    """

    explainer: str
    base_url: str
    chat_model: str
    key_variable: str
    explained_features: int
    requests_per_minute: int
    max_cost: float
    input_price: float
    output_price: float

    def __post_init__(self) -> None:
        one_of("interpretation.explainer", self.explainer, EXPLAINERS)
        at_least(
            "interpretation",
            self,
            explained_features=2,
            requests_per_minute=1,
            max_cost=0,
            input_price=0,
            output_price=0,
        )
        check_url(self.base_url)


def check_url(url: str) -> None:
    """Refuses what is no web address, and an address with a secret in it.

    An address is written to artefacts; a key belongs into the environment.
    """
    parts = urlsplit(url)
    need(
        parts.scheme in ("http", "https") and bool(parts.hostname),
        "interpretation.base_url must be a web address such as http://localhost:8000/v1.",
    )
    need(
        not (parts.username or parts.password or parts.query or parts.fragment),
        "interpretation.base_url must hold no user, password or query; "
        "put a key into the environment variable that interpretation.key_variable names.",
    )
