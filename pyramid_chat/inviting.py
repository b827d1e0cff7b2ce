"""Links that invite to a room: the page to which they lead, and how members make and end them."""

from __future__ import annotations

from pyramid.httpexceptions import HTTPSeeOther
from pyramid.request import Request
from pyramid.response import Response
from pyramid.view import view_defaults

from pyramid_chat import audit, invitations, options, rooms
from pyramid_chat.decorators import view_config
from pyramid_chat.errors import Problem, rate_limited
from pyramid_chat.live import live_of
from pyramid_chat.messages import JSONObject
from pyramid_chat.models import PUBLIC
from pyramid_chat.rooms import RoomContext
from pyramid_chat.views import after_commit, read_only


@view_defaults(route_name="invitation", renderer="pyramid_chat:templates/invitation.pt")
class InvitationPage:
    """Which room it is, who invites, and a button to join. To look at it changes nothing.

    Raises:
        Problem: the link is not good (any more).
    """

    def __init__(self, request: Request) -> None:
        self.request = request
        self.token: str = request.matchdict["token"]
        self.invited = invitations.invited(request, self.token)

    @view_config(request_method="GET")
    def show(self) -> JSONObject | Response:
        """Shows it, or leads to the room, who is there already."""
        request, invited = self.request, self.invited
        if request.identity is not None:
            found = rooms.load(request.dbsession, invited.room_id, request.identity.id)
            if found is not None and found.member:
                return self._room()
        settings = options.effective(request.dbsession, request.registry.chat_settings)
        return read_only(
            request,
            user=request.identity,
            invited=invited,
            token=self.token,
            registration=settings.registration or invited.admits,
        )

    @view_config(request_method="POST")
    def join(self) -> Response:
        """Makes who is signed in a member."""
        request = self.request
        if request.identity is None:
            # Their sign-in ran out while they looked at the page, which has a way back.
            return HTTPSeeOther(request.route_path("invitation", token=self.token))
        live, user_id = live_of(request.registry), request.identity.id
        for limit in (live.requests, live.changes):
            if wait := limit.take(user_id):
                raise rate_limited(wait)
        used = invitations.use(request.dbsession, self.token, user_id)
        if used is None:
            raise invitations.worthless()
        room_id, joined = used
        if joined:
            after_commit(request, live.membership_changed, room_id, user_id)
        return self._room()

    def _room(self) -> Response:
        return HTTPSeeOther(self.request.route_path("room", room=self.invited.room_id))


@view_config(
    route_name="room_invitations", request_method="GET", renderer="json", permission="invite"
)
def of_room(context: RoomContext, request: Request) -> JSONObject:
    """Lists the links of a room, and whether who asks may have new people admitted."""
    if wait := live_of(request.registry).requests.take(request.identity.id):
        raise rate_limited(wait)
    listed = invitations.of_room(request.dbsession, context.id)
    return {"invitations": listed, "may_admit": request.identity.admin}


@view_config(
    route_name="room_invitations", request_method="POST", renderer="json", permission="invite"
)
def make(context: RoomContext, request: Request) -> JSONObject:
    """Makes a link; its path is told this once."""
    live = live_of(request.registry)
    for limit in (live.requests, live.rooms):
        if wait := limit.take(request.identity.id):
            raise rate_limited(wait)
    admits = request.POST.get("admits", "") == "true"
    if admits and not request.identity.admin:
        raise Problem(403, "Only administrators can let new people make accounts.")
    made, token = invitations.make(
        request.dbsession,
        context.id,
        request.identity.id,
        lifetime=request.registry.chat_settings.invitation_lifetime,
        uses=invitations.checked_uses(request.POST.get("uses", "")),
        admits=admits,
    )
    if admits:
        # The name of a private room is nobody's business.
        about = context.name if context.kind == PUBLIC else "a private room"
        audit.record(request.dbsession, request.identity, "admit", about)
    request.response.status_int = 201
    request.response.headers["Cache-Control"] = "no-store"
    told = invitations.told(made, request.identity.name)
    return told | {"path": request.route_path("invitation", token=token)}


@view_config(
    route_name="room_invitation_revoke", request_method="POST", renderer="json", permission="invite"
)
def revoke(context: RoomContext, request: Request) -> JSONObject:
    """Ends a link; it does not matter whose it is, and whether it was ended before."""
    if wait := live_of(request.registry).requests.take(request.identity.id):
        raise rate_limited(wait)
    invitation_id = int(request.matchdict["id"])
    invitations.revoke(request.dbsession, context.id, invitation_id)
    return {"id": invitation_id}
