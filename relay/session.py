"""One client connection, from its first byte until somebody else has it.

    bytes -> Handshake (plain) -> TlsChannel -> Handshake (inside TLS) -> Login -> Password
      Login      which cluster
      Password   is the token good, may the cluster have another connection now; then, with reading
                 stopped: ask placement for a place, hand over

Everything up to the password happens inside `data_received`; only the hand-over waits for others. A failure
costs the client one FATAL message and the log one line.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import cast

from dsql.errors import FatalError
from dsql.iam.request import mapped_identity
from dsql.limits import truncate_identifier
from dsql.session.handed import HandedSession
from dsql.wire.backend import error_response
from placement.client import Place
from relay.admission import source_of
from relay.audit import ACCESS_DENIED, LoginAttempt
from relay.clusters import Cluster
from relay.delivery import Delivery
from relay.front_door import FrontDoor
from relay.handshake import Cancel, Event, Handshake, Login, Password, Reply, StartTls
from relay.iam_token import AccessDeniedError
from relay.routing import choose_cluster, no_such_cluster, take_cluster_option
from relay.tls import TlsChannel, TlsError

_log = logging.getLogger(__name__)

DATABASE = "postgres"
# Far more than a client sends before it knows that it is let in; a hand-over is one packet.
PENDING_BYTES_MAX = 65_536
AGAIN_SECONDS = 0.05


class RelaySession(asyncio.Protocol):
    """The protocol of one client's transport. It ends by handing over, by splicing or by closing."""

    _transport: asyncio.Transport
    _attempt: LoginAttempt
    _source: str
    _cluster: Cluster
    _parameters: dict[str, str]

    def __init__(self, door: FrontDoor) -> None:
        self._door = door
        self._handshake = Handshake()
        self._channel: TlsChannel | None = None
        self._listening = True  # False once the client's bytes are not for the relay any more
        self._ended = False
        self._delivery: Delivery | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._all_sent: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Start the clock of the login."""
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(0)  # resume_writing then means: all is sent
        door, metrics = self._door, self._door.metrics
        metrics.accepted += 1
        metrics.open_logins += 1
        host, port = _peer(self._transport)
        self._attempt = LoginAttempt(host, port)
        self._source = source_of(host)
        self._set_deadline(door.settings.login_seconds)
        loser = door.admission.enter(self, self._source)
        if loser is not None:
            loser.give_way()

    def give_way(self) -> None:
        """End a login that is under way, in favour of a newer one."""
        self._door.metrics.gave_way += 1
        self._refuse(_too_many_logins())

    def data_received(self, data: bytes) -> None:
        """Take the client's bytes as far as they go."""
        if not self._listening:
            return
        try:
            if self._channel is None:
                self._obey(self._handshake.receive(data))
            else:
                self._receive_ciphertext(self._channel, data)
        except FatalError as error:
            self._refuse(error)
        except TlsError as error:
            self._break_off(str(error))
        except Exception:
            _log.exception("login of %s failed", self._attempt.client_address)
            self._refuse(_internal_error())

    def resume_writing(self) -> None:
        """Wake the hand-over, which waits until everything was sent."""
        if self._all_sent is not None and not self._all_sent.done():
            self._all_sent.set_result(None)

    def connection_lost(self, _: Exception | None) -> None:
        """Account for a client that went away by itself."""
        self._stop_hand_over()
        if not self._ended:
            self._break_off("the client closed the connection")

    def _receive_ciphertext(self, channel: TlsChannel, data: bytes) -> None:
        channel.receive(data)
        if not channel.established:
            established = channel.advance_handshake()
            # Session tickets are sent at once, though nobody waits for them: without a reply, a client
            # with Nagle's algorithm on keeps its StartupMessage until the delayed ACK, for 40 ms.
            self._flush(channel)
            if not established:
                return
            self._attempt.tls = channel.description
            self._handshake.tls_established(channel.application_protocol)
        while self._listening and (plaintext := channel.next_plaintext()) is not None:
            self._obey(self._handshake.receive(plaintext))
        if channel.closed and self._listening:
            self._break_off("the client closed the connection")

    def _obey(self, events: list[Event]) -> None:
        for event in events:
            match event:
                case Reply(data):
                    self._transport.write(data)
                case StartTls(reply, ciphertext):
                    if reply:
                        self._transport.write(reply)
                    self._channel = TlsChannel(self._door.entry_context)
                    self._receive_ciphertext(self._channel, ciphertext)
                case Cancel(process_id, secret_key):
                    self._cancel(process_id, secret_key)
                case Login(parameters, reply):
                    self._begin_login(parameters)
                    assert self._channel is not None
                    self._channel.send(reply)
                    self._flush(self._channel)
                case Password(token, pending):
                    self._check_password(token, pending)

    def _cancel(self, process_id: int, secret_key: int) -> None:
        """Pass on a cancellation whose key was given out, as often as its sender may."""
        door, metrics = self._door, self._door.metrics
        reason = ""
        if not door.cancel_keys.knows(process_id, secret_key):
            metrics.cancels_unknown += 1
            reason = "unknown key"
        elif not door.cancel_limit.take(self._source, time.monotonic()):
            metrics.cancels_limited += 1
            reason = "rate exceeded"
        else:
            self._attempt.connection = process_id
            metrics.cancels += 1
            door.spawn(door.placement.cancel(process_id, secret_key))
        if self._channel is not None:  # libpq takes an end without close_notify for a failure
            self._channel.finish()
            self._flush(self._channel)
        self._close("cancel", reason)

    def _begin_login(self, parameters: dict[str, str]) -> None:
        """Find the cluster."""
        door, attempt = self._door, self._attempt
        assert self._channel is not None
        attempt.user = truncate_identifier(parameters["user"])
        option, options = take_cluster_option(parameters.get("options", ""))
        identifier = choose_cluster(self._channel.server_name, option)
        attempt.cluster = identifier
        cluster = door.clusters.find(identifier)
        if cluster is None:
            raise no_such_cluster()
        self._cluster = cluster
        attempt.resource = cluster.target.arn
        self._parameters = parameters | {"options": options} if option else parameters

    def _check_password(self, token: str, pending: bytes) -> None:
        """Verify the token; if it is good, stop reading and let the hand-over begin.

        Placement charges the cluster's connection rate, so whoever has no token cannot use it up.
        """
        door, attempt = self._door, self._attempt
        identity = door.verifier.verify(
            token, self._cluster.target, attempt.user, door.wall_clock(), attempt.address
        )
        attempt.signed_by(identity)
        database = truncate_identifier(self._parameters.get("database", DATABASE))
        if database != DATABASE:
            raise FatalError("3D000", f'database "{database}" does not exist')
        assert self._channel is not None
        if len(pending) + self._channel.unread_bytes > PENDING_BYTES_MAX:
            raise FatalError("08P01", "received too much data before authentication")
        door.metrics.logins += 1
        door.admission.leave(self)
        self._set_deadline(door.settings.place_seconds)
        self._listening = False
        self._transport.pause_reading()
        self._task = door.spawn(self._hand_over(pending))

    async def _hand_over(self, pending: bytes) -> None:
        """Give the session to an agent, before the deadline for that."""
        assert self._channel is not None
        self._delivery = Delivery(
            self._door, self._transport, self._channel, lambda: self._end("accepted")
        )
        try:
            await self._wait_until_sent()
            while not await self._place(pending):
                await asyncio.sleep(AGAIN_SECONDS)
        except FatalError as error:
            self._refuse(error)
        except Exception:
            _log.exception("hand-over of %s failed", self._attempt.client_address)
            self._refuse(_internal_error())
        finally:
            self._delivery = None  # it knows this session: only the collector would find the two

    async def _place(self, pending: bytes) -> bool:
        """Find an agent and give it the session; return False if that has just gone."""
        door = self._door
        place = await door.placement.acquire(self._cluster.record.identifier, door.settings.az)
        assert self._delivery is not None
        return await self._delivery.deliver(place.agent, self._handed(place, pending))

    def _handed(self, place: Place, pending: bytes) -> HandedSession:
        attempt = self._attempt
        attempt.connection = place.process_id
        return HandedSession(
            cluster=self._cluster.record.identifier,
            user=attempt.user,
            database=DATABASE,
            identity=mapped_identity(attempt.principal),
            parameters=self._parameters,
            process_id=place.process_id,
            secret_key=place.secret_key,
            client_address=attempt.client_address,
            tls=None,
            pending=pending,
        )

    async def _wait_until_sent(self) -> None:
        """Wait until the kernel has everything written so far: a later write would be misnumbered."""
        if self._transport.get_write_buffer_size():
            self._all_sent = asyncio.get_running_loop().create_future()
            await self._all_sent

    @property
    def _given(self) -> bool:
        """From then on nothing may be written to the socket."""
        return self._delivery is not None and self._delivery.given

    def _flush(self, channel: TlsChannel) -> None:
        if output := channel.drain():
            self._transport.write(output)

    def _refuse(self, error: FatalError) -> None:
        """Tell the client why, if it can still be told, and close."""
        self._door.metrics.refused[error.sqlstate] += 1
        self._tell(error)
        reason, self._attempt.error = error.message, error.sqlstate
        if isinstance(error, AccessDeniedError):
            reason, self._attempt.error = error.reason, ACCESS_DENIED
            if error.identity is not None:
                self._attempt.signed_by(error.identity)
        self._close("refused", reason)

    def _break_off(self, reason: str) -> None:
        """Close a connection that cannot be told anything but what TLS has to say."""
        self._door.metrics.broken += 1
        if self._channel is not None and not self._given:
            self._flush(self._channel)
        self._close("broken", reason)

    def _tell(self, error: FatalError) -> None:
        channel = self._channel
        if self._given or self._transport.is_closing():
            return
        if channel is None:
            self._transport.write(error_response(error))
        elif channel.established:
            channel.send(error_response(error))
            channel.finish()
            self._flush(channel)

    def _set_deadline(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
        self._deadline = asyncio.get_running_loop().call_later(seconds, self._time_out)

    def _time_out(self) -> None:
        self._stop_hand_over()
        self._refuse(FatalError("08006", "canceling authentication due to timeout"))

    def _stop_hand_over(self) -> None:
        if self._task is not None and not self._ended:
            self._task.cancel()

    def _close(self, outcome: str, reason: str) -> None:
        self._end(outcome, reason)
        if self._channel is not None:
            self._channel.wipe()
        self._transport.close()

    def _end(self, outcome: str, reason: str = "") -> None:
        """Account for the end of the login, once."""
        if self._ended:
            return
        self._ended, self._listening = True, False
        if self._deadline is not None:
            self._deadline.cancel()
        door = self._door
        door.admission.leave(self)
        door.metrics.open_logins -= 1
        door.audit.record(self._attempt, self._source, time.monotonic(), outcome, reason)


def _peer(transport: asyncio.Transport) -> tuple[str, int]:
    """Return the client's host and port; nobody's if it has gone already."""
    peer = transport.get_extra_info("peername")
    return peer[:2] if isinstance(peer, tuple) else ("", 0)


def _too_many_logins() -> FatalError:
    return FatalError("53300", "Unable to accept connection, too many open connections.")


def _internal_error() -> FatalError:
    return FatalError("XX000", "internal error")
