"""``bridgebench analyze``: what a checkpoint's log-probs say beside its answers (definitions: docs/analysis.md).

targets      RUN or CHECKPOINT → checkpoints and their reference
held_out     which data they are measured on
stages       one pass per checkpoint, then arithmetic: `analyze` stages of the store
measure      run what is missing, estimates last
estimation   files of finished stages → estimates and what pictures need: an `analysis` stage of the store
roles        how an `analysis` stage names its inputs
reward_model an external judge of the same pairs
finished     which analyses a store or a board's evidence holds for given checkpoints
rewards, separation, agreement, trajectories, drift   files of finished stages → estimates with intervals
report       the table on stdout
figures, credit   pictures, from plain data
"""
