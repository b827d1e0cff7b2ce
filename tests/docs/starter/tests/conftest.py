import pytest
import webtest
from pyramid.paster import get_appsettings
from pyramid.scripting import prepare
from pyramid.testing import DummyRequest

from myproject import main


@pytest.fixture(scope="session")
def app():
    return main({}, **get_appsettings("testing.ini"))


@pytest.fixture
def testapp(app):
    return webtest.TestApp(app, extra_environ={"HTTP_HOST": "example.com"})


@pytest.fixture
def app_request(app):
    env = prepare(registry=app.registry)
    yield env["request"]
    env["closer"]()


@pytest.fixture
def dummy_request():
    return DummyRequest()
