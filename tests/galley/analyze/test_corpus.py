"""Istio's own samples analyse clean, but for what is truly wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from meltemi import checks
from meltemi.galley.analyze.table import ANALYZERS, BY_VALIDATION
from meltemi.galley.analyze.world import Analysis
from meltemi.galley.core.ingest import ingest

OURS = {code for one in ANALYZERS for code in one.codes} - set(BY_VALIDATION)

TRULY = {
    # Requests from the gateway go to productpage straight, whatever its VirtualService says.
    "virtual-service-all-v1.yaml": {"IST0140"},
    # Nobody installs cert-manager with bookinfo; in 1.0 its Gateway has bookinfo's port and hosts.
    "1.0 certmanager-gateway.yaml": {"IST0101", "IST0145"},
    "1.30 certmanager-gateway.yaml": {"IST0101"},
}


def codes(*files: Path) -> set[str]:
    made = Analysis()
    for file in files:
        for item in ingest(file.read_bytes(), file.name, namespace="default", check=checks.check).items:
            made.document(item.kind, item.document, item.object)
    made.assume_gateways()
    return {one.code.id for one in made.findings()} & OURS


@pytest.mark.parametrize("generation", ["1.0", "1.30"])
def test_bookinfo_is_clean_with_each_of_its_variants(corpus: Path, generation: str) -> None:
    bookinfo = corpus / f"istio-{generation}" / "samples" / "bookinfo"
    apps = sorted(bookinfo.glob("platform/kube/bookinfo*-v*.yaml"))
    base = [bookinfo / "platform/kube/bookinfo.yaml", *apps]
    always = ["bookinfo-gateway.yaml", "destination-rule-all.yaml"]
    base += [bookinfo / "networking" / name for name in always]
    variants = [file for file in sorted((bookinfo / "networking").glob("*.yaml")) if file.name not in always]
    assert len(variants) > 10
    wrong = {}
    for file in variants:
        truly = TRULY.get(file.name, TRULY.get(f"{generation} {file.name}", set()))
        found = codes(*base, file)
        if found != truly:
            wrong[file.name] = found
    assert wrong == {}


@pytest.mark.parametrize(
    "names",
    [
        ("1.0", "httpbin", "httpbin.yaml"),
        ("1.0", "helloworld", "helloworld.yaml"),
        ("1.0", "websockets", "app.yaml", "route.yaml"),
        ("1.0", "sleep", "sleep.yaml"),
        ("1.30", "httpbin", "httpbin.yaml", "httpbin-gateway.yaml"),
        ("1.30", "helloworld", "helloworld.yaml", "helloworld-gateway.yaml"),
        ("1.30", "tcp-echo", "tcp-echo-services.yaml", "tcp-echo-all-v1.yaml"),
        ("1.30", "tcp-echo", "tcp-echo-services.yaml", "tcp-echo-all-v1.yaml", "tcp-echo-20-v2.yaml"),
        ("1.30", "websockets", "app.yaml", "route.yaml"),
        ("1.30", "sleep", "sleep.yaml"),
    ],
    ids="/".join,
)
def test_other_samples_are_clean(corpus: Path, names: tuple[str, ...]) -> None:
    generation, sample, *files = names
    folder = corpus / f"istio-{generation}" / "samples" / sample
    assert codes(*(folder / name for name in files)) == set()
