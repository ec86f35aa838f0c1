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


@dataclass(frozen=True)
class Corpus:
    """The samples of a board's rows over one list of prompts; ``baseline`` is the name of the texts compared with."""

    rows: list[Row]
    prompts: list[Row]
    cells: dict[str, dict[str, Row]]  # row → prompt id → sample
    baseline: str
    per_page: int


def collect(board: Board, rows: list[Row], samples: dict[str, list[Row]]) -> Corpus:
    """Index the samples of the rows that have any, the rows in rank order."""
    shown = [row for row in fields.in_rank_order(board, rows) if samples.get(row["row"])]
    cells = {row["row"]: {str(sample["prompt_id"]): sample for sample in samples[row["row"]]} for row in shown}
    prompts: dict[str, Row] = {}
    for row in shown:
        prompts = cells[row["row"]] | prompts if prompts else dict(cells[row["row"]])
    baseline = str(board.get("baseline") or "baseline")
    return Corpus(shown, list(prompts.values()), cells, baseline, _per_page(cells, len(prompts)))


def _per_page(cells: dict[str, dict[str, Row]], prompts: int) -> int:
    """Prompts per page, so that a page of completions has about `PAGE_CHARACTERS`."""
    lengths = [len(_shown(sample.get("completion"))) for row in cells.values() for sample in row.values()]
    mean = sum(lengths) / len(lengths) if lengths else 0
    return max(5, min(MOST_PROMPTS, prompts or 1, round(PAGE_CHARACTERS / max(mean, 1))))


def _shown(text: str | None) -> str:
    return (text or "")[: display.MOST_SHOWN]


def write(corpus: Corpus, comparison: dict[str, Any] | None, directory: Path) -> None:
    """Write every file of ``pages/``; nothing where no row has samples."""
    if not corpus.prompts:
        return
    directory.mkdir(parents=True)
    _write(directory / "index.js", "index", _index(corpus, comparison or {}))
    _write_texts(directory, corpus, "prompts", [_text(sample.get("prompt")) for sample in corpus.prompts])
    for row in corpus.rows:
        cells = corpus.cells[row["row"]]
        texts = [_cell(cells.get(str(prompt["prompt_id"]))) for prompt in corpus.prompts]
        _write_texts(directory, corpus, stem(row["row"]), texts)
    if corpus.baseline not in corpus.cells:
        _write_texts(directory, corpus, stem(corpus.baseline), _outside_baseline(corpus))


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


def _outside_baseline(corpus: Corpus) -> list[Any]:
    """Completions of a baseline that is no row of this board."""
    found = []
    for prompt in corpus.prompts:
        samples = (cells.get(str(prompt["prompt_id"])) for cells in corpus.cells.values())
        text = next((s["baseline_completion"] for s in samples if s and s.get("baseline_completion") is not None), None)
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


def _index(corpus: Corpus, comparison: dict[str, Any]) -> list[Any]:
    """``[rows, prompts, parts, families, prompts per page, baseline, cells, pairs, metric]``; places as numbers."""
    names = [row["row"] for row in corpus.rows]
    parts = _distinct(corpus.prompts, "part")
    families = _distinct(corpus.prompts, "family")
    baseline = names.index(corpus.baseline) if corpus.baseline in names else -1
    return [
        [[row["row"], stem(row["row"]), row.get("rank")] for row in corpus.rows],
        [_prompt(prompt, parts, families) for prompt in corpus.prompts],
        [fields.PARTS[part][0] if part in fields.PARTS else part for part in parts],
        families,
        corpus.per_page,
        [corpus.baseline, stem(corpus.baseline), baseline],
        [_cells(corpus, name) for name in names],
        _pairs(names, comparison),
        str(comparison.get("metric") or "win_rate"),
    ]


def _distinct(prompts: list[Row], key: str) -> list[str]:
    found = {str(prompt.get(key) or "") for prompt in prompts}
    known = [part for part in fields.PARTS if part in found]
    return known + sorted(found - set(known))


def _prompt(sample: Row, parts: list[str], families: list[str]) -> list[Any]:
    excerpt = " ".join(display.visible((sample.get("prompt") or "")[: 4 * EXCERPT]).split())[:EXCERPT]
    part, family = (str(sample.get(key) or "") for key in ("part", "family"))
    return [display.visible(str(sample["prompt_id"])), parts.index(part), families.index(family), excerpt]


def _cells(corpus: Corpus, name: str) -> list[Any]:
    """Columns ``[preferences, scores, flags, lengths]``, one value per prompt; flags of -1: no sample."""
    cells = [corpus.cells[name].get(str(prompt["prompt_id"])) for prompt in corpus.prompts]
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
