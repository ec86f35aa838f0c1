"""Estimates and their uncertainty, as pure functions of arrays: verdicts in, numbers out, no files.

win_rate        AlpacaEval's win rate, standard error and counts
closed_form     intervals of counted outcomes: Wilson, Agresti-Min
bootstrap       intervals by resampling instructions
intervals       which of these a set of outcomes gets
length_control  win rate at equal length
alpaca_lc       AlpacaEval's own length-controlled win rate; alpaca_lc_bootstrap its interval
crossed         means over several training seeds
clustered       weighted means whose values come in clusters
bradley_terry   strengths of many models from battles; style its covariates
paired          two rows prompt by prompt: sign-flip test, Holm, ranks with ties

Inputs are on the stored scale, 0 to 1; what is reported is 0 to 100.
"""
