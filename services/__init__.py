"""Attune's services. A service imports ``services.shared`` and itself, never another service."""
