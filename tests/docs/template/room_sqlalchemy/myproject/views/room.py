from pyramid.view import view_config
from sockjs_bridge import WebSocketSession, websocket_view
from sqlalchemy import func, select

from ..models import Message


@view_config(
    route_name='room', permission='talk', renderer='myproject:templates/room.jinja2'
)
def room_page(request):
    stored = select(Message.text).where(Message.room == request.context.name).order_by(Message.id)
    return {'messages': request.dbsession.scalars(stored).all()}


@websocket_view(route_name='room', permission='talk')
class RoomSession(WebSocketSession):
    def on_open(self):
        self.join(self.request.context.name)

    def on_message(self, text):
        user, room = self.request.identity, self.request.context.name
        message = f'{user.name}: {text}'
        with self.transaction():
            self.request.dbsession.add(Message(room=room, text=text, creator=user))
        self.request.sockjs.broadcast(message, room=room)
