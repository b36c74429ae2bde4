"""The worker beside its peers: the same events, the same fold, only the consuming differs."""
