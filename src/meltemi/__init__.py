"""Meltemi: an Istio-compatible service mesh that you can pip install."""
