"""What is wrong between objects: Istio's analysis, each check a query over facts.

    objects --world.Analysis--> facts --table.ANALYZERS--> findings

Every analyzer is a module with `check`, a query that reports `Diagnostic`s; the table names them all, with the codes
that each may tell. So a mesh can hold them as roots and runs again only what a change touches.

What is not there is told only where absence can be believed: a folder of YAML seldom holds the pods, secrets and
namespaces that it is meant for (`inputs.WHOLE`).
"""
