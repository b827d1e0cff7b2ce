from pyramid.view import view_config
from sockjs_bridge import WebSocketSession, websocket_view

MESSAGES = []


@view_config(
    route_name='room', permission='talk', renderer='myproject:templates/room.jinja2'
)
def room_page(request):
    return {'messages': MESSAGES}


@websocket_view(route_name='room', permission='talk')
class RoomSession(WebSocketSession):
    def on_open(self):
        self.join(self.request.context.name)

    def on_message(self, text):
        MESSAGES.append(text)
        message = f'{self.request.identity.name}: {text}'
        self.request.sockjs.broadcast(message, room=self.request.context.name)
