"""The estimators against enumeration: two tiny models whose every response up to the length cap can be listed."""

from __future__ import annotations

import itertools
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from trainers.analysis import drift, estimates, heads, responses, sampler
from trainers.analysis.drift import Pair
from trainers.analysis.responses import Response
from trainers.checkpoint import load_model

VOCABULARY, CAP, STOP = 5, 4, 0
PROMPTS = ([3, 1, 2], [4])
Sequence = tuple[int, ...]


def save_model(folder: Path, seed: int, spread: float) -> Path:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=1,
        max_position_embeddings=32,
        initializer_range=spread,
        bos_token_id=None,
        eos_token_id=STOP,
        pad_token_id=STOP,
    )
    LlamaForCausalLM(config).float().save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    folder = tmp_path_factory.mktemp("enumerable")
    policy, reference = (
        load_model(save_model(folder / str(seed), seed, 0.25), torch.float32, "cpu", packed=True) for seed in (1, 2)
    )
    return Pair(policy, reference, "cpu", 4096)


def every_response() -> list[Sequence]:
    """All token sequences that end with the stop token or at the cap."""
    ended = [(*body, STOP) for length in range(CAP) for body in itertools.product(range(1, VOCABULARY), repeat=length)]
    return ended + list(itertools.product(range(1, VOCABULARY), repeat=CAP))


class Plain:
    """Log-probs straight from full float64 logits of a prefix; no packing, no chunks, no cache of ours."""

    def __init__(self, model: Any) -> None:
        import copy

        self.model = copy.deepcopy(model).double()
        self.model.set_attn_implementation("eager")
        self.logits = cache(self._logits)

    @torch.inference_mode()
    def _logits(self, prefix: Sequence) -> torch.Tensor:
        return self.model(input_ids=torch.tensor([prefix])).logits[0, -1]

    def logprob(self, prompt: list[int], response: Sequence) -> float:
        return sum(
            float(self.logits((*prompt, *response[:t])).log_softmax(0)[token]) for t, token in enumerate(response)
        )


@pytest.fixture(scope="module")
def plain(pair: Pair) -> tuple[Plain, Plain]:
    return Plain(pair.policy), Plain(pair.reference)


def enumerated(pair: Pair, plain: tuple[Plain, Plain], prompt: list[int]) -> tuple[np.ndarray, np.ndarray, list[Any]]:
    """(probability, d summed) of every response by full logits, and the estimators' values of each."""
    listed = every_response()
    own = np.array([plain[0].logprob(prompt, response) for response in listed])
    other = np.array([plain[1].logprob(prompt, response) for response in listed])
    kl, ratio = drift.compare(pair, [Response("", [*prompt, *response], len(prompt)) for response in listed])
    found = [drift.estimators(a.astype(float), b.astype(float)) for a, b in zip(kl, ratio, strict=True)]
    return np.exp(own), own - other, found


@pytest.mark.parametrize("prompt", PROMPTS)
def test_every_drift_estimator_has_the_exact_kl_as_its_mean_over_all_responses(
    pair: Pair, plain: tuple[Plain, Plain], prompt: list[int]
) -> None:
    probability, log_ratio, found = enumerated(pair, plain, prompt)
    assert probability.sum() == pytest.approx(1, abs=1e-6)
    exact = float(probability @ log_ratio)
    assert exact > 0.05
    means = {name: float(probability @ [each[name] for each in found]) for name in found[0]}
    assert means == pytest.approx(dict.fromkeys(means, exact), rel=2e-5)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_rao_blackwellised_estimator_varies_less_and_is_never_negative(
    pair: Pair, plain: tuple[Plain, Plain], prompt: list[int]
) -> None:
    probability, log_ratio, found = enumerated(pair, plain, prompt)
    exact = float(probability @ log_ratio)
    variance = {name: float(probability @ (np.array([each[name] for each in found]) - exact) ** 2) for name in found[0]}
    assert variance["kl"] < 0.5 * variance["plain"]
    assert all(each["kl"] >= 0 and each["non_negative"] >= 0 for each in found)
    assert any(each["plain"] < 0 for each in found)


def test_samples_follow_the_policys_distribution_and_their_mean_is_within_its_standard_error(
    pair: Pair, plain: tuple[Plain, Plain]
) -> None:
    from scipy.stats import chisquare

    prompt, count = PROMPTS[0], 6000
    streams = np.stack([sampler.uniforms(7, 0, sample, CAP) for sample in range(count)])
    with drift.sampling_attention(pair.policy):
        drawn = [
            tuple(each)
            for part in np.array_split(streams, 6)
            for each in sampler.draw(pair.policy, [prompt] * len(part), part, {STOP})
        ]
    probability, log_ratio, found = enumerated(pair, plain, prompt)
    place = {response: number for number, response in enumerate(every_response())}
    numbers = np.array([place[response] for response in drawn])  # nothing but whole responses is drawn
    expected = count * probability / probability.sum()
    common = expected >= 5
    observed = np.bincount(numbers, minlength=len(place))
    cells = [*observed[common], observed[~common].sum()], [*expected[common], expected[~common].sum()]
    assert chisquare(*cells).pvalue > 1e-3
    exact = float(probability @ log_ratio)
    for name in found[0]:
        values = np.array([found[number][name] for number in numbers])
        assert abs(values.mean() - exact) < 4 * values.std(ddof=1) / np.sqrt(count)


def test_a_sample_depends_on_its_own_numbers_alone_however_prompts_are_batched(pair: Pair) -> None:
    prompts = [[3, 1, 2], [4], [2, 2, 2, 2, 1, 3], [1, 4]]
    streams = np.stack([sampler.uniforms(1, number, 0, 8) for number in range(4)])
    with drift.sampling_attention(pair.policy):
        together = sampler.draw(pair.policy, prompts, streams, {STOP})
        alone = [sampler.draw(pair.policy, [prompt], streams[i : i + 1], {STOP})[0] for i, prompt in enumerate(prompts)]
    assert together == alone
    assert len({len(each) for each in together}) > 1  # some ended before others


def test_inverting_the_cumulative_distribution_gives_each_token_its_share() -> None:
    logits = torch.tensor([0.1, 0.2, 0.3, 0.4]).log()[None].expand(5, 4)
    numbers = torch.tensor([0.0, 0.09, 0.11, 0.59, 0.999999999], dtype=torch.float64)
    assert sampler.invert(logits, numbers).tolist() == [0, 0, 1, 2, 3]


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_implicit_rewards_equal_the_enumerated_log_ratios(pair: Pair, plain: tuple[Plain, Plain], beta: float) -> None:
    prompt = PROMPTS[0]
    listed = [Response("", [*prompt, *response], len(prompt)) for response in every_response()]
    with torch.inference_mode():
        batch = responses.pack(listed)
        parts = [
            heads.token_scores(model, heads.hidden_states(model, batch), batch.target)[0].split(batch.counts)
            for model in (pair.policy, pair.reference)
        ]
    for number, response in enumerate(every_response()):
        found = beta * float((parts[0][number] - parts[1][number])[:-1].sum())
        expected = beta * (plain[0].logprob(prompt, response) - plain[1].logprob(prompt, response))
        assert found == pytest.approx(expected, abs=2e-5)


def value_of(pair: Pair, prompt: list[int], response: Sequence, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """(V at s_0 … s_T, d_t) as the tasks compute them."""
    with torch.inference_mode():
        batch = responses.pack([Response("", [*prompt, *response], len(prompt))])
        (own, lse), (other, lse0) = (
            heads.token_scores(model, heads.hidden_states(model, batch), batch.target)
            for model in (pair.policy, pair.reference)
        )
    value = estimates.values(lse.double().numpy(), lse0.double().numpy(), beta, response[-1] == STOP)
    return value, (own - other)[:-1].double().numpy()


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_values_are_the_soft_values_of_logits_read_as_q(pair: Pair, plain: tuple[Plain, Plain], beta: float) -> None:
    for prompt in PROMPTS:
        for response in every_response()[::7]:
            value, log_ratio = value_of(pair, prompt, response, beta)
            for t, token in enumerate(response):
                state = (*prompt, *response[:t])
                q = beta * (plain[0].logits(state) - plain[1].logits(state))
                soft = beta * (plain[1].logits(state).log_softmax(0) + q / beta).logsumexp(0)
                assert value[t] == pytest.approx(float(soft), abs=2e-5)
                assert beta * log_ratio[t] == pytest.approx(float(q[token] - soft), abs=2e-5)


@pytest.mark.parametrize("beta", [0.3, 2.0])
def test_the_rewards_r_t_make_v_the_exact_soft_value_of_the_whole_tree(pair: Pair, beta: float) -> None:
    """Backwards over all responses: V(s) = beta log sum_a pi_0(a|s) exp((r(s,a) + V(s')) / beta), with 0 behind a stop
    token and the bootstrap behind the cap, comes back to the V that the rewards were made of.
    """
    prompt = PROMPTS[0]
    value: dict[Sequence, float] = {}
    reward: dict[Sequence, float] = {}
    for response in every_response():
        states, log_ratio = value_of(pair, prompt, response, beta)
        steps = estimates.step_rewards(log_ratio, states, beta)
        for t in range(len(response)):
            value[response[:t]] = states[t]
            reward[response[: t + 1]] = steps[t]
        value[response] = states[-1]
    reference = Plain(pair.reference)

    def soft(prefix: Sequence) -> float:
        if len(prefix) == CAP or (prefix and prefix[-1] == STOP):
            return value[prefix]
        weights = reference.logits((*prompt, *prefix)).log_softmax(0)
        targets = [reward[(*prefix, a)] + soft((*prefix, a)) for a in range(VOCABULARY)]
        return beta * float((weights + torch.tensor(targets) / beta).logsumexp(0))

    assert soft(()) == pytest.approx(value[()], abs=1e-4)


def test_rewards_telescope_to_the_implicit_reward_and_the_values_at_both_ends(pair: Pair) -> None:
    for response in every_response():
        value, log_ratio = value_of(pair, PROMPTS[1], response, 0.7)
        steps = estimates.step_rewards(log_ratio, value, 0.7)
        assert steps.sum() == pytest.approx(0.7 * log_ratio.sum() + value[0] - value[-1], abs=1e-9)
        assert (value[-1] == 0) == (response[-1] == STOP)


def test_a_policy_against_itself_has_no_reward_no_value_and_no_drift(pair: Pair) -> None:
    same = Pair(pair.policy, pair.policy, "cpu", 4096)
    value, log_ratio = value_of(same, PROMPTS[0], (1, 2, 3, 1), 0.5)
    assert not value.any()
    assert not log_ratio.any()
    kl, ratio = drift.compare(same, [Response("", [3, 1, 2, 1, 2, 0], 3)])
    assert not kl[0].any()
    assert not ratio[0].any()
