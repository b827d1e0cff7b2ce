from .models import User


def find_user(request, name):
    return request.dbsession.get(User, name)
