from pyramid.response import Response
from pyramid.view import view_config
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from .. import models


@view_config(route_name='home', renderer='myproject:templates/mytemplate.jinja2')
def my_view(request):
    query = select(models.MyModel).where(models.MyModel.name == 'one')
    try:
        one = request.dbsession.scalars(query).one()
    except SQLAlchemyError:
        return Response('The database has no such row.', content_type='text/plain', status=500)
    return {'one': one, 'project': 'My project'}
