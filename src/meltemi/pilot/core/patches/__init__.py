"""EnvoyFilters at work: what they change of resources that are translated already.

`plan` says which patches are for a View, `view` applies them to its roots; `listeners`, `routes` and `clusters` change
one encoded message each. Semantics are Istio's (`pilot/pkg/networking/core/envoyfilter`).
"""
