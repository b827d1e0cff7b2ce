"""The directive that bounds the bodies of requests to some paths."""

from __future__ import annotations

import pytest
from pyramid.config import Configurator
from pyramid.exceptions import ConfigurationConflictError, ConfigurationError


@pytest.fixture
def config() -> Configurator:
    config = Configurator()
    config.include("sockjs_bridge")
    return config


def test_it_is_introspectable(config: Configurator) -> None:
    config.add_body_limit("/files/.*", "300")
    config.commit()
    (found,) = config.introspector.get_category("body limits")
    assert dict(found["introspectable"]) == {"path": "/files/.*", "max_size": 300}
    assert config.registry.sockjs.endpoints.max_body_size("/files/1") == 300
    assert config.registry.sockjs.endpoints.max_body_size("/files") is None


def test_the_same_path_twice_is_a_conflict(config: Configurator) -> None:
    config.add_body_limit("/files", 300)
    config.add_body_limit("/files", 400)
    with pytest.raises(ConfigurationConflictError):
        config.commit()


@pytest.mark.parametrize(
    ("path", "size"),
    [("/files(", 1), (None, 1), ("/files", -1), ("/files", "10M"), ("/files", 1.5)],
)
def test_what_cannot_be(config: Configurator, path: str, size: int) -> None:
    with pytest.raises(ConfigurationError, match="add_body_limit"):
        config.add_body_limit(path, size)
