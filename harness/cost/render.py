"""The estimate on one screen, its assumptions below."""

from __future__ import annotations

from textwrap import wrap
from typing import Any

GIB = 1 << 30
WIDTH = 80


def screen(found: dict[str, Any]) -> str:
    """Aligned lines within 80 columns where the texts allow it."""
    lines = [f"{found['recipe']} · {found['rows']} rows · estimate for {found['gpu']}, nothing was loaded"]
    lines.append(f"{'stage':<12} {'count':>5} {'tokens':>9} {'GPU-hours':>10}")
    lines += [_kind(line) for line in found["kinds"]]
    money = "" if found["gpu_money"] is None else f"   {found['gpu_money']:,.0f} in money"
    lines.append(
        f"{'all':<12} {sum(line['stages'] for line in found['kinds']):>5} {'':>9} {found['gpu_hours']:>10,.1f}{money}"
    )
    lines += [_judge(judge) for judge in found["judges"]]
    if found["judge_money"] is not None and len(found["judges"]) > 1:
        lines.append(f"judges together: {_money(found['judge_money'], found['judges'])}")
    lines += _memory(found)
    lines += ["assumed:", *(f"  - {text}" for text in found["assumptions"])]
    return "\n".join(part for line in lines for part in wrap(line, WIDTH, subsequent_indent="    "))


def _kind(line: dict[str, Any]) -> str:
    hours = f"{line['gpu_hours']:>10,.1f}" if line["tokens"] else f"{'–':>10}"
    return f"{line['kind']:<12} {line['stages']:>5} {count(line['tokens']):>9} {hours}"


def count(value: float) -> str:
    """``1.3B``, ``420M``, ``12k`` tokens, or a dash for none."""
    for size, letter in ((1e9, "B"), (1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:.3g}{letter}"
    return f"{value:.0f}" if value else "–"


def _judge(judge: dict[str, Any]) -> str:
    head = f"judge {judge['benchmark']}: {judge['judge']}, {judge['verdicts']:,} verdicts"
    if judge["money"] is None:
        return f"{head}, {count(judge['prompt_tokens'])} tokens in; no price is given"
    if not judge["prompt_tokens"]:
        return f"{head}, free"
    return f"{head}, {count(judge['prompt_tokens'])} tokens in, {judge['money']:,.0f} {judge['currency']}"


def _money(value: float, judges: list[dict[str, Any]]) -> str:
    currencies = {judge["currency"] for judge in judges if judge["currency"]}
    return f"{value:,.0f} {'/'.join(sorted(currencies))}".strip()


def _memory(found: dict[str, Any]) -> list[str]:
    stored = found["memory"]
    train, serve = stored["training"], stored["serving"]
    return [
        f"memory, training: {_gpus(train, 'FSDP over', found['gpu'])}: {train['state'] / GIB:.0f} GiB state a GPU "
        f"({stored['weight_dtype']} weights, gradients, AdamW) + {train['activations'] / GIB:.0f} GiB activations "
        f"({stored['microbatch_tokens']} tokens a microbatch)",
        f"memory, serving: {_gpus(serve, 'tensor parallel over', found['gpu'])}: {serve['state'] / GIB:.0f} GiB a GPU "
        "(bfloat16 weights and cache)",
    ]


def _gpus(fit: dict[str, Any], how: str, gpu: str) -> str:
    if fit["gpus"] is None:
        return f"does not fit on 64 {gpu}"
    return f"fits on one {gpu}" if fit["gpus"] == 1 else f"{how} {fit['gpus']} {gpu}"
