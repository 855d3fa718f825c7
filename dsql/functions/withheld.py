"""Functions that only a superuser may call, and nobody is one: files, logs, statistics, replication.

They are what PostgreSQL's pg_proc has with an ACL, so that who calls one hears 42501, as there, and what
lists functions and privileges knows them. Those of pg_lsn are left out with the type.
"""

from __future__ import annotations

from typing import Any

from dsql.errors import SqlError
from dsql.functions.definition import define, signatures

_NAMES = """
    lo_export lo_import pg_config pg_current_logfile pg_get_backend_memory_contexts
    pg_get_shmem_allocations pg_hba_file_rules pg_ident_file_mappings pg_log_backend_memory_contexts
    pg_ls_archive_statusdir pg_ls_dir pg_ls_logdir pg_ls_logicalmapdir pg_ls_logicalsnapdir
    pg_ls_replslotdir pg_ls_tmpdir pg_ls_waldir pg_promote pg_read_binary_file pg_read_file
    pg_reload_conf pg_replication_origin_create pg_replication_origin_drop pg_replication_origin_oid
    pg_replication_origin_session_is_setup pg_replication_origin_session_reset
    pg_replication_origin_session_setup pg_replication_origin_xact_reset pg_rotate_logfile
    pg_show_all_file_settings pg_stat_file pg_stat_have_stats pg_stat_reset
    pg_stat_reset_replication_slot pg_stat_reset_shared pg_stat_reset_single_function_counters
    pg_stat_reset_single_table_counters pg_stat_reset_slru pg_stat_reset_subscription_stats
    pg_wal_replay_pause pg_wal_replay_resume
"""
_DEFAULTS = {"pg_promote": (True, 60)}


def _refused(*_arguments: Any) -> Any:
    """Refuse once more what the authorization step does not let through."""
    raise SqlError("42501", "permission denied for function")


for _name in _NAMES.split():
    for _key in signatures(_name):
        define(_key, _refused, defaults=_DEFAULTS.get(_name, ()), acl=())
