"""`python -m meltemi.samples`: the shipped files, in a user's folder."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

from meltemi.api import registry
from meltemi.samples.__main__ import SETS, main, texts
from meltemi.samples.bookinfo import manifests


@pytest.mark.parametrize("name", SETS)
def test_every_file_is_written_and_holds_objects(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([name, str(tmp_path / "new" / name)]) == 0
    written = sorted((tmp_path / "new" / name).iterdir())
    assert [path.name for path in written] == list(texts(name))
    assert f"{len(written)} files" in capsys.readouterr().out
    for path in written:
        for document in yaml.safe_load_all(path.read_text()):
            group, _, version = document["apiVersion"].rpartition("/")
            assert registry.find(group, version, document["kind"]), path


def test_the_apps_are_those_of_the_tour() -> None:
    documents = list(yaml.safe_load_all(texts("bookinfo")["bookinfo.yaml"]))
    pods = [one for one in documents if one["kind"] == "Pod"]
    assert tuple(pod["metadata"]["name"] for pod in pods) == manifests.PODS
    assert {pod["spec"]["containers"][0]["command"][0] for pod in pods} == {sys.executable}


def test_a_changed_file_is_kept_and_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["helloworld", str(tmp_path)])
    (tmp_path / "gateway.yaml").write_text("mine: true\n")
    (tmp_path / "subsets.yaml").unlink()
    assert main(["helloworld", str(tmp_path)]) == 1
    assert (tmp_path / "gateway.yaml").read_text() == "mine: true\n"
    assert (tmp_path / "subsets.yaml").exists()
    assert "gateway.yaml" in capsys.readouterr().err


def test_an_unusable_folder_is_told_in_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit) as ended:
        main(["helloworld", str(tmp_path / "file")])
    assert ended.value.code == 1
    assert "error:" in capsys.readouterr().err
