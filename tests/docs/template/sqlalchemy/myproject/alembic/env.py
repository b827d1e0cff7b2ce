from alembic import context
from pyramid.paster import get_appsettings, setup_logging

from myproject.models import get_engine
from myproject.models.meta import Base

ini = context.config.config_file_name
setup_logging(ini)

with get_engine(get_appsettings(ini)).connect() as connection:
    context.configure(connection=connection, target_metadata=Base.metadata)
    with context.begin_transaction():
        context.run_migrations()
