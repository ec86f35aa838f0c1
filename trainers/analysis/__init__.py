"""What is measured on checkpoints: implicit rewards, values (logits read as Q) and drift (docs/analysis.md).

    tokenised data ─► [corrupt] ─► states (one pass per checkpoint) ─┬─► rewards, values (arithmetic on two passes)
    rendered prompts ──────────────────────────────────────────────► drift (own samples, exact KL per state)

All float32, in chunks that are kept on disk until the task is finished, so a killed run continues; no gradient, no
dropout, never the logits of a whole batch.
"""
