"""One run of an app in the mesh: its objects, its terminal, its end."""

from __future__ import annotations

import contextlib
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from types import FrameType
from typing import Any

import click

from meltemi.agent.shell import owners
from meltemi.ctl.client import ApiError, Client, path
from meltemi.ctl.init_link import InitLink
from meltemi.ctl.invocation import CtlError
from meltemi.ctl.local import option
from meltemi.ctl.progress import spinner
from meltemi.ctl.run_documents import ATTACH, App, account_of, pod_of, service_of
from meltemi.ctl.terminal import Terminal
from meltemi.init.core import Layout
from meltemi.init.wire import Attach, Exited, Signal, Subscribe

_START = 30.0
"""Seconds that a pod may take until its program runs."""

_EARLY = 3.0
"""An app that ends sooner is said to have died at its start."""

_READY = 15.0
"""Seconds that an app in the background has until its port answers."""


class Running:
    """Makes the objects, hands the terminal over, waits for the end, and takes the Pod away again."""

    def __init__(self, layout: Layout, client: Client, app: App) -> None:
        self._layout = layout
        self._client = client
        self._app = app
        self._where = path("api", "v1", "namespaces", app.namespace, "pods", app.pod)
        self._process = ""
        self._started = 0.0
        self._ended: Exited | None = None

    def prepare(self, *, service: bool) -> None:
        """Make what the Pod needs: its account, its Service; clear away what an earlier run left."""
        app = self._app
        self._check_namespace()
        if app.account:
            self._create_missing("serviceaccounts", account_of(app))
        if service and not self._create_missing("services", service_of(app)):
            self._tell_other_port()
        self._clear_leftover()

    def in_foreground(self) -> int:
        """Run attached to the terminal; return the app's exit code."""
        app = self._app
        with (
            owners.owning(self._layout, app.attach),
            InitLink(self._layout) as init,
            InitLink(self._layout) as control,
            Terminal() as terminal,
        ):
            init.ask(Subscribe())
            init.ask(Attach(app.attach), terminal.descriptors)
            self._create_pod(replace(app, tty=terminal.is_tty))
            try:
                with self._forwarded(control):
                    self._until_started(init)
                    terminal.lent()
                    ended = self._until_ended(init)
                    terminal.drain(2.0)
            finally:
                self._delete_pod()
        return self._conclude(ended)

    def in_background(self) -> int:
        """Run detached; return once the app runs, and answers on its port if it has one."""
        app = self._app
        with InitLink(self._layout) as init:
            init.ask(Subscribe())
            self._create_pod(app)
            try:
                self._until_started(init)
                self._until_settled(init)
            except BaseException:
                self._delete_pod()
                raise
        click.echo(f"pod/{app.pod} runs in namespace {app.namespace}.")
        if app.port:
            click.echo(f"  called as  {app.name}.{app.namespace}:{app.port}")
        space = option(self._client.mesh) + ("" if app.namespace == "default" else f" -n {app.namespace}")
        click.echo(f"  its output meltemi logs{space} {app.pod}")
        click.echo(f"  its end    meltemi delete{space} pod/{app.pod}")
        return 0

    def _check_namespace(self) -> None:
        try:
            self._client.json("GET", path("api", "v1", "namespaces", self._app.namespace))
        except ApiError as error:
            if error.code != 404:
                raise
            name = self._app.namespace
            hint = f'kubectl --kubeconfig "$(meltemi kubeconfig)" create namespace {name}'
            raise CtlError(f"there is no namespace {name}.", hint) from error

    def _create_missing(self, plural: str, document: Mapping[str, Any]) -> bool:
        """Create an object unless it is there; say whether it was made."""
        try:
            self._client.json(
                "POST", path("api", "v1", "namespaces", self._app.namespace, plural), None, document
            )
        except ApiError as error:
            if error.reason != "AlreadyExists":
                raise
            return False
        click.echo(f"{plural.removesuffix('s')}/{document['metadata']['name']} created", err=True)
        return True

    def _tell_other_port(self) -> None:
        app = self._app
        found = self._client.json("GET", path("api", "v1", "namespaces", app.namespace, "services", app.name))
        ports = found["spec"].get("ports") or ()
        if not any(port.get("targetPort") in (app.port, app.port_name) for port in ports):
            click.echo(
                f"note: service/{app.name} is there already and leads to no port {app.port}.", err=True
            )

    def _pod(self) -> dict[str, Any] | None:
        try:
            found: dict[str, Any] = self._client.json("GET", self._where)
        except ApiError as error:
            if error.code == 404:
                return None
            raise
        return found

    def _clear_leftover(self) -> None:
        """Take away a Pod of this name whose run is over; refuse where it still runs."""
        found = self._pod()
        if found is None:
            return
        phase = (found.get("status") or {}).get("phase")
        attach = str((found["metadata"].get("annotations") or {}).get(ATTACH) or "")
        over = phase in ("Succeeded", "Failed") or bool(found["metadata"].get("deletionTimestamp"))
        if not over and (not attach or owners.is_owned(self._layout, attach)):
            raise CtlError(
                f"pod/{self._app.pod} runs already in namespace {self._app.namespace}.",
                f"end it with: meltemi delete -n {self._app.namespace} pod/{self._app.pod}, "
                "or choose another --name or --version",
            )
        self._delete_pod()

    def _create_pod(self, app: App) -> None:
        self._client.json("POST", path("api", "v1", "namespaces", app.namespace, "pods"), None, pod_of(app))

    def _delete_pod(self) -> None:
        """Delete the Pod and wait until it is gone, so that the next run finds the name free."""
        options = {"apiVersion": "v1", "kind": "DeleteOptions"}
        with contextlib.suppress(CtlError):
            self._client.json("DELETE", self._where, document=options)
            deadline = time.monotonic() + 15.0
            while self._pod() is not None and time.monotonic() < deadline:
                time.sleep(0.05)

    def _mine(self, name: str) -> bool:
        """Say whether a process of init's table is our app: `pod/NAMESPACE/POD/ID/CONTAINER`."""
        return name.startswith(f"pod/{self._app.namespace}/{self._app.pod}/") and name.endswith(
            f"/{self._app.name}"
        )

    def _until_started(self, init: InitLink) -> None:
        """Wait for the app's process; a short one may have ended by then."""
        deadline = time.monotonic() + _START
        with spinner() as say:
            say(f"starting {self._app.pod}")
            while not self._process:
                for event in init.events(0.25):
                    if self._mine(event.name):
                        self._process, self._started = event.name, time.monotonic()
                        self._ended = event if isinstance(event, Exited) else None
                if init.ended:
                    raise CtlError("the mesh went down.")
                if not self._process:
                    self._refuse_stuck(late=time.monotonic() > deadline)

    def _refuse_stuck(self, *, late: bool) -> None:
        """Raise what keeps the Pod from starting, when it will not go away by itself, or takes too long."""
        found = self._pod()
        if found is None:
            raise CtlError(f"pod/{self._app.pod} was deleted before it started.")
        status = found.get("status") or {}
        for row in status.get("containerStatuses") or ():
            waiting = (row.get("state") or {}).get("waiting") or {}
            if row.get("name") == self._app.name and str(waiting.get("reason", "")).startswith(
                ("Err", "Create")
            ):
                raise CtlError(
                    f"pod/{self._app.pod} cannot start: {waiting.get('message') or waiting['reason']}"
                )
        if status.get("phase") == "Failed":
            raise CtlError(f"pod/{self._app.pod} failed: {status.get('message') or status.get('reason')}")
        if late:
            reasons = [
                str(row.get("message"))
                for row in status.get("conditions") or ()
                if row.get("status") == "False"
            ]
            raise CtlError(
                f"pod/{self._app.pod} did not start in {_START:g} s: {'; '.join(reasons) or 'no reason is known.'}",
                "meltemi status",
            )

    def _until_ended(self, init: InitLink) -> Exited:
        while self._ended is None:
            for event in init.events(3600.0):
                if isinstance(event, Exited) and event.name == self._process and event.again < 0:
                    self._ended = event
            if init.ended:
                raise CtlError("the mesh went down, and the app with it.")
        return self._ended

    def _until_settled(self, init: InitLink) -> None:
        """Watch a background app's first moments: it must not end, and must answer if it has a port."""
        app = self._app
        deadline = time.monotonic() + (_READY if app.port else _EARLY / 3)
        with spinner() as say:
            say(f"waiting for {app.pod}" + (f" to listen on port {app.port}" if app.port else ""))
            while time.monotonic() < deadline:
                for event in init.events(0.1):
                    if isinstance(event, Exited) and event.name == self._process:
                        self._ended = event
                if self._ended is not None:
                    raise CtlError(_words(app, self._ended))
                if app.port and self._is_ready():
                    return
        if app.port:
            click.echo(f"note: {app.pod} runs, but nothing answers on its port {app.port} yet.", err=True)

    def _is_ready(self) -> bool:
        status = (self._pod() or {}).get("status") or {}
        return any(
            row.get("type") == "Ready" and row.get("status") == "True"
            for row in status.get("conditions") or ()
        )

    @contextmanager
    def _forwarded(self, control: InitLink) -> Iterator[None]:
        """Send Ctrl-C and other ends on to the app. A second Ctrl-C asks harder, a third kills."""
        asked = [0]

        def on(number: int, frame: FrameType | None) -> None:
            del frame
            asked[0] += 1
            chosen = number if asked[0] == 1 else signal.SIGTERM if asked[0] == 2 else signal.SIGKILL
            if not self._process:
                raise KeyboardInterrupt
            with contextlib.suppress(CtlError):
                control.ask(Signal(self._process, chosen))

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        former: list[tuple[int, Callable[[int, FrameType | None], Any] | int | None]] = [
            (number, signal.signal(number, on)) for number in numbers
        ]
        try:
            yield
        finally:
            for number, handler in former:
                signal.signal(number, handler)

    def _conclude(self, ended: Exited) -> int:
        code = _code(ended)
        lasted = time.monotonic() - self._started
        interrupted = signal.SIGINT in (ended.signal, code - 128)
        if ended.error or (code and lasted < _EARLY and not interrupted):
            click.echo(f"{self._app.name} {_end(ended)}, {lasted:.1f} s after its start.", err=True)
        return code


def _end(event: Exited) -> str:
    if event.error:
        return f"could not start: {event.error}"
    return (
        f"was ended by {signal.Signals(event.signal).name}"
        if event.code < 0
        else f"ended with exit code {event.code}"
    )


def _words(app: App, event: Exited) -> str:
    """Say how an app died, with its last lines."""
    last = "\n".join(f"  | {line}" for line in event.last.splitlines()[-15:])
    return f"{app.name} {_end(event)} at its start." + (f" Its last lines:\n{last}" if last else "")


def _code(event: Exited) -> int:
    return event.code if event.code >= 0 else 128 + event.signal
