"""Roles, the database, its settings, background jobs and IAM mappings as system tables."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Mapping
from typing import Any

from dsql.catalog.jobs import RETENTION_MICROSECONDS, read_jobs
from dsql.catalog.relations import ADMIN_OID
from dsql.catalog.schema import Role
from dsql.catalog.virtual import provides

Row = Mapping[str, Any]
DATABASE_OID = 5
_UTF8 = 6


@provides("pg_catalog", "pg_roles")
def _pg_roles(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        yield _role_row(role) | {"rolpassword": "********", "oid": role.oid}


@provides("pg_catalog", "pg_authid")
def _pg_authid(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        yield _role_row(role) | {"oid": role.oid}


def _role_row(role: Role) -> dict[str, Any]:
    is_admin = role.oid == ADMIN_OID
    return {
        "rolname": role.name,
        "rolsuper": False,
        "rolinherit": role.inherit,
        "rolcreaterole": is_admin,
        "rolcreatedb": False,
        "rolcanlogin": role.login,
        "rolreplication": False,
        "rolbypassrls": False,
        "rolconnlimit": -1,
    }


@provides("pg_catalog", "pg_user")
def _pg_user(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        if role.login:
            yield {
                "usename": role.name,
                "usesysid": role.oid,
                "usecreatedb": False,
                "usesuper": False,
                "userepl": False,
                "usebypassrls": False,
                "passwd": "********",
            }


@provides("pg_catalog", "pg_auth_members")
def _pg_auth_members(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        for parent in role.member_of:
            yield {
                "oid": parent * 65_536 + role.oid,
                "roleid": parent,
                "member": role.oid,
                "grantor": ADMIN_OID,
                "inherit_option": role.inherit,
                "set_option": True,
            }


@provides("pg_catalog", "pg_database")
def _pg_database(context: Any) -> Iterator[Row]:
    del context
    yield {
        "oid": DATABASE_OID,
        "datname": "postgres",
        "datdba": ADMIN_OID,
        "encoding": _UTF8,
        "datlocprovider": "c",
        "datallowconn": True,
        "datconnlimit": -1,
        "dattablespace": 1663,
        "datcollate": "C",
        "datctype": "C",
    }


@provides("pg_catalog", "pg_tablespace")
def _pg_tablespace(context: Any) -> Iterator[Row]:
    del context
    yield {"oid": 1663, "spcname": "pg_default", "spcowner": ADMIN_OID}


@provides("pg_catalog", "pg_settings")
def _pg_settings(context: Any) -> Iterator[Row]:
    for name, value, description in context.all_settings():
        yield {
            "name": name,
            "setting": value,
            "category": "Session",
            "short_desc": description,
            "context": "user",
            "vartype": "string",
            "source": "session",
            "boot_val": value,
            "reset_val": value,
            "pending_restart": False,
        }


@provides("sys", "jobs")
def _sys_jobs(context: Any) -> Iterator[Row]:
    forgotten = context.statement_timestamp - RETENTION_MICROSECONDS
    for job in read_jobs(context.transaction):
        if job.job_type == "REWRITE" or (job.update_time or forgotten + 1) < forgotten:
            continue
        yield {
            "job_id": job.text_id,
            "status": job.status,
            "details": job.details,
            "job_type": job.job_type,
            "class_id": 1259,
            "object_id": job.object_oid or None,
            "object_name": job.object_name,
            "start_time": job.start_time,
            "update_time": job.update_time,
        }


@provides("sys", "iam_pg_role_mappings")
def _iam_role_mappings(context: Any) -> Iterator[Row]:
    for role in context.catalog.roles.values():
        for arn in role.arns:
            yield {
                "iam_oid": zlib.crc32(arn.encode()),
                "arn": arn,
                "pg_role_oid": role.oid,
                "pg_role_name": role.name,
                "grantor_pg_role_oid": ADMIN_OID,
                "grantor_pg_role_name": "admin",
            }
