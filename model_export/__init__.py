"""From interactions to a model bundle: prepare, train, evaluate, export, verify.

Run ``python -m model_export --help``. Only ``train`` and ``export`` need torch.
"""
