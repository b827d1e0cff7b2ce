from pyramid.csrf import get_csrf_token
from pyramid.httpexceptions import HTTPForbidden, HTTPSeeOther
from pyramid.security import remember
from pyramid.view import forbidden_view_config, view_config


@view_config(
    route_name='login', request_method='GET', renderer='myproject:templates/login.jinja2'
)
def login_page(request):
    return {'csrf_token': get_csrf_token(request)}


@view_config(route_name='login', request_method='POST')
def login(request):
    headers = remember(request, request.POST['name'])
    return HTTPSeeOther(request.route_path('home'), headers=headers)


@forbidden_view_config()
def forbidden(request):
    if request.is_authenticated:
        return HTTPForbidden()
    return HTTPSeeOther(request.route_path('login'))
