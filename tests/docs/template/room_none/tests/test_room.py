import pytest
from pyramid.security import remember
from sockjs_bridge.client import connect
from sockjs_bridge.testing import DummyWebSocket, serve

from myproject.routes import Room
from myproject.users import USERS
from myproject.views.room import RoomSession


@pytest.fixture
def cookie(app_request):
    (_, cookie), *_ = remember(app_request, 'ann')
    return cookie


def test_hooks(dummy_config, dummy_request):
    dummy_config.testing_securitypolicy(identity=USERS['ann'])
    dummy_request.matchdict = {'room': 'lobby'}
    dummy_request.context = Room(dummy_request)
    ws = DummyWebSocket(['hello'])
    assert ws.run(RoomSession, dummy_request) == ['ann: hello']


def test_hooks_with_the_policy(app_request, cookie):
    app_request.headers['Cookie'] = cookie
    app_request.matchdict = {'room': 'lobby'}
    app_request.context = Room(app_request)
    ws = DummyWebSocket(['hello'])
    assert ws.run(RoomSession, app_request) == ['ann: hello']


def test_page(testapp):
    assert testapp.get('/rooms/lobby', status=303).location == 'http://example.com/login'
    form = testapp.get('/login').form
    form['name'] = 'ann'
    form.submit(status=303)
    assert 'data-endpoint="/rooms/lobby"' in testapp.get('/rooms/lobby', status=200)


@pytest.mark.asyncio
async def test_connection(app, cookie):
    with serve(app) as url:
        async with connect(f'{url}/rooms/lobby', headers={'Cookie': cookie}) as ann:
            await ann.send('hello')
            assert await ann.recv() == 'ann: hello'
