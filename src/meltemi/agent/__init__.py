"""The node of a local mesh: the kubelet of a laptop, the feeder of its Envoys, its DNS.

One asyncio process in the mesh's network namespace. `core` decides (bootstraps, pod plans, probes, the DNS
table, when a certificate is due), `wire` holds the state machines of the relayed streams, `shell` acts:
it makes pods' namespaces, asks `init` for processes, relays ADS and SDS over one socket per pod, keeps what
was last accepted on disk, answers names, probes, and writes the Pods' status.

Words: a *pod id* is the short name of a pod's namespace and socket; a *relay* stands between one Envoy and
the control plane and outlives either of them.
"""
