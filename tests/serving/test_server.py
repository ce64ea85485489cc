"""A policy server, asked through real sockets."""

import asyncio
import contextlib
import random
import time

import numpy as np
import pytest
from served import serving, sum_policy
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ibc import Controller, UserError
from ibc.serving import PolicyServer
from ibc.serving.server import message_bytes
from ibc_client.messages import VERSION, array_of, decode, encode

OBS = {"state": np.arange(3, dtype=np.float32), "front": np.zeros((4, 5, 3), np.uint8)}
HELLO = {"type": "hello", "version": VERSION}


@pytest.fixture(scope="module")
def server():
    with serving(sum_policy()) as running:
        yield running


def ask(connection, message):
    connection.send(message if isinstance(message, bytes | str) else encode(message))
    return decode(connection.recv(5))


@contextlib.contextmanager
def greeted(server, seed=0):
    with connect(server.url, proxy=None) as connection:
        assert ask(connection, HELLO)["type"] == "hello"
        assert ask(connection, {"type": "reset", "seed": seed, "id": 1})["type"] == "ready"
        yield connection


def act(connection, obs=OBS):
    return array_of(ask(connection, {"type": "step", "obs": obs, "id": 2})["action"])


def own(server, seed):
    controller = Controller(server.policy)
    controller.reset(seed)
    return controller


def test_the_greeting_says_what_the_policy_sees_and_does(server):
    with connect(server.url, proxy=None) as connection:
        hello = ask(connection, HELLO)
    assert hello["action_dim"] == 2
    assert hello["obs"]["front"] == {"shape": [4, 5, 3], "dtype": "uint8"}


def test_each_client_has_its_history_chunk_and_random_numbers(server):
    with greeted(server, seed=1) as first, greeted(server, seed=2) as second:
        mirrors = own(server, 1), own(server, 2)
        for step in range(5):
            for scale, client, mirror in zip((1, -3), (first, second), mirrors, strict=True):
                obs = {**OBS, "state": scale * step * OBS["state"]}
                np.testing.assert_array_equal(act(client, obs), mirror.step(obs))


DAMAGED = {
    "text": "hello",
    "no msgpack": b"\xc1\xff\x00",
    "no map": b"\x93\x01\x02\x03",
    "no type": {"obs": OBS},
    "unknown": {"type": "eval"},
    "no observation": {"type": "step"},
    "wrong names": {"type": "step", "obs": {"state": OBS["state"]}},
    "wrong shape": {"type": "step", "obs": {**OBS, "state": np.zeros(4)}},
    "not finite": {"type": "step", "obs": {**OBS, "state": np.full(3, np.nan)}},
    "overflow": {"type": "step", "obs": {**OBS, "state": np.full(3, 1e300)}},
    "no picture": {"type": "step", "obs": {**OBS, "front": np.zeros((4, 5, 3))}},
    "no array": {"type": "step", "obs": {**OBS, "state": [1, 2, 3]}},
    "objects": {
        "type": "step",
        "obs": {**OBS, "state": {"dtype": "object", "shape": [3], "bytes": b"0" * 24}},
    },
    "too few bytes": {
        "type": "step",
        "obs": {**OBS, "state": {"dtype": "float32", "shape": [3], "bytes": b"0"}},
    },
    "a shape of no size": {
        "type": "step",
        "obs": {**OBS, "state": {"dtype": "float32", "shape": [-3], "bytes": b""}},
    },
    "seed": {"type": "reset", "seed": -1},
    "seed of text": {"type": "reset", "seed": "1"},
}


@pytest.mark.parametrize("message", DAMAGED.values(), ids=DAMAGED)
def test_what_cannot_be_answered_is_refused_in_a_line_and_changes_nothing(server, message):
    with greeted(server, seed=3) as client:
        mirror = own(server, 3)
        np.testing.assert_array_equal(act(client), mirror.step(OBS))
        reply = ask(client, message)
        assert reply["type"] == "error"
        assert "\n" not in reply["message"]
        assert len(reply["message"]) < 300
        other = {**OBS, "state": -OBS["state"]}
        np.testing.assert_array_equal(act(client, other), mirror.step(other))


def test_a_policy_that_fails_says_so_and_goes_on(server, capfd):
    with greeted(server) as client:
        server.policy.fails = True
        reply = ask(client, {"type": "step", "obs": OBS})
        server.policy.fails = False
        assert "ZeroDivisionError" in reply["message"]
        assert act(client).shape == (2,)
    assert "Traceback" in capfd.readouterr().err


def test_another_version_is_refused(server):
    with connect(server.url, proxy=None) as connection:
        reply = ask(connection, {"type": "hello", "version": VERSION + 1})
        assert f"version {VERSION}" in reply["message"]
        with pytest.raises(ConnectionClosed):
            connection.recv(5)


def test_nothing_is_answered_before_the_greeting_and_no_step_before_a_reset(server):
    with connect(server.url, proxy=None) as connection:
        assert "hello" in ask(connection, {"type": "step", "obs": OBS})["message"]
    with connect(server.url, proxy=None) as connection:
        ask(connection, HELLO)
        assert "reset" in ask(connection, {"type": "step", "obs": OBS})["message"]


def test_a_message_that_is_too_large_ends_the_connection(server):
    with greeted(server) as client:
        client.send(b"0" * (message_bytes(server.policy.spec) + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            client.recv(5)


def test_a_client_needs_the_token_where_there_is_one():
    with serving(sum_policy(), token="tulip") as running:
        for headers in ({}, {"Authorization": "Bearer rose"}):
            with pytest.raises(InvalidStatus, match="401"):
                connect(running.url, additional_headers=headers, proxy=None)
        right = {"Authorization": "Bearer tulip"}
        with connect(running.url, additional_headers=right, proxy=None) as connection:
            assert ask(connection, HELLO)["type"] == "hello"


def test_web_pages_are_refused(server):
    with pytest.raises(InvalidStatus, match="403"):
        connect(server.url, origin="http://example.org", proxy=None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "robot.local"])
def test_other_machines_are_let_in_with_a_token_only(host):
    async def listen():
        async with PolicyServer(sum_policy()).listen(host, 0):
            pass

    with pytest.raises(UserError, match="token"):
        asyncio.run(listen())


def test_a_port_that_is_taken_is_an_error_of_the_user(server):
    async def listen():
        async with PolicyServer(sum_policy()).listen(port=server.port):
            pass

    with pytest.raises(UserError, match="cannot listen"):
        asyncio.run(listen())


def test_clients_that_do_not_read_or_leave_do_not_hold_up_others(server):
    """Requests without end from a client that reads nothing; another leaves in the middle of a message."""
    rng = random.Random(0)
    with greeted(server) as slow, greeted(server, seed=7) as good:
        slow.socket.settimeout(0.2)
        with contextlib.suppress(OSError):
            for _ in range(8_000):
                slow.socket.sendall(b"\x82\x80\0\0\0\0")  # frames without content
        for _ in range(5):
            with contextlib.suppress(OSError), connect(server.url, proxy=None) as rude:
                rude.socket.sendall(b"\x82\xfe" + rng.randbytes(40))
                rude.socket.close()
        mirror = own(server, 7)
        start = time.perf_counter()
        for _ in range(4):
            np.testing.assert_array_equal(act(good), mirror.step(OBS))
        assert time.perf_counter() - start < 2
        slow.socket.close()
