"""The endpoint client: what it does with an endpoint that misbehaves."""

from __future__ import annotations

import asyncio
import pickle
import time
from collections import Counter
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from harness.endpoint import (
    Answer,
    Budget,
    BudgetExhausted,
    ChatRequest,
    Client,
    EndpointRefused,
    EndpointSettings,
    answer_all,
)
from harness.endpoint.retry import retry_after
from harness.errors import ConfigError
from tests.misbehaving_endpoint import Behave, endpoint, said


def settings(url: str, **more: Any) -> EndpointSettings:
    quick = {"backoff_seconds": 0.01, "timeout_seconds": 0.3, "max_attempts": 3, "concurrency": 16}
    return EndpointSettings.model_validate({"base_url": url, "model": "judge", **quick, **more})


def question(text: str, **more: Any) -> ChatRequest:
    return ChatRequest([{"role": "user", "content": text}], **{"max_tokens": 8, **more})


def ask(behave: Behave, request: ChatRequest | None = None, **more: Any) -> tuple[Answer, int]:
    """(answer, requests that the endpoint saw)."""
    with endpoint(behave) as served:

        async def go() -> Answer:
            async with Client(settings(served.url, **more), seed=0) as client:
                return await client.ask(request or question("hello"))

        return asyncio.run(go()), sum(served.requests.values())


def test_an_answer_comes_with_its_log_probs_tokens_and_money() -> None:
    price = {"prompt": 10.0, "completion": 30.0}
    reply = said("m", top={"m": -0.1, "M": -2.5})
    answer, _ = ask(lambda body, attempt: reply, question("hello", top_logprobs=5), price=price)
    assert answer.failure is None
    assert answer.text == "m"
    assert answer.model == "the-judge-0001"
    assert answer.logprobs is not None
    assert answer.logprobs[0]["top_logprobs"] == [{"token": "m", "logprob": -0.1}, {"token": "M", "logprob": -2.5}]
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (8, 1)
    assert answer.usage.money == pytest.approx(8 * 10e-6 + 1 * 30e-6)


@pytest.mark.parametrize(
    ("reply", "fault", "attempts"),
    [
        ("500", "infrastructure/http_500", 3),
        ("429", "infrastructure/http_429", 3),
        ("429:9999", "infrastructure/http_429", 1),
        ("400:too long", "infrastructure/http_400", 1),
        ("hang", "infrastructure/timeout", 3),
        ("cut", "infrastructure/cut", 3),
        ("endless", "infrastructure/timeout", 3),
        (b"<html>busy</html>", "infrastructure/malformed_json", 3),
        (b'{"choices": []}', "infrastructure/malformed_json", 3),
        (b"\xff\xfe", "infrastructure/malformed_json", 3),
        (said("m"), "missing_logprobs/missing_logprobs", 1),
        (said("", refusal="I cannot judge this"), "refusal/refused", 1),
        (said("", finish_reason="content_filter"), "refusal/content_filter", 1),
    ],
    ids=str,
)
def test_every_failure_has_its_kind_and_its_number_of_attempts(reply: Any, fault: str, attempts: int) -> None:
    answer, seen = ask(lambda body, attempt: reply, question("hello", top_logprobs=5))
    assert answer.failure is not None
    assert answer.failure.fault == fault
    assert seen == answer.attempts == attempts


def test_a_cut_request_counts_as_spent_and_one_that_was_turned_away_does_not() -> None:
    cut, _ = ask(lambda body, attempt: "cut" if attempt == 1 else said("m"))
    assert cut.text == "m"
    assert cut.usage.unconfirmed_tokens >= 8 + 8
    turned_away, _ = ask(lambda body, attempt: "429" if attempt == 1 else said("m"))
    assert turned_away.usage.unconfirmed_tokens == 0


def test_retry_after_is_honoured_in_seconds_and_as_a_date() -> None:
    start = time.monotonic()
    answer, _ = ask(lambda body, attempt: "429:0.4" if attempt == 1 else said("m"))
    assert answer.text == "m"
    assert time.monotonic() - start >= 0.4
    assert retry_after({"retry-after": formatdate(1_000_030, usegmt=True)}, now=1_000_000) == 30
    assert retry_after({"retry-after": formatdate(999_000, usegmt=True)}, now=1_000_000) == 0
    assert retry_after({"retry-after": "soon"}) is None
    assert retry_after({"retry-after": "inf"}) is None
    assert retry_after({}) is None


def test_a_refused_key_ends_the_run_and_is_printed_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", "sk-very-secret")
    with endpoint(lambda body, attempt: "401:bad key sk-very-secret") as served:
        given = settings(served.url, api_key_env="JUDGE_KEY")
        client = Client(given)
        shown: list[tuple[int, Answer]] = []

        async def go() -> None:
            async with client:
                await answer_all(client, [(n, question(str(n))) for n in range(50)], lambda k, a: shown.append((k, a)))

        with pytest.raises(EndpointRefused) as caught:
            asyncio.run(go())
        assert served.headers[0]["authorization"] == "bearer sk-very-secret"
        assert sum(served.requests.values()) <= given.concurrency
    assert "sk-very-secret" not in caught.value.show() + repr(client) + repr(given) + given.model_dump_json()
    assert "JUDGE_KEY" in caught.value.show()
    assert client.budget.spent.tokens == 0
    with pytest.raises(TypeError):
        pickle.dumps(given.secret())
    monkeypatch.delenv("JUDGE_KEY")
    with pytest.raises(ConfigError, match="JUDGE_KEY holds no key"):
        Client(given)


@pytest.mark.parametrize(
    ("given", "said_of_it"),
    [
        ({"base_url": "http://api.example.org/v1"}, "unencrypted"),
        ({"base_url": "ftp://127.0.0.1"}, "http"),
        ({"base_url": "https://user:pw@example.org"}, "password"),
        ({"base_url": "https://example.org", "budget": {"money": 1}}, "price"),
    ],
)
def test_settings_that_would_leak_or_cannot_be_kept_are_refused(given: dict[str, Any], said_of_it: str) -> None:
    with pytest.raises(ValidationError, match=said_of_it):
        EndpointSettings.model_validate({"model": "judge", **given})
    assert EndpointSettings(base_url="http://10.0.0.7/v1", model="judge", allow_http=True).allow_http


def test_the_port_of_a_local_server_is_not_part_of_its_identity_and_the_model_is() -> None:
    first, second = (EndpointSettings(base_url=f"http://127.0.0.1:{port}/v1", model="a").identity for port in (1, 2))
    assert first == second
    assert EndpointSettings(base_url="http://127.0.0.1:1/v1", model="b").identity != first


WORDS: list[Any] = ["500", "429", "429:0.02", "cut", b"{", said("m"), said("m"), said("M", 8)]


@pytest.mark.parametrize("cap", [{"tokens": 9_000}, {"money": 0.09}], ids=["tokens", "money"])
def test_a_budget_is_never_exceeded_by_the_endpoints_own_count_and_used_up_to_the_last_request(
    cap: dict[str, Any], tmp_path: Path
) -> None:
    def behave(body: dict[str, Any], attempt: int) -> Any:
        return WORDS[(int(body["messages"][0]["content"]) * 7 + attempt * 3) % len(WORDS)]

    ledger = tmp_path / "spent.jsonl"
    price = {"prompt": 10.0, "completion": 10.0}
    requests = [(n, question(str(n), prompt_bound=12)) for n in range(2_000)]
    answered: Counter[int] = Counter()
    with endpoint(behave) as served:
        given = settings(served.url, price=price, budget=cap, backoff_seconds=0.001)
        for _ in range(2):  # the second run finds the first one's spending in the ledger

            async def go() -> None:
                async with Client(given, Budget.of(given, ledger), seed=0) as client:
                    left = [(n, request) for n, request in requests if n not in answered]
                    await answer_all(client, left, lambda key, answer: answered.update([key]))

            with pytest.raises(BudgetExhausted, match="are spent"):
                asyncio.run(go())
        spent = Budget.of(given, ledger).spent
        assert served.tokens <= spent.tokens <= 9_000
        assert served.most <= given.concurrency
    assert spent.tokens > 9_000 - 2 * (12 + 8)
    assert set(answered.values()) == {1}
    assert len(answered) > 100


def test_a_ledger_with_a_torn_line_still_counts_everything(tmp_path: Path) -> None:
    ledger = tmp_path / "spent.jsonl"
    given = settings("http://127.0.0.1:1/v1", budget={"tokens": 100})

    async def go() -> int:
        budget = Budget.of(given, ledger)
        await budget.reserve(20, 20)  # killed in flight: never settled
        with ledger.open("ab") as handle:
            handle.write(b'{"id": "x", "tok')
        again = Budget.of(given, ledger)
        await again.settle(await again.reserve(10, 10), (5, 1))
        with pytest.raises(BudgetExhausted):
            await again.reserve(50, 10)
        return Budget.of(given, ledger).spent.tokens

    assert asyncio.run(go()) == 46
