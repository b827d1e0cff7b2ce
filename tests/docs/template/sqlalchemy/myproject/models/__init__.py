import zope.sqlalchemy
from sqlalchemy import engine_from_config
from sqlalchemy.orm import configure_mappers, sessionmaker

from .mymodel import MyModel

configure_mappers()


def get_engine(settings, prefix='sqlalchemy.'):
    return engine_from_config(settings, prefix)


def get_session_factory(engine):
    return sessionmaker(bind=engine)


def get_tm_session(session_factory, transaction_manager, request=None):
    dbsession = session_factory(info={'request': request})
    zope.sqlalchemy.register(dbsession, transaction_manager=transaction_manager)
    return dbsession


def includeme(config):
    settings = config.get_settings()
    settings['tm.manager_hook'] = 'pyramid_tm.explicit_manager'
    config.include('pyramid_tm')
    config.include('pyramid_retry')

    # The tests give their engine, and their session.
    engine = settings.get('dbengine') or get_engine(settings)
    session_factory = config.registry['dbsession_factory'] = get_session_factory(engine)

    def dbsession(request):
        given = request.environ.get('app.dbsession')
        return given or get_tm_session(session_factory, request.tm, request=request)

    config.add_request_method(dbsession, reify=True)
