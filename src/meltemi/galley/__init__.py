"""Galley takes configuration in, checks it, and hands it out as facts.

    text --core.text--> documents --core.ingest--> objects and findings
    sources --shell.feed--> documents --core.facts--> changes --> the engine

A *document* is JSON as Python has it; an *object* (`api.kind.Object`) its frozen, typed form; a *finding*
(`api.diagnostics.Diagnostic`) what is wrong with it, and where. A *source* (`shell.source`) is the API server, a
directory of YAML, or memory; a *verdict* what was found of a stored object, and what stands in its place. `validate/`
holds the rules of each kind.
Nothing that a text or a server holds makes Galley raise: it ends in objects and findings.
"""
