"""The controllers' loops: each watches what it decides on, decides by `controllers.core`, and writes.

`run` starts them all; each is isolated from the others' errors, and its own work is tried again with a back-off.
"""

from meltemi.controllers.shell.run import run

__all__ = ["run"]
