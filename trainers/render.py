"""A conversation → text by the checkpoint's chat template → token ids and what of them is trained on.

Trained on is every token of a response and the end-of-turn token, never the prompt. The template is asked twice for
each trained turn, once for the prompt up to where the assistant begins and once for the text with the response; the
first one's token ids must be the beginning of the second one's. In a conversation with loss on every turn, what was
already trained on must also be the beginning of the next turn's prompt: a template that rewrites earlier turns
(drops their reasoning, say) is refused, since its training text is not what the model would read.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from trainers.errors import TrainerError
from trainers.rows import Messages

Ids = list[int]


@dataclass
class Example:
    """One sequence. Per token: its id, whether it is trained on, whether it is the end-of-turn token of a response."""

    token_ids: Ids
    mask: list[bool]
    ends: list[bool]

    def cut(self, length: int) -> Example:
        """The first ``length`` tokens. Nothing is put in place of a response's lost end."""
        return Example(self.token_ids[:length], self.mask[:length], self.ends[:length])


class Renderer:
    """A tokenizer with a chat template. Raises TrainerError where the template is missing or breaks a rule."""

    def __init__(self, checkpoint: Path) -> None:
        from trainers.checkpoint import load_tokenizer, stop_token_ids

        self.tokenizer = load_tokenizer(checkpoint)
        self.stop_ids = set(stop_token_ids(checkpoint))
        # without the offsets into the text that `transformers` would ask for: nearly half of the time
        self.fast = getattr(self.tokenizer, "backend_tokenizer", None)
        if self.fast is not None:  # a tokenizer file may carry either, and neither is ours to obey
            self.fast.no_truncation()
            self.fast.no_padding()
        if not self.tokenizer.chat_template:
            raise TrainerError(
                f"the tokenizer in {checkpoint} has no chat template.",
                "put one into chat_template.jinja beside it",
            )

    def text(self, messages: Messages, *, prompt: bool) -> str:
        """The template's text; with ``prompt`` it ends where the assistant begins."""
        from jinja2 import TemplateError

        try:
            rendered: str = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=prompt)
        except TemplateError as error:
            roles = ", ".join(turn["role"] for turn in messages)
            raise TrainerError(
                f"the chat template refuses this conversation ({error.message}); its roles: {roles}.",
                "many templates take no system turn: put its text into the first user turn, or use another template",
            ) from None
        for turn in messages:
            if turn["role"] == "system" and turn["content"].strip() not in rendered:
                raise TrainerError("the chat template leaves the system turn out.", "put it into the first user turn")
        return rendered

    def encode(self, text: str) -> Ids:
        """Token ids of rendered text; the template has written every special token itself."""
        (ids,) = self.encode_all([text])
        self._require_one_bos(ids)
        return ids

    def encode_all(self, texts: list[str]) -> list[Ids]:
        """`encode` for many texts in one call, which a fast tokenizer spreads over the processor's threads."""
        if self.fast is None:
            found: list[Ids] = self.tokenizer(texts, add_special_tokens=False)["input_ids"]
            return found
        return [encoding.ids for encoding in self.fast.encode_batch_fast(texts, add_special_tokens=False)]

    def _require_one_bos(self, ids: Ids) -> None:
        bos = self.tokenizer.bos_token_id
        if bos is not None and ids[:2] == [bos, bos]:
            raise TrainerError("the rendered text begins with two BOS tokens.", "take one out of the chat template")

    def texts(self, messages: Messages, *, every_turn: bool) -> list[str]:
        """Prompt and whole text of each trained turn, one pair after another."""
        turns = [number for number, message in enumerate(messages) if message["role"] == "assistant"]
        pairs = (
            (self.text(messages[:turn], prompt=True), self.text(messages[: turn + 1], prompt=False))
            for turn in (turns if every_turn else turns[-1:])
        )
        return [text for pair in pairs for text in pair]

    def assemble(self, encoded: list[Ids]) -> Example:
        """The example whose `texts` have these token ids."""
        example = Example([], [], [])
        for prompt, whole in zip(encoded[::2], encoded[1::2], strict=True):
            self._require_one_bos(whole)
            self._require_beginning(example.token_ids, prompt, "text up to an earlier assistant turn", "later prompt")
            self._require_beginning(prompt, whole, "prompt", "whole text")
            response = self._until_stop(whole[len(prompt) :])
            new = len(prompt) - len(example.token_ids)
            example.mask += [False] * new + [True] * len(response)
            example.ends += [False] * (new + len(response) - 1) + [True]
            example.token_ids = prompt + response
        return example

    def example(self, messages: Messages, *, every_turn: bool = False) -> Example:
        """Token ids and mask of a conversation that ends with the assistant."""
        return self.assemble(self.encode_all(self.texts(messages, every_turn=every_turn)))

    def _until_stop(self, response: Ids) -> Ids:
        """Up to and with the end-of-turn token; what a template writes after it is not the model's to say."""
        for position, token in enumerate(response):
            if token in self.stop_ids:
                return response[: position + 1]
        return [*response, self._stop_token()]

    def _stop_token(self) -> int:
        eos = self.tokenizer.eos_token_id
        return int(eos) if eos in self.stop_ids else min(self.stop_ids)

    def _require_beginning(self, first: Ids, second: Ids, name: str, other: str) -> None:
        if second[: len(first)] != first:
            raise TrainerError(
                f"the {name}'s tokens are not the beginning of the {other}'s.\n"
                f"{name} ends: {self.tokenizer.decode(first[-12:])!r}\n"
                f"{other} there: {self.tokenizer.decode(second[max(0, len(first) - 12) : len(first)])!r}",
                "the chat template must render a conversation and its beginning alike; with loss_on: last, only the "
                "last turn's prompt",
            )
