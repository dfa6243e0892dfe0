"""The test environment itself: offline, empty caches, and no connection to elsewhere."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.conftest import pytest_collection_modifyitems, shared_folder


def test_a_connection_to_another_machine_is_refused_before_it_is_made() -> None:
    with socket.socket() as client, pytest.raises(AssertionError, match="192.0.2.1"):  # an address kept for documents
        client.connect(("192.0.2.1", 80))


def test_a_connection_to_this_machine_works() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        client.sendall(b"x")
        peer, _ = server.accept()
        with peer:
            assert peer.recv(1) == b"x"


def test_hugging_face_libraries_are_offline_with_a_cache_of_their_own() -> None:
    import huggingface_hub.constants as hub

    assert hub.HF_HUB_OFFLINE
    assert Path(hub.HF_HOME) == Path(os.environ["HF_HOME"])
    assert "altclip-tests-" in hub.HF_HOME


def test_the_marker_shared_comes_with_the_fixture() -> None:
    class Item:
        def __init__(self, *fixturenames: str) -> None:
            self.fixturenames, self.markers = fixturenames, list[str]()

        def add_marker(self, marker: pytest.MarkDecorator) -> None:
            self.markers.append(marker.name)

    user, other = Item("tmp_path", "shared"), Item("tmp_path")
    pytest_collection_modifyitems([user, other])  # type: ignore[list-item]
    assert (user.markers, other.markers) == (["shared"], [])


def test_absent_data_is_a_skip_with_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ALTCLIP_SHARED", str(tmp_path))
    with pytest.raises(pytest.skip.Exception, match="ALTCLIP_SHARED"):
        shared_folder()
    (tmp_path / "data").mkdir()
    assert shared_folder() == tmp_path
