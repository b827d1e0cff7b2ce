import pytest
from pyramid.security import remember
from sockjs_bridge.client import connect
from sockjs_bridge.testing import DummyWebSocket, serve
from sqlalchemy import delete, select

from myproject.models import Message, User
from myproject.routes import Room
from myproject.views.room import RoomSession

STORED = select(Message.creator_name, Message.text)


@pytest.fixture
def ann(dbsession):
    ann = User(name='ann', role='member')
    dbsession.add(ann)
    dbsession.flush()
    return ann


@pytest.fixture
def cookie(app_request):
    (_, cookie), *_ = remember(app_request, 'ann')
    return cookie


@pytest.fixture
def committed(app):
    """What an application that is served finds and leaves: it has transactions of its own."""
    factory = app.registry['dbsession_factory']
    with factory.begin() as session:
        session.add(User(name='ann', role='member'))
    yield factory
    with factory.begin() as session:
        session.execute(delete(Message))
        session.execute(delete(User))


def test_hooks(dummy_config, dummy_request, dbsession, ann):
    dummy_config.testing_securitypolicy(identity=ann)
    dummy_request.matchdict = {'room': 'lobby'}
    dummy_request.context = Room(dummy_request)
    ws = DummyWebSocket(['hello'])
    assert ws.run(RoomSession, dummy_request) == ['ann: hello']
    assert dbsession.execute(STORED).all() == [('ann', 'hello')]


def test_hooks_with_the_policy(app_request, dbsession, ann, cookie):
    app_request.headers['Cookie'] = cookie
    app_request.matchdict = {'room': 'lobby'}
    app_request.context = Room(app_request)
    ws = DummyWebSocket(['hello'])
    assert ws.run(RoomSession, app_request) == ['ann: hello']
    assert dbsession.execute(STORED).all() == [('ann', 'hello')]


def test_nothing_is_left(dbsession):
    assert dbsession.execute(STORED).all() == []


def test_page(testapp, ann):
    assert testapp.get('/rooms/lobby', status=303).location == 'http://example.com/login'
    form = testapp.get('/login').form
    form['name'] = 'ann'
    form.submit(status=303)
    assert 'data-endpoint="/rooms/lobby"' in testapp.get('/rooms/lobby', status=200)


@pytest.mark.asyncio
async def test_connection(app, cookie, committed):
    with serve(app) as url:
        async with connect(f'{url}/rooms/lobby', headers={'Cookie': cookie}) as ann:
            await ann.send('hello')
            assert await ann.recv() == 'ann: hello'
    with committed() as session:
        assert session.execute(STORED).all() == [('ann', 'hello')]
