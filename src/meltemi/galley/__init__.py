"""Galley takes configuration in, checks it, and hands it out as facts.

    text --core.text--> documents --core.ingest--> objects and findings --core.render--> what people read
    API server --shell.reflector--> documents --core.facts--> changes --shell.feed--> the engine

A *document* is JSON as Python has it; an *object* (`api.kind.Object`) its frozen, typed form; a *finding*
(`api.diagnostics.Diagnostic`) what is wrong with it, and where. `validate/` holds the rules of each kind.
Nothing that a text or a server holds makes Galley raise: it ends in objects and findings.
"""
