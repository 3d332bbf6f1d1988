"""The Gateway API as Istio implements it: what its objects mean, and what is said of them.

The rules are those of the Gateway API's own specification (v1.5); names and words are Istio's
(`pilot/pkg/config/kube/gateway`).
"""
