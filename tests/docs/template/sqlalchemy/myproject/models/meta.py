from sqlalchemy import MetaData
from sqlalchemy.orm import declarative_base

# Alembic finds a constraint again by its name.
NAMING_CONVENTION = {
    'pk': 'pk_%(table_name)s',
    'uq': 'uq_%(table_name)s_%(column_0_name)s',
    'fk': 'fk_%(table_name)s_%(column_0_name)s',
}

Base = declarative_base(metadata=MetaData(naming_convention=NAMING_CONVENTION))
