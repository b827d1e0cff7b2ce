"""The connections of the chat."""

from __future__ import annotations

from pyramid_chat.messages import Join, Refused, parse
from pyramid_chat.models import Room
from sockjs_bridge import WebSocketSession, websocket_view


@websocket_view(route_name="chat", permission="view")
class ChatSession(WebSocketSession):
    """One browser's connection. The hooks are plain methods: they run in a pool of threads."""

    @property
    def room(self) -> Room:
        """The room of the application."""
        room: Room = self.request.registry.chat_room
        return room

    def on_message(self, message: str) -> None:
        """Does what the client asks for, or tells it why not."""
        try:
            request = parse(message)
            if isinstance(request, Join):
                self.room.join(self, request)
            else:
                self.room.post(self, request)
        except Refused as refused:
            self.send(refused.event())

    def on_close(self) -> None:
        """Tells the others."""
        self.room.leave(self)
