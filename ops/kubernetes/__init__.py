"""Manifests for Kubernetes, and what of them is made from other files."""
