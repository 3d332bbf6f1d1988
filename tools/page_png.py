"""Write `docs/bookinfo.png`: the product page in a browser, with reviews v3 and a visitor who has signed in.

Usage: python -m tools.page_png. Needs Chromium; without, the picture is left as it is. The mesh has folders of its own
and leaves none.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib
from pathlib import Path

from tools.tour_svg import folders

from meltemi.ctl.tour import cli, find_kubectl
from meltemi.samples.bookinfo import manifests

TARGET = Path(__file__).resolve().parent.parent / "docs" / "bookinfo.png"
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
SIZE = (1200, 830)
LIMIT = 120.0
RULES = ("bookinfo-gateway", "destination-rule-all", "virtual-service-all-v1", "virtual-service-reviews-v3")
SIGN_IN = """<form method="post" action="{ingress}/login"><input name="username" value="jason"></form>
<script>document.forms[0].submit()</script>
"""
_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def run(env: dict[str, str], *argv: str, text: str = "") -> str:
    """Run a command to its good end and give what it printed."""
    done = subprocess.run(
        argv, env=env, input=text, stdout=subprocess.PIPE, text=True, timeout=LIMIT, check=True
    )
    return done.stdout.strip()


def shoot(browser: str, ingress: str) -> bytes:
    """Sign in, and take a picture of the page that follows."""
    with tempfile.TemporaryDirectory(prefix="md-") as root:
        form = Path(root, "sign-in.html")
        form.write_text(SIGN_IN.format(ingress=ingress), encoding="utf-8")
        picture = Path(root, "page.png")
        argv = [browser, "--headless=new", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
        # The browser speaks to the mesh and to nobody else.
        argv += ["--disable-background-networking", "--disable-component-update"]
        argv += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]
        argv += ["--no-sandbox"] if os.geteuid() == 0 else []
        argv += [f"--user-data-dir={root}/profile", f"--window-size={SIZE[0]},{SIZE[1]}"]
        # The form is sent and answered within the page's own eight seconds, which take less than one.
        argv += ["--virtual-time-budget=8000", f"--screenshot={picture}", form.as_uri()]
        subprocess.run(argv, check=True, timeout=LIMIT, stderr=subprocess.DEVNULL)
        return picture.read_bytes()


def smaller(png: bytes) -> bytes:
    """Press a picture harder, without any loss."""
    chunks, at = [], len(_SIGNATURE)
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        chunks.append((png[at + 4 : at + 8], png[at + 8 : at + 8 + length]))
        at += length + 12
    pixels = zlib.decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"))
    head = [(kind, data) for kind, data in chunks if kind in {b"IHDR", b"PLTE", b"tRNS"}]
    made = [*head, (b"IDAT", zlib.compress(pixels, 9)), (b"IEND", b"")]
    return _SIGNATURE + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in made
    )


def main() -> int:
    """Bring up bookinfo, take the picture, and take the mesh down."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        print("docs/bookinfo.png is left as it is: it is taken by Chromium (apt-get install chromium)")
        return 0
    with folders() as env:
        mesh = "default"
        run(env, *cli(mesh, "up", "--detach"))
        try:
            kubectl = (find_kubectl(), "--kubeconfig", run(env, *cli(mesh, "kubeconfig")))
            samples = str(Path(env["XDG_RUNTIME_DIR"]) / "bookinfo")
            run(env, sys.executable, "-m", "meltemi.samples", "bookinfo", samples)
            run(env, *kubectl, "apply", "-f", f"{samples}/bookinfo.yaml")
            run(env, *cli(mesh, "wait", "--for=Ready", *(f"pod/{pod}" for pod in manifests.PODS)))
            for rule in RULES:
                run(env, *kubectl, "apply", "-f", f"{samples}/{rule}.yaml")
            run(env, *cli(mesh, "wait", "vs/bookinfo", "vs/reviews", "destinationrule/reviews"))
            page = run(env, *cli(mesh, "open", "productpage"))
            # Twice: the times on the page are then those of apps that have been asked before.
            for _ in range(2):
                picture = shoot(browser, page.removesuffix("/productpage"))
        finally:
            run(env, *cli(mesh, "down", "--purge"))
    TARGET.write_bytes(smaller(picture))
    return 0


if __name__ == "__main__":
    sys.exit(main())
