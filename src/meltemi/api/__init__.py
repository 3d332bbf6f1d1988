"""What a user may write: every kind declared once, as a frozen dataclass whose fields bear their own text and bounds.

    kind       what a kind is, and a decoded object         registry   all kinds, found by name or resource
    declare    how a field is declared                      compiled   declarations to decoders
    decode     documents to objects, all errors at once     encode     and back
    openapi    declarations to OpenAPI and CRD schemas      ledger     what is done with each field
    unapplied  what has no effect yet, as data              warnings   and that of it which a document sets
    diagnostics, problems, paths                            findings, while and after they are found

Istio's kinds (`networking`, `security`) are declared whole. Kubernetes' own (`core`) are declared for what the mesh
reads of them, and checked in full against its schemas (`kubernetes`).
"""
