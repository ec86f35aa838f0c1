"""Which model classes an installed backend can serve, read from the text of its package: nothing heavy is imported."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from importlib.util import find_spec
from pathlib import Path

# package, file below it, the names of the tables whose keys or values are the classes (or GGUF's model types)
VLLM = ("vllm", "model_executor/models/registry.py", ("_TEXT_GENERATION_MODELS", "_TRANSFORMERS_SUPPORTED_MODELS"))
VLLM_MULTIMODAL = ("vllm", "model_executor/models/registry.py", ("_MULTIMODAL_MODELS",))
TRANSFORMERS = ("transformers", "models/auto/modeling_auto.py", ("MODEL_FOR_CAUSAL_LM_MAPPING_NAMES",))
GGUF = ("transformers", "integrations/ggml.py", ("GGUF_CONFIG_MAPPING",))


def served_by(backend: str) -> frozenset[str]:
    """Class names, e.g. ``LlamaForCausalLM``; empty where the backend is not installed or keeps no such list."""
    if backend == "vllm":
        return _words(*VLLM) | _words(*VLLM_MULTIMODAL)
    return _words(*TRANSFORMERS) if backend == "transformers" else frozenset()


def known_to_transformers() -> frozenset[str]:
    """Class names that need no code from a checkpoint."""
    return _words(*TRANSFORMERS)


def gguf_types() -> frozenset[str]:
    """The ``general.architecture`` values that can be converted."""
    return _words(*GGUF) - {"general", "tokenizer", "tokenizer_config"}


@cache
def _words(package: str, relative: str, tables: tuple[str, ...]) -> frozenset[str]:
    found = find_spec(package)
    if found is None or not found.submodule_search_locations:
        return frozenset()
    path = Path(next(iter(found.submodule_search_locations))) / relative
    if not path.is_file():
        return frozenset()
    return frozenset(_entries(ast.parse(path.read_text("utf-8")), tables))


def _entries(tree: ast.Module, tables: tuple[str, ...]) -> Iterator[str]:
    for node in tree.body:
        targets = node.targets if isinstance(node, ast.Assign) else []
        if any(isinstance(target, ast.Name) and target.id in tables for target in targets):
            assert isinstance(node, ast.Assign)
            yield from _names(node.value)


def _names(value: ast.expr) -> Iterator[str]:
    """Keys of a dict literal; for a list of pairs, as in ``OrderedDict([(type, class), …])``, the second of each."""
    if isinstance(value, ast.Dict):
        yield from (key.value for key in value.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))
    elif isinstance(value, ast.Call) and value.args and isinstance(value.args[0], ast.List):
        for pair in value.args[0].elts:
            if isinstance(pair, ast.Tuple) and isinstance(pair.elts[1], ast.Constant | ast.Tuple):
                yield from _constants(pair.elts[1])


def _constants(value: ast.expr) -> Iterator[str]:
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
