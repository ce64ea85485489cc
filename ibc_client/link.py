"""The connection of a client to a policy server, kept up in the background."""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import TYPE_CHECKING, Any

from ibc_client.messages import VERSION, MessageError, confidence_of, decode, encode

if TYPE_CHECKING:
    from websockets.asyncio.client import ClientConnection, connect

#: Seconds between attempts to connect: the first, and the longest.
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
#: Seconds between signs of life that are asked for, and after which a silent server is taken for dead.
HEARTBEAT, DEAD_AFTER = 1.0, 3.0
#: Seconds after which an answer is no longer waited for, and a new connection is made.
LOST_AFTER = 10.0
#: The most bytes of an answer.
MAX_BYTES = 1 << 20


class ServerError(ConnectionError):
    """There is no server, or it refuses this client or its request; one line.

    Attributes:
        confidence: of the decision that the server holds back, if it is that.
    """

    def __init__(self, reason: str, confidence: float | None = None) -> None:
        super().__init__(reason)
        self.confidence = confidence


class Link:
    """Requests and answers, one at a time.

    Everything runs in one event loop. A request that is given up stays the one under way until its answer has come,
    which is then dropped; so a slow server is never sent more than it answers.

    Args:
        url: of the server.
        token: that it asks for, if any.

    Attributes:
        trouble: why there is no connection; empty while there is one.
        refusal: why the server that was there last does not accept this client; empty if it may.
        action_dim: D, of the policy.
    """

    def __init__(self, url: str, token: str | None) -> None:
        self.url, self.token = url, token
        self.trouble, self.refusal = "not connected yet", ""
        self.action_dim = 0
        self._seed: int | None = None
        self._number = 0
        self._under_way: asyncio.Future[dict[str, Any]] | None = None
        self._asked_at = 0.0
        self._connection: ClientConnection | None = None
        self._is_up = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._sending: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Begin to connect, now and whenever the connection is lost."""
        self._keeper = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the connection for good."""
        if self._keeper is not None:
            self._keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._keeper

    async def reset(self, seed: int) -> int:
        """Begin an episode; returns the size of actions.

        Raises:
            ServerError: the server refuses.
        """
        self._seed = seed
        while True:
            if self.refusal:
                raise ServerError(self.refusal)
            if not self._is_up.is_set():
                await asyncio.sleep(0.01)
                continue
            try:
                await self.ask({"type": "reset", "seed": seed})
                return self.action_dim
            except ServerError:
                if (
                    self._is_up.is_set()
                ):  # the server's own word; a connection that was lost comes again
                    raise

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request.

        Raises:
            ServerError: the server refuses it, or the connection is lost.
            MessageError: the request cannot be written, or its answer not read.
        """
        await self._is_up.wait()
        if self._under_way is not None and not self._under_way.done():
            if time.monotonic() - self._asked_at > LOST_AFTER and self._connection is not None:
                self._connection.transport.abort()
            await asyncio.wait([self._under_way])
            await self._is_up.wait()
        self._number += 1
        data = encode({**message, "id": self._number})
        self._under_way = asyncio.get_running_loop().create_future()
        self._asked_at = time.monotonic()
        # A task of its own: giving up the request does not cut what is being sent.
        self._sending = asyncio.create_task(self._send(data))
        return await asyncio.shield(self._under_way)

    async def _send(self, data: bytes) -> None:
        assert self._connection is not None
        with contextlib.suppress(Exception):  # a lost connection is seen by whoever reads
            await self._connection.send(data)

    async def _keep(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                async with self._connecting() as connection:
                    await self._greet(connection)
                    pause = FIRST_PAUSE
                    self._connection, self.trouble, self.refusal = connection, "", ""
                    self._is_up.set()
                    async for data in connection:
                        self._take(data)
                self.trouble = "the server has ended the connection"
            except Exception as error:  # sockets, handshakes and messages fail in many ways
                self.trouble = " ".join(str(error).split())[:200] or type(error).__name__
                if getattr(getattr(error, "response", None), "status_code", None) == 401:
                    self.refusal = "the server refuses the token (HTTP 401)"
            finally:
                self._is_up.clear()
                self._connection = None
                self._settle(ServerError(f"the connection is lost: {self.trouble}"))
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _connecting(self) -> connect:
        from websockets.asyncio.client import connect

        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        return connect(
            self.url,
            additional_headers=headers,
            compression=None,
            max_size=MAX_BYTES,
            ping_interval=HEARTBEAT,
            ping_timeout=DEAD_AFTER,
            open_timeout=DEAD_AFTER,
            close_timeout=HEARTBEAT,
            proxy=None,
        )

    async def _greet(self, connection: ClientConnection) -> None:
        """Say hello, and begin the episode that was under way before the connection was lost."""
        async with asyncio.timeout(DEAD_AFTER):
            await connection.send(encode({"type": "hello", "version": VERSION}))
            hello = decode(await connection.recv())
            if hello.get("version") != VERSION or type(hello.get("action_dim")) is not int:
                self.refusal = str(hello.get("message", "the server has another version"))
                raise ServerError(self.refusal)
            self.action_dim = hello["action_dim"]
            if self._seed is not None:
                await connection.send(encode({"type": "reset", "seed": self._seed}))
                decode(await connection.recv())

    def _take(self, data: bytes | str) -> None:
        """Give a message of the server to the request it answers."""
        try:
            message = decode(data)
        except MessageError as error:
            self._settle(error)
            return
        is_error = message["type"] == "error"
        number = message.get("id")
        if number == self._number or (is_error and number is None):
            refused = ServerError(str(message.get("message")), confidence_of(message))
            self._settle(refused if is_error else message)

    def _settle(self, result: dict[str, Any] | Exception) -> None:
        waiting = self._under_way
        if waiting is None or waiting.done():
            return
        if isinstance(result, Exception):
            waiting.set_exception(result)
            waiting.exception()  # nobody may be waiting any more
        else:
            waiting.set_result(result)
