"""The decoder layers of a model, and compiling them."""

from __future__ import annotations

import os
import shutil
from typing import Any

from trainers.errors import ENVIRONMENT, TrainerError
from trainers.packing import register

COMPILERS = ("g++", "clang++", "c++")


def layers(model: Any) -> list[Any]:
    """The decoder layers. Raises TrainerError for a model that has none in the usual place."""
    found = getattr(model.base_model, "layers", None)
    if found is None:
        raise TrainerError(f"{type(model).__name__} keeps its decoder layers where the trainers do not look.")
    return list(found)


def compile_layers(model: Any, device: str) -> None:
    """Compile each layer's forward and backward but for its attention; all layers share what is compiled for one.

    Raises TrainerError where no C++ compiler is found.
    """
    if device == "cpu" and not any(map(shutil.which, filter(None, (os.environ.get("CXX"), *COMPILERS)))):
        raise TrainerError(
            f"compile: true needs a C++ compiler, and none of {', '.join(COMPILERS)} is on the PATH.",
            "install one (or name it in CXX), or leave compile out",
            ENVIRONMENT,
        )
    register(compiled=True)
    for layer in layers(model):
        layer.compile(dynamic=True)
