"""What people do with any model of transformers, each as a function of a checkpoint's folder and a way to load it.

They hold for a prior, for a tokenizer alone, and for a model of transformers' own, which shows that the trials
themselves work; with the package and, by the code that lies beside the weights, without it. So nothing of it is
imported here.
`tests/models/test_trials.py` runs them, and `python -m trials` wherever the package's other requirements are not.
"""
