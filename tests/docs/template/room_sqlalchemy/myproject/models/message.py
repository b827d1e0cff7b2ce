from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column, relationship

from .meta import Base
from .user import User


class Message(Base):
    __tablename__ = 'messages'
    id: Mapped[int] = mapped_column(primary_key=True)
    room: Mapped[str]
    text: Mapped[str]
    creator_name: Mapped[str] = mapped_column(ForeignKey('users.name'))
    creator: Mapped[User] = relationship()
