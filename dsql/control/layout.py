"""Where everything lies under the data directory of one installation.

    lock                          held by the running supervisor; holds its process id
    ca/ca.pem, ca/ca.key          the local certificate authority
    iam.json, iam.lock            access keys and their owners' policies (secret: mode 0600)
    clusters/ID/cluster.json      a ClusterRecord
    clusters/ID/resource.json     what the control plane keeps of it: see `control.resources`
    clusters/ID/certificate.pem, key.pem
    deleted/ID/...                of a cluster that is being deleted
    relay/certificate.pem, key.pem   shown to a client that names no cluster in its TLS handshake
    link/certificate.pem, key.pem    by which the installation's hosts know each other
    relay/cancel.key              32 bytes, secret: by them a CancelRequest is recognised
    clusters/ID/usage.AGENT       what it has used on that agent's host: see `placement.metering`
    clusters/ID/clock             some words, mapped by many: see `dsql.rpc.clock`
    clusters/ID/AZ.founded        says that the journal replica of AZ exists: a missing one has been lost.
                                  What is in it is a copy of cluster.json
    AZ/ID/journal/, AZ/ID/storage/   see `journal.opening` for what lies beside them after damage
    control/certificate.pem, key.pem   of the control plane's API
    run/control.address           the URL where that is
    run/relay.address             HOST:PORT where the relays listen, for the command line
    run/NAME.sock                 Unix sockets: relay-N, placement, agent, control, AZ.journal,
                                  AZ.adjudicator, AZ.storage
    run/AZ.awake/                 marks of the clusters that are awake in a zone
    run/voucher.key               32 bytes, secret: by them an agent recognises what an earlier one gave
    logs/NAME.log

Roles run with the data directory as their working directory and use relative socket paths, because a
Unix socket's path may have 107 bytes at most.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import google_crc32c
import msgspec

from dsql.disk.files import SYSTEM_FILES, Files, read_file
from dsql.rpc.link import LinkFiles

log = logging.getLogger(__name__)

CLUSTER_FORMAT = 3  # how the journal's, storage's and the catalog's rows are laid out
_CHECKED_FORMAT = 3  # the first one whose records have a checksum
_PREFIX = b'{"crc32c":"'
_PREFIX_BYTES = len(_PREFIX) + 10  # with eight digits, a quotation mark and a comma
_FOUNDED = ".founded"


class RecordDamagedError(Exception):
    """A cluster's record is not what was written."""


class ClusterRecord(msgspec.Struct):
    """clusters/ID/cluster.json. `profile` is dsql or postgres, `created_at` seconds since 1970.

    `profile_changes`: a session may choose another profile than the cluster's (SET dsql.profile).
    `format`: the CLUSTER_FORMAT that the cluster was made with; the first one is not written down.
    """

    identifier: str
    region: str
    endpoint: str
    account: str
    profile: str
    azs: list[str]
    created_at: float
    profile_changes: bool = False
    format: int = 1


_decoder = msgspec.json.Decoder(ClusterRecord)


def encode_record(record: ClusterRecord) -> bytes:
    """Return a record as it is kept: JSON, whose first member is the CRC32C of the rest."""
    rest = msgspec.json.encode(record)[1:]
    return _prefix(rest) + rest


def decode_record(content: bytes) -> ClusterRecord:
    """Return a record. Raises RecordDamagedError."""
    rest = content[_PREFIX_BYTES:]
    is_checked = content[:_PREFIX_BYTES] == _prefix(rest)
    try:
        record = _decoder.decode(content)
    except msgspec.DecodeError as error:
        raise RecordDamagedError(str(error)) from error
    should_be = content.startswith(_PREFIX) or record.format >= _CHECKED_FORMAT
    if should_be and not is_checked:
        raise RecordDamagedError("the checksum is wrong")
    return record


def _prefix(rest: bytes) -> bytes:
    return _PREFIX + b'%08x",' % google_crc32c.value(rest)


class Layout:
    """Paths below one data directory, which lies on the disk of `files`."""

    def __init__(self, root: Path, files: Files = SYSTEM_FILES) -> None:
        self.root = root
        self.files = files

    @property
    def lock(self) -> Path:
        """The supervisor's lock file."""
        return self.root / "lock"

    @property
    def ca_certificate(self) -> Path:
        """The authority's certificate, for clients' sslrootcert."""
        return self.root / "ca" / "ca.pem"

    @property
    def ca_key(self) -> Path:
        """The authority's private key."""
        return self.root / "ca" / "ca.key"

    @property
    def relay_certificate(self) -> Path:
        """The certificate for handshakes that name no cluster."""
        return self.root / "relay" / "certificate.pem"

    @property
    def relay_key(self) -> Path:
        """The private key of the relay's certificate."""
        return self.root / "relay" / "key.pem"

    @property
    def relay_cancel_key(self) -> Path:
        """The secret by which relays recognise the keys of cancellations."""
        return self.root / "relay" / "cancel.key"

    @property
    def voucher_key(self) -> Path:
        """The secret by which agents recognise their vouchers. No query processor may have it."""
        return self.root / "run" / "voucher.key"

    @property
    def link(self) -> LinkFiles:
        """What the installation's hosts know each other by."""
        folder = self.root / "link"
        return LinkFiles(self.ca_certificate, folder / "certificate.pem", folder / "key.pem")

    @property
    def access_keys(self) -> Path:
        """The IAM store."""
        return self.root / "iam.json"

    @property
    def clusters(self) -> Path:
        """The folder of all clusters."""
        return self.root / "clusters"

    def cluster(self, identifier: str) -> Path:
        """The folder of one cluster."""
        return self.clusters / identifier

    def record(self, identifier: str) -> Path:
        """The file of a cluster's record; the cluster exists once this file does."""
        return self.cluster(identifier) / "cluster.json"

    def resource(self, identifier: str) -> Path:
        """What the control plane keeps of a cluster."""
        return self.cluster(identifier) / "resource.json"

    @property
    def deleted(self) -> Path:
        """Where the folders of clusters are that are being deleted."""
        return self.root / "deleted"

    def deleted_resource(self, identifier: str) -> Path:
        """What the control plane keeps of a cluster that is being deleted."""
        return self.deleted / identifier / "resource.json"

    @property
    def control_certificate(self) -> Path:
        """The certificate of the control plane's API."""
        return self.root / "control" / "certificate.pem"

    @property
    def control_key(self) -> Path:
        """The private key of the control plane's certificate."""
        return self.root / "control" / "key.pem"

    @property
    def control_address(self) -> Path:
        """The file that says where the control plane listens."""
        return self.root / "run" / "control.address"

    def certificate(self, identifier: str) -> Path:
        """A cluster's TLS certificate."""
        return self.cluster(identifier) / "certificate.pem"

    def key(self, identifier: str) -> Path:
        """The private key of a cluster's certificate."""
        return self.cluster(identifier) / "key.pem"

    def clock(self, identifier: str) -> Path:
        """The file that publishes the newest acknowledged commit timestamp."""
        return self.cluster(identifier) / "clock"

    def usage(self, identifier: str, agent: str) -> Path:
        """The file of what a cluster has used on one agent's host."""
        return self.cluster(identifier) / f"usage.{agent}"

    def journal(self, az: str, identifier: str) -> Path:
        """The folder of one journal replica."""
        return self.root / az / identifier / "journal"

    def journal_founded(self, az: str, identifier: str) -> Path:
        """The file that says that a journal replica has been created; a copy of the cluster's record."""
        return self.cluster(identifier) / f"{az}{_FOUNDED}"

    def storage(self, az: str, identifier: str) -> Path:
        """The folder of one storage replica."""
        return self.root / az / identifier / "storage"

    @property
    def relay_address(self) -> Path:
        """The file that says where the relays listen."""
        return self.root / "run" / "relay.address"

    def socket(self, name: str) -> Path:
        """The Unix socket of a role."""
        return self.root / "run" / f"{name}.sock"

    def awake(self, az: str) -> Path:
        """The folder of a zone's marks of clusters that are awake: see `adjudicator.awake`."""
        return self.root / "run" / f"{az}.awake"

    def log(self, name: str) -> Path:
        """The log file of a role."""
        return self.root / "logs" / f"{name}.log"

    def read_cluster(self, identifier: str) -> ClusterRecord | None:
        """Return a cluster's record, None for an unknown (or impossible) identifier.

        From a copy, if it is damaged. Raises RecordDamagedError if no copy is sound.
        """
        if len(identifier) != 26 or not identifier.isalnum():
            return None
        path = self.record(identifier)
        try:
            return decode_record(read_file(self.files, path))
        except FileNotFoundError:
            return None
        except RecordDamagedError as damage:
            log.error("%s is damaged: %s", path, damage)
        return self._read_copy(identifier)

    def _read_copy(self, identifier: str) -> ClusterRecord:
        folder = self.cluster(identifier)
        for name in self.files.list(folder):
            if name.endswith(_FOUNDED):
                with contextlib.suppress(RecordDamagedError):
                    return decode_record(read_file(self.files, folder / name))
        raise RecordDamagedError(
            f"{self.record(identifier)} is damaged, and so are its copies in the files AZ{_FOUNDED} beside "
            "it: put one of them back from a backup"
        )

    def replicas(self, identifier: str) -> list[Path]:
        """Return the folders that zones have of a cluster."""
        found = self.root.glob(f"*/{identifier}")
        return [path for path in found if path.parent not in (self.clusters, self.deleted)]

    def cluster_identifiers(self) -> list[str]:
        """Return every cluster's identifier, sorted."""
        return sorted(path.parent.name for path in self.clusters.glob("*/cluster.json"))
