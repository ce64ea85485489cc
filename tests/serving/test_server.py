"""A policy server, asked through real sockets."""

import asyncio
import contextlib
import random
import time

import numpy as np
import pytest
import torch
from known_detectors import first_entry_detector
from known_energies import policy_of
from served import serving, sum_policy
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from ibc import AllOf, ComposedPolicy, Controller, UserError
from ibc.constraints import KeepOutDisk
from ibc.detection import NearestNeighbors
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


def step(connection, obs=OBS):
    return ask(connection, {"type": "step", "obs": obs, "id": 2})


def act(connection, obs=OBS):
    return array_of(step(connection, obs)["action"])


def listen(policy, host="127.0.0.1", port=0, **kwargs):
    async def begin_and_end():
        async with PolicyServer(policy, **kwargs).listen(host, port):
            pass

    asyncio.run(begin_and_end())


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


@pytest.mark.parametrize("on_doubt", [None, "stop"])
def test_answers_have_the_confidence_of_their_decision(on_doubt):
    """The values of the decisions are 0, 9, 9 (the same chunk), 30 and 0."""
    detector = first_entry_detector()
    with (
        serving(sum_policy(), detector=detector, on_doubt=on_doubt) as server,
        greeted(server) as client,
    ):
        answers = [
            step(client, {**OBS, "state": np.float32([first, 1, 2])})
            for first in (0, 4.5, 4.5, 4.5, 15, 0)
        ]
    assert [answer["id"] for answer in answers] == [2] * 6
    doubtful = answers[4]
    assert doubtful["confidence"] == 0.05
    assert (doubtful["type"], doubtful.get("message")) == (
        ("error", "in doubt: confidence 0.05") if on_doubt else ("action", None)
    )
    # Nothing of the doubtful chunk is executed: the last step decides anew.
    expected = [1.0, 1.0, 0.55, 0.55, 0.05, 1.0 if on_doubt else 0.05]
    assert [answer["confidence"] for answer in answers] == expected


def test_terms_of_a_composition_have_observations_of_their_own():
    policy = policy_of(lambda action: (action - 0.5).square())
    disk = KeepOutDisk("obstacle", 0.2)
    composed = ComposedPolicy(policy.policy, AllOf(policy.energy, disk))
    seen = {"state": np.zeros(2, np.float32)}
    with serving(composed) as server, greeted(server) as connection:
        there = act(connection, {**seen, "obstacle": np.float32([0.5])})
        assert abs(there[0] - 0.5) > 0.1
        assert "there is no observation 'obstacle'" in step(connection, seen)["message"]
        missing = step(connection, {"obstacle": np.float32([0.5])})["message"]
        assert missing.startswith("the policy needs observations state")


def test_an_answer_has_no_confidence_without_a_detector(server):
    with greeted(server) as client:
        assert set(step(client)) == {"type", "id", "action", "seconds"}


def test_a_function_of_the_server_gives_actions_on_doubt():
    detector, hold = first_entry_detector(), lambda obs: obs["state"][1:]
    with (
        serving(sum_policy(), detector=detector, on_doubt=hold) as server,
        greeted(server) as client,
    ):
        np.testing.assert_array_equal(act(client, {**OBS, "state": np.float32([15, 1, 2])}), [1, 2])


def test_what_makes_no_sense_is_refused_before_there_are_clients():
    policy, detector = sum_policy(), first_entry_detector()
    for settings, message in (
        ({"num_execute_steps": 3}, "chunks have 2"),
        ({"on_doubt": "stop"}, "needs a detector"),
        ({"detector": detector, "on_doubt": "flee"}, "allowed: stop, search"),
        ({"detector": detector, "on_doubt": "search"}, "searches no energy"),
    ):
        with pytest.raises(UserError, match=message):
            PolicyServer(policy, **settings)
    distance = NearestNeighbors()
    distance.center = torch.zeros(3)
    with pytest.raises(UserError, match="has no encoder"):
        listen(policy, detector=first_entry_detector(scores=[distance]))


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
        client.send(b"0" * (message_bytes(server.policy) + 1))
        with pytest.raises(ConnectionClosed, match="1009"):
            client.recv(5)


def test_a_client_needs_the_token_where_there_is_one():
    with serving(sum_policy(), token="tulip") as running:
        twice = [("Authorization", "Bearer tulip")] * 2
        for headers in ({}, {"Authorization": "Bearer rose"}, twice):
            with pytest.raises(InvalidStatus, match="401"):
                connect(running.url, additional_headers=headers, proxy=None)
        right = {"Authorization": "Bearer tulip"}
        with connect(running.url, additional_headers=right, proxy=None) as connection:
            assert ask(connection, HELLO)["type"] == "hello"


@pytest.mark.parametrize("token", ["", "tulip ", "tu\nlip", "тюльпан"])
def test_a_token_that_no_client_could_send_is_refused(token):
    """Such as that of a variable that is not set: the server would let nobody in."""
    with pytest.raises(UserError, match="the token is empty or no header"):
        PolicyServer(sum_policy(), token=token)


def test_an_array_that_cannot_be_is_refused_as_a_message(server):
    """An empty one, whose other length no array has."""
    odd = {"dtype": "float32", "shape": [0, 2**63], "bytes": b""}
    with greeted(server) as client:
        assert "cannot be" in step(client, {**OBS, "state": odd})["message"]


def test_web_pages_are_refused(server):
    with pytest.raises(InvalidStatus, match="403"):
        connect(server.url, origin="http://example.org", proxy=None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "robot.local"])
def test_other_machines_are_let_in_with_a_token_only(host):
    with pytest.raises(UserError, match="token"):
        listen(sum_policy(), host=host)


def test_a_port_that_is_taken_is_an_error_of_the_user(server):
    with pytest.raises(UserError, match="cannot listen"):
        listen(sum_policy(), port=server.port)


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
