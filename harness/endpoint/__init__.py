"""A client for OpenAI-compatible endpoints: bounded retries, a budget that is never exceeded, failures by kind.

    async with Client(settings, Budget.of(settings, ledger)) as client:
        await answer_all(client, [(key, ChatRequest(messages, max_tokens=64)), …], on_answer)

`EndpointSettings` is what a recipe says, `ChatRequest` one question, `Answer` what came of it: text and log-probs, or a
`Failure` of a named kind. Nothing here knows what the texts are for.
"""

from harness.endpoint.budget import Budget, BudgetExhausted, Spent
from harness.endpoint.client import Client, EndpointRefused
from harness.endpoint.messages import (
    INFRASTRUCTURE,
    MISSING_LOGPROBS,
    REFUSAL,
    UNPARSED,
    Answer,
    ChatRequest,
    Failure,
    Usage,
)
from harness.endpoint.pool import answer_all
from harness.endpoint.settings import BudgetCap, EndpointSettings, Price

__all__ = [
    "INFRASTRUCTURE",
    "MISSING_LOGPROBS",
    "REFUSAL",
    "UNPARSED",
    "Answer",
    "Budget",
    "BudgetCap",
    "BudgetExhausted",
    "ChatRequest",
    "Client",
    "EndpointRefused",
    "EndpointSettings",
    "Failure",
    "Price",
    "Spent",
    "Usage",
    "answer_all",
]
