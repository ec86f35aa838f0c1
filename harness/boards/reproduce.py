"""``reproduce BOARD/ROW``: the exact commands behind a row, from what its stages recorded.

The script is meant to be run, and a board may come from anybody: every value in it is quoted for the shell, a comment
is one line, and the text of the recipe cannot end before its end.
"""

from __future__ import annotations

import shlex
from typing import Any

from harness import files
from harness.board_evidence import Board
from harness.errors import BridgebenchError, IntegrityError
from harness.leaderboard import display

END = "RECIPE"


def commands(board: Board, row: str) -> str:
    """A shell script with the stage keys one should get as comments. Raises BridgebenchError without provenance."""
    keys = board.stage_keys(row)
    manifests = {kind: board.evidence.manifest(name) for kind, name in keys.items()}
    made = [manifest for manifest in manifests.values() if manifest is not None]
    if not made:
        raise BridgebenchError(f"{board.name}/{row} has no manifests, so what made it is not known.")
    recipe = str(made[-1].get("recipe") or board.name)
    seed, origin = board.row(row).get("seed"), board.row(row).get("origin")
    title = [_comment(f"{board.name}/{row}" + ("" if seed is None else f", training seed {seed}"))]
    title += [_comment(f"taken from {origin}: bridgebench reproduce {origin} has its recipe")] if origin else []
    lines = [*title, *_checkout(made), *_install(made), *_recipe(board, recipe)]
    lines += ["", f"bridgebench run {_argument(_recipe_name(board, recipe))}", "", *_expected(keys, manifests)]
    return "\n".join(lines)


def _comment(text: str) -> str:
    """One line of the script that nothing in ``text`` can leave."""
    return f"# {_one_line(text)}"


def _one_line(text: str) -> str:
    return " ".join(display.visible(text).split())


def _argument(text: str) -> str:
    """``text`` as one word of a command, and no option of it."""
    return shlex.quote(f"./{text}" if text.startswith("-") else text)


def _checkout(made: list[dict[str, Any]]) -> list[str]:
    commits = list(dict.fromkeys(str(each["commit"]) for each in made if each.get("commit")))
    lines = []
    if any(each.get("dirty") for each in made):
        lines.append("# made from a checkout with uncommitted changes: the commit alone may not give the same keys")
    if len(commits) > 1:
        lines.append(
            _comment(f"stages were made at {len(commits)} commits: {', '.join(commits)}; this is the last one")
        )
    if commits and not commits[-1].isalnum():
        raise IntegrityError(f"a manifest names the commit {commits[-1][:60]!r}, which is none.")
    lines.append(f"git checkout {commits[-1]}" if commits else "# the commit was not recorded")
    return lines


def _install(made: list[dict[str, Any]]) -> list[str]:
    versions: dict[str, str] = {}
    for manifest in made:
        versions |= manifest.get("versions") or {}
    machine: dict[str, Any] = next((each["machine"] for each in reversed(made) if each.get("machine")), {})
    device = next((found for each in made if (found := each.get("identity", {}).get("device"))), "cpu")
    pinned = " ".join(f"{name}=={version}" for name, version in sorted(versions.items()) if name != "bridgebench")
    return [
        f"make install {shlex.quote(f'DEVICE={device}')}",
        _comment(f"it ran with {pinned}"),
        _comment(f"on {machine.get('cpu') or 'an unknown machine'}"),
    ]


def _recipe_name(board: Board, recipe: str) -> str:
    return recipe if not board.data.get("recipe") else f"{display.file_stem(board.name)}.yaml"


def _recipe(board: Board, recipe: str) -> list[str]:
    """The recipe as it stood, written to a file, so that a later version of the shipped one does not matter."""
    import yaml

    if not board.data.get("recipe"):
        return [_comment(f"the board does not carry its recipe; it is called {recipe}")]
    text = yaml.safe_dump(board.data["recipe"], sort_keys=False, allow_unicode=True).rstrip("\n")
    end = END if END not in text else f"{END}_{files.sha256_text(text)[:12]}"
    return ["", f"cat > {_argument(_recipe_name(board, recipe))} <<'{end}'", text, end]


def _expected(keys: dict[str, str], manifests: dict[str, dict[str, Any] | None]) -> list[str]:
    lines = ["# stage keys to expect, and the digests of what they wrote"]
    for kind, name in keys.items():
        lines.append(f"#   {_one_line(kind):<17} {_one_line(name)}")
        found = (manifests[kind] or {}).get("files", {})
        lines += [
            f"#   {'':<17}   {_one_line(file)} {_one_line(digest['sha256'])}" for file, digest in sorted(found.items())
        ]
    return [
        *lines,
        "# bridgebench show KEY   compares them; the same versions and kind of machine give the same digests",
    ]
