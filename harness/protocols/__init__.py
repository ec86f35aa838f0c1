"""The public protocols' rules as pure functions of texts and log-probs: which order, which verdict, which weight.

No files, no network and no model here, so that a live judge and stored judgments go through the same rules.

alpaca_eval  order by instruction, preference from the first token's log-probs
arena_hard   five labels, two games, parsers of v0.1 and v2, battles
mt_bench     rating of 1 to 10, category temperatures, which categories have a reference
pairwise     our own verdict between delimiters that carry a nonce
failures     why there is no verdict

A compatible protocol has the published parser and beside it a strict one, whose disagreements are counted:
the published one makes the number comparable, the strict one says how far to trust it.
"""
