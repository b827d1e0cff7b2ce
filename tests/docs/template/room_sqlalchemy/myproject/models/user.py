from sqlalchemy.orm import Mapped, mapped_column

from .meta import Base


class User(Base):
    __tablename__ = 'users'
    name: Mapped[str] = mapped_column(primary_key=True)
    role: Mapped[str]
