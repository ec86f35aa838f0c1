"""A small board whose completions are as hostile as a model can be; the tests of the leaderboard share it."""

from __future__ import annotations

import random

from harness.aggregate import compare, estimate

RUN = "window.hacked=1"
HOSTILE = f'<script>{RUN}</script><img src=x onerror="{RUN}"></pre></article>'
TEXTS = [
    HOSTILE,
    "plain",
    "",
    "\u202egnp.\u202c \x00 \ud800 مرحبا",
    "x" * 50_000,
    f"[link](javascript:{RUN}) [data](data:text/html,<script>{RUN}</script>) [web](https://example.org/a?b=1) "
    "[page](index.html) [other](//example.org) [disk](file:///etc/passwd) "
    f'<a href="javascript:{RUN}" onclick="{RUN}">raw</a> ![picture](https://example.org/picture.png)',
    f'<div><table><b>never closed <svg onload={RUN}> <!-- <iframe srcdoc="<script>{RUN}</script>">',
    f"</script><script>{RUN}</script>]]>\u2028\u2029`${{{RUN}}}` <style>*{{display:none}}</style>",
    "# Head\n\n- one *em*\n- two **strong**\n\n1. first\n\n```html\n<b>code</b>\n```\n\n"
    "| a | b |\n|---|---|\n| 1 | 2 |\n",
    "y " * 500_000,
    "ordinary words about a lighthouse",
]
NAMES = ("base", "sft", "sft+dpo", "pearson-chi2")


def verdicts(name, seed):
    generator = random.Random(seed)
    lines = []
    for number in range(60):
        score = 1.0 if generator.random() < 0.2 * seed else generator.choice([0.0, 0.5])
        lines.append(
            {
                "prompt_id": f"p{number:02}",
                "model": name,
                "baseline": "base",
                "preference": 0.5 if name == "base" else generator.choice([0.0, 0.5, 1.0]),
                "score": score,
                "part": ("in", "out", "retain")[number % 3],
                "family": f"family-{number % 4}",
                "length_model": generator.randrange(20, 200),
                "length_baseline": generator.randrange(20, 200),
                "completion_tokens": 12,
                "truncated": number == 7,
                "empty": False,
            }
        )
    return lines


def sample(name, number, completion):
    """Prompt ``number``; an LLM judge's two orders on the third, of which the second is of another mind."""
    orders = [
        {"order": "baseline_first", "label": "m", "preference": 1.0, "score": None, "raw_text": HOSTILE, "error": None},
        {"order": "model_first", "label": "M", "preference": 0.0, "score": None, "raw_text": "because", "error": None},
    ]
    return {
        "prompt_id": f"p{number:02}",
        "part": ("in", "out", "retain")[number % 3],
        "family": f"family-{number % 4}",
        "prompt": f"List <two> fruits & nothing else, case {number}",
        "completion": completion,
        "baseline_completion": "apple",
        "score": (0.5, 1.0, 0.0, 1.0)[(number + len(name)) % 4],
        "preference": 0.5 if name == "base" else (0.0, 0.5, 1.0, None)[number % 4],
        "finish_reason": "length" if number == 4 else "stop",
        "completion_tokens": 3,
        "verdicts": orders if number == 2 else [],
    }


def stages(name):
    """Manifests as a store has them; the training stages with metrics."""
    shared = {"commit": "c0ffee", "dirty": True, "command": f"bridgebench run {HOSTILE}", "versions": {"torch": "2"}}
    metrics = [{"step": k, "loss": 2.0 / k, "learning_rate": 1e-4 / k, "grad_norm": 1.0} for k in range(1, 40)]
    for row in metrics[9::10]:
        row["eval_loss"] = row["loss"] + 0.1  # held-out rows are measured at intervals
    dpo = [{"step": k, "loss": 0.69, "reward_margin": 0.1 * k, "accuracy": 0.5} for k in range(1, 9)]
    files = {"metrics.jsonl": {"sha256": "ab" * 32, "bytes": 1234}}
    found = [{"kind": "train", "key": "3f9a", "identity": {"objective": {"name": "sft"}}, "metrics": metrics}]
    if "dpo" in name:
        found.append({"kind": "train", "key": "77aa", "identity": {"objective": {"name": "dpo"}}, "metrics": dpo})
    return [{**stage, **shared, "label": name, "seconds": 75.0, "files": files} for stage in found]


def content():
    """(board, rows, samples, stages) of four rows and one that failed."""
    lines = {name: verdicts(name, seed) for seed, name in enumerate(NAMES, 1)}
    comparison = compare(lines)
    rows = [
        {
            "row": name,
            "variant": name.split("+")[0],
            "rank": comparison["ranks"][name],
            "failed": None,
            **estimate(lines[name]),
        }
        for name in NAMES
    ]
    rows[1] |= {"preference_stage": "none", "learning_rate": 1e-4, "objective": "sft"}
    rows[2] |= {"preference_stage": "dpo", "learning_rate": 1e-4, "objective": "sft", "dpo_beta": 0.1}
    rows[2] |= {"stage_keys": {"train": "train/3f9a"}, "train_seconds": 75.0}
    rows[3] |= {"preference_stage": "none", "learning_rate": 2e-5, "objective": "sft"}
    rows.append({"row": "forward-kl", "variant": "forward-kl", "failed": "train/77aa: loss is not finite"})
    board = {
        "board": "demo",
        "title": "Demo & <b>board</b>",
        "benchmark": "builtin:microtasks eval",
        "judge": "rules",
        "baseline": "base",
        "comparison": comparison,
        "recipe": {"name": "demo", "note": HOSTILE},
        "notes": ["One training seed: each interval describes this checkpoint only."],
        "calibration": {
            "measures": [{"label": "Accuracy", "value": 71.25, "low": 65.0, "high": 77.0, "n": 200}],
            "note": "against people's choices",
        },
        "reference_tables": [
            {
                "name": "Elsewhere 2.0",
                "source": "a package",
                "rows": [
                    {"row": "famous", "win_rate": 61.5, "lc_win_rate": 55.0, "mean_length": 110.0},
                    {"row": HOSTILE, "win_rate": 1.5, "lc_win_rate": 2.0},
                ],
            }
        ],
    }
    samples = {name: [sample(name, n, text) for n, text in enumerate(TEXTS)] for name in NAMES}
    return board, rows, samples, {name: stages(name) for name in NAMES[1:]}


def figure(value, half=0.1):
    """An estimate with its interval."""
    return {"estimate": value, "low": value - half, "high": value + half}


def analyses(names=NAMES[1:]):
    """What finished analyses say of the trained rows; token texts are as hostile as completions."""
    said = {"reference": "base", "data": {"source": "builtin:microtasks", "split": "dev", "seed": 1}, "beta": 0.1}
    drift = {"stage": "analysis/d1", "analysis": "drift", "max_new_tokens": 32, **said, "beta": None}
    drift["rows"] = {
        name: {"kl": figure(2.0 + 9 * n, 1.0), "kl_per_token": figure(0.1), "capped": 12.5, "n": 64}
        | {"by_part": {"in": figure(1.0), "out": figure(3.0)}, "demonstrations": {"d": figure(-0.5)}}
        for n, name in enumerate(names)
    }
    points = [{"place": place, **figure(place / 4, 0.2)} for place in range(-3, 6)]
    auc = dict.fromkeys(("auc_value", "auc_logprob", "auc_reference_logsumexp", "added"), figure(0.7, 0.05))
    values = {"stage": "analysis/v1", "analysis": "values", **said}
    trajectory = {"good": points, "corrupted": points[2:]}
    values["rows"] = {name: {**auc, "pairs": 320, "trajectory": trajectory} for name in names}
    share = {"accuracy": figure(62.5, 7.0), "accuracy_logprob": figure(60.0, 7.0), "margin": figure(0.4), "n": 160}
    tokens = [HOSTILE, "plain", " words", "\n", "\u202egnp", "\x00", "\ud800", "日本語", "\t", "x" * 60]
    side = {"pieces": tokens, "tokens": 12, "d": [0.4 * n - 2 for n in range(len(tokens))]}
    pair = {"id": HOSTILE, "sides": {"chosen": side, "rejected": {**side, "tokens": len(tokens)}}}
    rewards = {"stage": "analysis/r1", "analysis": "rewards", **said, "rows": dict.fromkeys(names, share)}
    rewards |= {"edges": [-1.0, 0.0, 1.0, 2.0], "counts": {name: [40, 90, 30] for name in names}}
    rewards["credits"] = {name: [pair] for name in names}
    return {"drift": drift, "rewards": rewards, "values": values}


def build(content, destination, analyses=None):
    """The board of `content` in a directory."""
    from harness import leaderboard

    board, rows, samples, stages = content
    return leaderboard.build(board, rows, samples, destination, stages=stages, analyses=analyses)


def two_benchmarks():
    """Two rows on two benchmarks that share prompt ids; the baseline of the second is no row of the board."""
    names = ("base", "sft")
    lines = {name: verdicts(name, seed) for seed, name in enumerate(names, 1)}
    other = {name: [{**line, "baseline": "famous", "score": None} for line in lines[name][:9]] for name in names}
    comparisons = {"micro": compare(lines), "duel": compare(other)}
    rows = []
    for name in names:
        found = {"micro": estimate(lines[name]), "duel": estimate(other[name])}
        rows.append({"row": name, "variant": name, "rank": 1, **found["micro"], "benchmarks": found})
    samples = {
        name: [
            {**sample(name, n, text), "benchmark": benchmark, "baseline": baseline, "baseline_completion": baseline}
            for benchmark, baseline, texts in (("micro", "base", TEXTS), ("duel", "famous", ["first", "second"]))
            for n, text in enumerate(texts)
        ]
        for name in names
    }
    board = {"board": "two", "baseline": "base", "benchmarks": ["micro", "duel"], "comparisons": comparisons}
    return {**board, "comparison": comparisons["micro"]}, rows, samples, {}
