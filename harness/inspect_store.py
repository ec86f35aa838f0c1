"""Looking into the store: what `status` and `show` print."""

from __future__ import annotations

import json
from typing import Any

from harness.errors import BridgebenchError, IntegrityError, plain
from harness.scan import Scan
from harness.store import Store


def overview(store: Store) -> list[dict[str, Any]]:
    """Kind, label and state of every stage directory; ``damaged`` where the manifest is none."""
    scan = Scan(store)
    rows = []
    for kind, key in store.stages():
        state = scan.state(kind, key)
        label = ""
        if state == "done":
            try:
                label = str((store.manifest(kind, key) or {}).get("label", ""))
            except IntegrityError:
                state = "damaged"
        rows.append({"stage": f"{kind}/{key}", "kind": kind, "label": label, "state": state})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Aligned lines, one per stage."""
    if not rows:
        return "the store is empty"
    return "\n".join(plain(f"{row['state']:<8} {row['stage']:<27} {row['label']}") for row in rows)


def manifest(store: Store, prefix: str) -> dict[str, Any]:
    """The manifest of the stage that ``prefix`` names. Raises BridgebenchError while it is not finished."""
    kind, key = store.find(prefix)
    found = store.manifest(kind, key)
    if found is None:
        raise BridgebenchError(
            f"{kind}/{key} is {store.state(kind, key)}, so it has no manifest yet.",
            "run its recipe again to finish it",
        )
    return found


def describe(found: dict[str, Any]) -> str:
    """A manifest for human eyes."""
    dirty = " with uncommitted changes" if found.get("dirty") else ""
    lines = [
        f"{found.get('kind')}/{found['key']}  {found.get('label', '')}",
        f"recipe    {found.get('recipe')}",
        f"finished  {found.get('finished')} in {found.get('seconds')} s",
        f"commit    {found.get('commit')}{dirty}",
        f"command   {found.get('command')}",
    ]
    for title in ("identity", "inputs", "summary", "files"):
        lines.append(title)
        lines += [f"  {name}: {_short(value)}" for name, value in found.get(title, {}).items()]
    return plain("\n".join(lines))


def _short(value: Any, limit: int = 100) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= limit else text[: limit - 1] + "…"
