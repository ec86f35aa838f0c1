"""Judge configurations that the ``alpaca-eval`` package ships, read from its files without importing it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from harness import files
from harness.errors import ConfigError, EnvironmentFault, did_you_mean

PARSERS = ("logprob_parser", "regex_parser", "lmsys_parser", "ranking_parser", "json_parser", "pipeline_meta_parser")
DEFAULT_PARSER = "regex_parser"
# what the package itself asks with where a configuration does not say
DEFAULT_TEMPERATURE, DEFAULT_TOP_P, DEFAULT_MAX_TOKENS = 0.7, 1.0, 2048
LOGIT_BIAS = ("tokens_to_avoid", "tokens_to_favor")
_CHATML = re.compile(r"<\|im_start\|>([^\n]*)\n(.*?)<\|im_end\|>", re.DOTALL)
_HUMAN = re.compile(r"^\s*Human: (.*?)\s*Assistant:\s*$", re.DOTALL)


@dataclass(frozen=True)
class AnnotatorConfig:
    """One configuration: the chat it shows (with placeholders), how it samples, how it is parsed."""

    name: str
    model: str
    template: list[dict[str, str]]
    template_sha256: str
    sampling: dict[str, Any]
    parser: str
    parser_arguments: dict[str, Any]
    switches_order: bool


def shipped() -> dict[str, Path]:
    """Name → file of every shipped configuration. Raises EnvironmentFault without the package."""
    spec = find_spec("alpaca_eval")
    if spec is None or not spec.submodule_search_locations:
        raise EnvironmentFault(
            "the package alpaca-eval is not installed here.", 'pip install "bridgebench[alpaca-eval]"'
        )
    folder = Path(spec.submodule_search_locations[0]) / "evaluators_configs"
    return {path.parent.name: path for path in sorted(folder.glob("*/config*.yaml"))}


def load(name: str) -> AnnotatorConfig:
    """The configuration ``name``. Raises ConfigError for an unknown one and for what cannot be asked exactly."""
    known = shipped()
    if name not in known:
        raise ConfigError(
            f'alpaca-eval ships no judge configuration "{name}".{did_you_mean(name, known)}',
            f"it ships {', '.join(known)}",
        )
    values = yaml.safe_load(known[name].read_text("utf-8"))
    if len(values) != 1:
        raise _refused(name, f"it draws one of {len(values)} annotators at random for each prompt")
    settings = next(iter(values.values()))
    if settings.get("batch_size", 1) != 1:
        raise _refused(name, f"it judges {settings['batch_size']} prompts in one request")
    sampling = dict(settings.get("completions_kwargs") or {})
    if biased := [key for key in LOGIT_BIAS if key in sampling]:
        raise _refused(name, f"it biases tokens ({', '.join(biased)}), which only its own tokenizer can number")
    parser = settings.get("fn_completion_parser") or DEFAULT_PARSER
    if parser not in PARSERS:
        raise _refused(name, f'its parser "{parser}" is not known')
    text = (known[name].parent.parent / settings["prompt_template"]).read_text("utf-8")
    return AnnotatorConfig(
        name,
        str(sampling.pop("model_name", "")),
        _chat(name, text),
        files.sha256_text(text),
        _sampling(sampling),
        parser,
        settings.get("completion_parser_kwargs") or {},
        settings.get("is_randomize_output_order", True),
    )


def _refused(name: str, why: str) -> ConfigError:
    return ConfigError(
        f'the judge configuration "{name}" cannot be asked here: {why}.',
        "weighted_alpaca_eval_gpt4_turbo is the one that AlpacaEval 2 publishes",
    )


def _chat(name: str, text: str) -> list[dict[str, str]]:
    """The template as messages. The split comes before the outputs are filled in, so no output can open a turn."""
    turns = [{"role": role.strip(), "content": content.strip()} for role, content in _CHATML.findall(text)]
    if not turns and (human := _HUMAN.match(text)):
        turns = [{"role": "user", "content": human[1]}]
    if not turns:
        raise _refused(name, "its prompt is a text to continue, and endpoints here are asked in chats")
    return turns


def _sampling(given: dict[str, Any]) -> dict[str, Any]:
    """As `harness.endpoint.ChatRequest` takes it."""
    taken: dict[str, Any] = {
        "max_tokens": int(
            given.pop("max_tokens", given.pop("max_tokens_to_sample", given.pop("max_new_tokens", DEFAULT_MAX_TOKENS)))
        ),
        "temperature": float(given.pop("temperature", DEFAULT_TEMPERATURE)),
        "top_p": float(given.pop("top_p", DEFAULT_TOP_P)),
    }
    if given.pop("logprobs", None):
        taken["top_logprobs"] = int(given.pop("top_logprobs", 5))
    extra = {key: given[key] for key in ("tools", "tool_choice", "stop") if key in given}
    return taken | ({"extra": extra} if extra else {})
