import os

import pytest
import webtest
from pyramid.paster import get_appsettings
from pyramid.scripting import prepare
from pyramid.testing import DummyRequest, testConfig

from myproject import main


@pytest.fixture(scope="session")
def ini_file():
    return os.path.abspath("testing.ini")


@pytest.fixture(scope="session")
def app_settings(ini_file):
    return get_appsettings(ini_file)


@pytest.fixture(scope="session")
def app(app_settings):
    return main({}, **app_settings)


@pytest.fixture
def testapp(app):
    return webtest.TestApp(app, extra_environ={"HTTP_HOST": "example.com"})


@pytest.fixture
def app_request(app):
    env = prepare(registry=app.registry)
    env["request"].host = "example.com"
    yield env["request"]
    env["closer"]()


@pytest.fixture
def dummy_request():
    request = DummyRequest()
    request.host = "example.com"
    return request


@pytest.fixture
def dummy_config(dummy_request):
    with testConfig(request=dummy_request) as config:
        yield config
