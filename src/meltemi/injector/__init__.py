"""The sidecar into a pod: one pure function from a Pod's document to a Pod's document (`injector/core.py`).

Locally the API server calls it when a Pod is created; on a cluster a webhook will. A pod has a sidecar if
and only if its spec has the container `istio-proxy`, so nothing else decides who is in the mesh.
"""
