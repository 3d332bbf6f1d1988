"""The agent's own HTTP API on `Layout.agent_socket`, for the CLI and the API server's pod subresources.

Who may call: processes of the mesh's owner (SO_PEERCRED) that are not inside a pod; nobody else gets an answer.

| request | answer |
|---|---|
| `GET /v1/pods` | `{"pods": [{namespace, name, uid, id, ip, phase, ready, containers: [{name, pid, running, restarts}]}]}` |
| `GET /v1/pods/NS/NAME/logs?container=C&tail=N&follow=1` | the log as text, chunked while following |
| `POST /v1/pods/NS/NAME/exec` | body `{"argv": [...], "container": C?, "env": {}, "cwd": "", "attach": ID?}`; `{"code": 0, "output": ""}` when it ended |
| `GET /v1/pods/NS/NAME/envoy/PATH?QUERY` | Envoy's admin answer (`config_dump`, `clusters`, `certs`, `stats`, ...); GET only, no HTML |
| `POST /v1/pods/NS/NAME/drain` | Envoy stops taking new connections |
| `GET /v1/pods/NS/NAME/port-forward?port=N` with `Connection: Upgrade`, `Upgrade: tcp` | 101, then raw bytes to 127.0.0.1:N in the pod |

`exec` with `attach` uses file descriptors that the caller registered at `init` under that id; without it the
output (stdout and stderr together, at most 1 MiB) is in the answer. Errors are `{"error": "..."}` with 4xx or 5xx.
"""
