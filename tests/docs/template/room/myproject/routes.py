from pyramid.authorization import Allow


class Room:
    __acl__ = [(Allow, 'role:member', 'talk')]

    def __init__(self, request):
        self.name = request.matchdict['room']


def includeme(config):
    config.add_static_view('static', 'static', cache_max_age=3600)
    config.add_route('home', '/')
    config.add_route('login', '/login')
    config.add_sockjs_route('room', '/rooms/{room}', factory=Room)
