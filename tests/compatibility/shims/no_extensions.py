"""A pytest plugin: SQLAlchemy's suite makes extensions before its first test, or runs none."""

from sqlalchemy.dialects.postgresql import provision

provision._extensions.clear()
