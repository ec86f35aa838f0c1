"""``eval``: external models become rows of a recipe, which is kept in the store so that every other verb knows it.

A board of its own, or the rows of an existing recipe with the new ones beside them (``extends``).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from harness import files, models, recipe_file
from harness.config import Recipe
from harness.data.sources import BUILTIN
from harness.errors import ConfigError, did_you_mean

NAMED = re.compile(r"^(?P<name>[A-Za-z0-9][A-Za-z0-9._+-]{0,63})=(?P<rest>[^=].*)$", re.DOTALL)
ENDPOINT = re.compile(r"^endpoint:(?P<url>https?://[^#]+)#(?P<model>.+)$")
HEADING = "# bridgebench run {name}   continues or repeats this; bridgebench eval … --board {name}   adds rows.\n"


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    models: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    benchmarks: tuple[str, ...] = ()
    judge: str | None = None
    baseline: str | None = None
    board: str | None = None
    base: str | None = None
    chat_template: str | None = None
    api_key_env: str | None = None
    max_missing: float = 0.0
    trust_remote_code: bool = False
    limit: int | None = None
    assignments: tuple[str, ...] = ()


def recipe(request: Request, saved: Path) -> tuple[Recipe, dict[str, Any]]:
    """(the recipe, what its file will say). Raises ConfigError for what cannot be a recipe; writes nothing."""
    new = _named(request)
    if not new:
        raise ConfigError("there is nothing to evaluate.", "give a MODEL, or --outputs FILE")
    values = _start(request, saved, next(iter(new)))
    _add_rows(values, new, _rows_of(values, saved))
    _add_settings(values, request)
    name = Path(str(values.get("name") or values.get("extends"))).stem
    return recipe_file.validated(values, saved / f"{name}.yaml"), values


def save(made: Recipe, values: dict[str, Any], saved: Path) -> Path:
    """Keep the recipe under its name."""
    path = saved / f"{made.name}.yaml"
    text = yaml.safe_dump(values, sort_keys=False, allow_unicode=True)
    files.write_text(path, HEADING.format(name=made.name) + text)
    return path


# where the rows go


def _start(request: Request, saved: Path, first: str) -> dict[str, Any]:
    """What is there already: the board's saved recipe, the recipe it extends, or an empty new one."""
    name = request.board or first
    if (saved / f"{name}.yaml").is_file():
        return recipe_file.parse(saved / f"{name}.yaml")
    path = Path(name)
    if name in recipe_file.shipped() or path.suffix in (".yaml", ".yml"):
        loaded = recipe_file.load(name)
        kept = saved / f"{loaded.name}.yaml"
        if kept.is_file():
            return recipe_file.parse(kept)
        return {"extends": name if name in recipe_file.shipped() else str(path.absolute()), "externals": {}}
    built = saved.parent / "boards" / name / "data.json"
    if built.is_file() and files.read_json(built).get("recipe"):
        return dict(files.read_json(built)["recipe"])  # of a recipe that was run from a file
    if not request.benchmarks:
        raise ConfigError(
            f'the board "{name}" is new, so it needs a benchmark.{did_you_mean(name, recipe_file.shipped())}',
            f"--benchmark {BUILTIN[0]}, --benchmark FILE.jsonl or --benchmark hub:org/name@revision",
        )
    return {"name": name, "title": f"{first} and others" if len(request.models) > 1 else first, "externals": {}}


def _rows_of(values: dict[str, Any], saved: Path) -> set[str]:
    """Names that trained rows of the recipe have, as far as they are known before it is planned."""
    if "extends" not in values:
        return set()
    extended = recipe_file.load(str(values["extends"]))
    return {"base", *extended.variants, *extended.externals}


def _add_rows(values: dict[str, Any], new: dict[str, dict[str, Any]], trained: set[str]) -> None:
    externals = values.setdefault("externals", {})
    for name, described in new.items():
        explicit = described.pop("_named")
        taken = (name in externals and externals[name] != described) or name in trained
        if taken and explicit:
            raise ConfigError(f'the board has another row called "{name}".', "choose a name: NAME=MODEL")
        same = next((known for known, value in externals.items() if value == described and not explicit), None)
        externals[same or (_unique(name, {*externals, *trained}) if taken else name)] = described


def _add_settings(values: dict[str, Any], request: Request) -> None:
    for benchmark in request.benchmarks:
        label, source = benchmark_source(benchmark)
        rows = {} if request.limit is None else {"rows": request.limit}
        if "extends" not in values or not _has_benchmark(values, label):
            values.setdefault("benchmarks", {}).setdefault(label, {"source": source, **rows})
    judge = values.setdefault("judge", {})
    if request.judge is not None:
        judge["name" if request.judge == "rules" else "protocol"] = request.judge
    if request.baseline is not None:
        judge["baseline"] = request.baseline
    elif "extends" not in values and not values.get("base"):
        judge.setdefault("baseline", next(iter(values["externals"])))
    if not judge:
        values.pop("judge")
    if request.assignments:
        values["set"] = [
            *values.get("set", []),
            *(each for each in request.assignments if each not in values.get("set", [])),
        ]


def _has_benchmark(values: dict[str, Any], label: str) -> bool:
    known = recipe_file.load(str(values["extends"])).evaluations
    if label not in known and "benchmark" in recipe_file.parse(recipe_file.locate(str(values["extends"]))):
        raise ConfigError(
            f'{values["extends"]} has one benchmark, {next(iter(known))}; "{label}" cannot be added to it.',
            "leave --board out, or name the benchmarks in a recipe of your own",
        )
    return label in known


def benchmark_source(name: str) -> tuple[str, str]:
    """(label, data source) of a benchmark as the command line names it. Raises ConfigError for an unknown one."""
    from harness.config import DataSource, short_name

    if ":" in name or Path(name).is_file():
        return short_name(DataSource(source=name, split="eval")), name
    if name not in BUILTIN:
        raise ConfigError(
            f'there is no benchmark "{name}".{did_you_mean(name, BUILTIN)}',
            "a JSON Lines file or hub:org/name@revision works too",
        )
    return name, f"builtin:{name}"


# what the rows are


def _named(request: Request) -> dict[str, dict[str, Any]]:
    """Name → the ``externals`` entry of everything asked for, names unique."""
    found: dict[str, dict[str, Any]] = {}
    for text, outputs in [*((m, False) for m in request.models), *((o, True) for o in request.outputs)]:
        match = NAMED.match(text)
        rest = match["rest"] if match else text
        described = _outputs(rest, request) if outputs else _model(rest, request)
        name = match["name"] if match else _derived(rest, outputs)
        if match and name in found:
            raise ConfigError(f'two rows are called "{name}".', "give each its own NAME=MODEL")
        found[_unique(name, set(found))] = {**described, "_named": match is not None}
    return found


def _model(text: str, request: Request) -> dict[str, Any]:
    if text.startswith("endpoint:"):
        match = ENDPOINT.match(text)
        if match is None:
            raise ConfigError(f'"{text}" is not an endpoint.', "it looks like endpoint:http://127.0.0.1:8000/v1#MODEL")
        key = {"api_key_env": request.api_key_env} if request.api_key_env else {}
        return {"endpoint": {"base_url": match["url"], "model": match["model"], **key}}
    optional = {
        "base": request.base if request.base and _is_adapter(text) else None,
        "chat_template": request.chat_template,
        "trust_remote_code": request.trust_remote_code or None,
    }
    return {"checkpoint": text, **{name: value for name, value in optional.items() if value is not None}}


def _is_adapter(text: str) -> bool:
    """A base is for adapters: a directory without a config of its own, or a repository that says so."""
    if text.startswith("hub:"):
        return models.hub_holds(text, models.ADAPTER_CONFIG)
    path = Path(text).expanduser()
    return path.is_dir() and not (path / "config.json").is_file()


def _outputs(text: str, request: Request) -> dict[str, Any]:
    return {"outputs": text, **({"max_missing": request.max_missing} if request.max_missing else {})}


def _derived(text: str, outputs: bool) -> str:
    """A row's name from its model's: the repository's, package's, folder's or file's, or what made the outputs."""
    if outputs:
        from harness.backends import precomputed

        path = Path(text).expanduser()
        plain = (precomputed.generator(precomputed.read(path)) if path.is_file() else None) or path.name.split(".")[0]
    elif text.startswith("endpoint:"):
        plain = text.rpartition("#")[2].rpartition("/")[2]
    else:
        plain = text.partition(":")[2] or str(Path(text).expanduser().absolute())
        plain = Path(re.split(r"@|==", plain)[0]).name.removesuffix(".gguf")
    return re.sub(r"[^A-Za-z0-9._+-]+", "-", plain).strip("-._+")[:64] or "model"


def _unique(name: str, taken: set[str]) -> str:
    if name not in taken:
        return name
    return next(other for number in range(2, 10_000) if (other := f"{name}-{number}") not in taken)
