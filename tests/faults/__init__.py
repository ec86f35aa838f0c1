"""Fault trials: a run of a small recipe, one fault at a random moment, a rerun, a comparison with an undisturbed run.

    python -m tests.faults --seed 0 --trials 30        (make test-faults)

`baseline` makes the undisturbed run, `deck` draws faults and moments from the seed, `kills`, `damage` and `stores` are
the faults, `trial` does one and says what was lost, run twice or left behind. A new victim is one `kills.Kill` in
`kills.KINDS` (a Ray worker, say, with its own way to find the process); a new fault is anything with a name and an
``inflict``.
"""
