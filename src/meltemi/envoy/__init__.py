"""Envoy, typed: frozen values for what the mesh asks of Envoy, and one encoder to bytes per resource type.

It knows Envoy's messages and Istio's names, and no Istio object. Messages are made, nested and serialised
inside this room and never leave it: what goes out is bytes.
"""
