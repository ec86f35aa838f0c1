"""Samples of all rows → ``pages/``: an index of every prompt and verdict, and the texts in pages of some hundred kB.

The files are scripts that call ``bridgebench(name, data)``, because a page opened from a disk may run a script beside
it but not fetch JSON. Data are arrays of numbers and texts in ASCII with every ``<`` escaped, never objects whose keys
a model or a file chose.

``index.js``         rows, prompts, and per row and prompt what filters and orders need
``prompts-<k>.js``   texts of the prompts of page k
``<row>-<k>.js``     completions and verdicts of one row on the prompts of page k
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.leaderboard import display, fields, markdown
from harness.leaderboard.fields import Board, Row

PAGE_CHARACTERS = 100_000  # of one row's completions; the file has them twice, as text and as a tree
MOST_PROMPTS = 100
EXCERPT = 160

# flags of a cell
TRUNCATED, EMPTY, MISSING, DISAGREEMENT, ERROR = 1, 2, 4, 8, 16


Key = tuple[str, str]  # benchmark and prompt id


@dataclass(frozen=True)
class Corpus:
    """The samples of a board's rows over one list of prompts; ``baselines`` names what each benchmark compares with."""

    rows: list[Row]
    prompts: list[Row]
    cells: dict[str, dict[Key, Row]]  # row → prompt → sample
    baselines: dict[str, str]
    per_page: int


def collect(board: Board, rows: list[Row], samples: dict[str, list[Row]]) -> Corpus:
    """Index the samples of the rows that have any, the rows in rank order."""
    shown = [row for row in fields.in_rank_order(board, rows) if samples.get(row["row"])]
    cells = {row["row"]: {_key(sample): sample for sample in samples[row["row"]]} for row in shown}
    prompts: dict[Key, Row] = {}
    for row in shown:
        prompts |= {key: sample for key, sample in cells[row["row"]].items() if key not in prompts}
    places = {name: number for number, name in enumerate(dict.fromkeys(benchmark for benchmark, _ in prompts))}
    ordered = [prompts[key] for key in sorted(prompts, key=lambda key: places[key[0]])]
    baselines = {name: str(board.get("baseline") or "baseline") for name in places}
    baselines |= {_key(sample)[0]: str(sample["baseline"]) for sample in ordered if sample.get("baseline")}
    return Corpus(shown, ordered, cells, baselines, _per_page(cells, len(ordered)))


def _key(sample: Row) -> Key:
    return str(sample.get("benchmark") or ""), str(sample["prompt_id"])


def _per_page(cells: dict[str, dict[Key, Row]], prompts: int) -> int:
    """Prompts per page, so that a page of completions has about `PAGE_CHARACTERS`."""
    lengths = [len(_shown(sample.get("completion"))) for row in cells.values() for sample in row.values()]
    mean = sum(lengths) / len(lengths) if lengths else 0
    return max(5, min(MOST_PROMPTS, prompts or 1, round(PAGE_CHARACTERS / max(mean, 1))))


def _shown(text: str | None) -> str:
    return (text or "")[: display.MOST_SHOWN]


def write(corpus: Corpus, board: Board, directory: Path) -> None:
    """Write every file of ``pages/``; nothing where no row has samples."""
    if not corpus.prompts:
        return
    directory.mkdir(parents=True)
    _write(directory / "index.js", "index", _index(corpus, board))
    _write_texts(directory, corpus, "prompts", [_text(sample.get("prompt")) for sample in corpus.prompts])
    for row in corpus.rows:
        cells = corpus.cells[row["row"]]
        texts = [_cell(cells.get(_key(prompt))) for prompt in corpus.prompts]
        _write_texts(directory, corpus, stem(row["row"]), texts)
    for name in sorted(set(corpus.baselines.values()) - set(corpus.cells)):
        _write_texts(directory, corpus, stem(name), _outside_baseline(corpus, name))


def stem(row: str) -> str:
    """The front of a row's page files; no row's can be that of the prompts."""
    name = display.file_stem(row)
    return f"row-{name}" if name in ("prompts", "index") or name.startswith("row-") else name


def _write_texts(directory: Path, corpus: Corpus, name: str, texts: list[Any]) -> None:
    for page in range(0, len(texts), corpus.per_page):
        number = page // corpus.per_page
        _write(directory / f"{name}-{number}.js", f"{name}-{number}", texts[page : page + corpus.per_page])


def _write(path: Path, name: str, data: Any) -> None:
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")
    # no fsync: the whole directory is put in place at once
    path.write_text(f"bridgebench({json.dumps(name)},{text});\n", "ascii")


def _outside_baseline(corpus: Corpus, name: str) -> list[Any]:
    """Completions of a baseline that is no row of this board, on the prompts of its benchmarks."""
    found = []
    for prompt in corpus.prompts:
        key = _key(prompt)
        samples = (cells[key] for cells in corpus.cells.values() if key in cells and corpus.baselines[key[0]] == name)
        text = next((s["baseline_completion"] for s in samples if s.get("baseline_completion") is not None), None)
        found.append(None if text is None else [*_text(text), None, "", []])
    return found


def _text(text: str | None) -> list[Any]:
    """``[text, tree or 0 where the text is plain, length if cut or 0]``."""
    visible, cut = display.model_text(text)
    nodes = markdown.tree(visible)
    return [visible, 0 if markdown.is_plain(nodes) else nodes, len(text or "") if cut else 0]


def _cell(sample: Row | None) -> list[Any] | None:
    """`_text` of the completion, its tokens, how it ended, and its verdicts."""
    if sample is None:
        return None
    verdicts = [_verdict(verdict) for verdict in sample.get("verdicts") or []]
    finish = display.visible(str(sample.get("finish_reason") or ""))
    return [*_text(sample.get("completion")), sample.get("completion_tokens"), finish, verdicts]


def _verdict(verdict: Row) -> list[Any]:
    """``[order, label, preference, score, text, error]``."""
    said = [display.model_text(_string(verdict.get(key)))[0] for key in ("order", "label", "raw_text", "error")]
    return [said[0].replace("_", " "), said[1], verdict.get("preference"), verdict.get("score"), said[2], said[3]]


def _string(value: Any) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    return json.dumps(value, ensure_ascii=False)


def _index(corpus: Corpus, board: Board) -> list[Any]:
    """``[rows, prompts, parts, families, prompts per page, benchmarks, cells]``; places in lists stand for names."""
    names = [row["row"] for row in corpus.rows]
    parts = _distinct(corpus.prompts, "part")
    families = _distinct(corpus.prompts, "family")
    benchmarks = list(corpus.baselines)
    return [
        [[row["row"], stem(row["row"]), row.get("rank")] for row in corpus.rows],
        [_prompt(prompt, parts, families, benchmarks) for prompt in corpus.prompts],
        [fields.PARTS[part][0] if part in fields.PARTS else part for part in parts],
        families,
        corpus.per_page,
        [_benchmark(name, corpus, board, names) for name in benchmarks],
        [_cells(corpus, name) for name in names],
    ]


def _benchmark(name: str, corpus: Corpus, board: Board, names: list[str]) -> list[Any]:
    """``[name, baseline, its stem, its row or -1, metric of the comparison, pairs]``."""
    comparison = (board.get("comparisons") or {}).get(name) or board.get("comparison") or {}
    baseline = corpus.baselines[name]
    place = names.index(baseline) if baseline in names else -1
    metric = str(comparison.get("metric") or "win_rate")
    return [name, baseline, stem(baseline), place, metric, _pairs(names, comparison)]


def _distinct(prompts: list[Row], key: str) -> list[str]:
    found = {str(prompt.get(key) or "") for prompt in prompts}
    known = [part for part in fields.PARTS if part in found]
    return known + sorted(found - set(known))


def _prompt(sample: Row, parts: list[str], families: list[str], benchmarks: list[str]) -> list[Any]:
    """``[id, part, family, excerpt, benchmark]``."""
    excerpt = " ".join(display.visible((sample.get("prompt") or "")[: 4 * EXCERPT]).split())[:EXCERPT]
    part, family = (str(sample.get(key) or "") for key in ("part", "family"))
    place = benchmarks.index(_key(sample)[0])
    return [display.visible(str(sample["prompt_id"])), parts.index(part), families.index(family), excerpt, place]


def _cells(corpus: Corpus, name: str) -> list[Any]:
    """Columns ``[preferences, scores, flags, lengths]``, one value per prompt; flags of -1: no sample."""
    cells = [corpus.cells[name].get(_key(prompt)) for prompt in corpus.prompts]
    return [
        [cell and _rounded(cell.get("preference")) for cell in cells],
        [cell and _rounded(cell.get("score")) for cell in cells],
        [-1 if cell is None else _flags(cell) for cell in cells],
        [0 if cell is None else len(cell.get("completion") or "") for cell in cells],
    ]


def _rounded(value: float | None) -> float | None:
    """Short enough for an index: it sorts and filters, figures come from ``data.json``."""
    return None if value is None else round(float(value), 4)


def _flags(sample: Row) -> int:
    outcomes = {_side(v["preference"]) for v in sample.get("verdicts") or [] if v.get("preference") is not None}
    finish = sample.get("finish_reason")
    return (
        TRUNCATED * (finish == "length")
        + EMPTY * (not (sample.get("completion") or "").strip())
        + MISSING * (sample.get("preference") is None and sample.get("score") is None)
        + DISAGREEMENT * (len(outcomes) > 1)
        + ERROR * (finish == "error")
    )


def _side(preference: float) -> int:
    return (preference > 0.5) - (preference < 0.5)


def _pairs(names: list[str], comparison: dict[str, Any]) -> list[Any]:
    """``[a, b, n, difference, low, high, adjusted p, significant]`` of every pair of rows that are shown."""
    place = {name: number for number, name in enumerate(names)}
    keys = ("n", "difference", "difference_low", "difference_high", "p_holm", "significant")
    return [
        [place[pair["a"]], place[pair["b"]], *(pair.get(key) for key in keys)]
        for pair in comparison.get("pairs") or []
        if pair["a"] in place and pair["b"] in place
    ]
