"""CEXL, the expression language of Mixer's configuration: a small part of Go's expressions over typed attributes.

`parser.parse` makes a tree of a text, `checker.check` gives its type against a vocabulary of attributes; what is
wrong is a `Fault`, never an exception. `tree.text` writes a tree so that parsing gives the same tree again.
"""
