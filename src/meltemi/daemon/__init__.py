"""The page that wires every process, in files by subject.

`specs` is the table of processes that `init` starts, `processes` and `node` one function per process with every long
task in start order, `admission` what the API server asks of the other rooms, `status` the one writer of conditions,
`routes` what is read over HTTP besides the API. `python -m meltemi.daemon ROLE RUN STATE` starts one of them.
"""
