"""The client of a policy server: right answers in time, or the safe action."""

import asyncio
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from conftest import ROOT
from known_detectors import first_entry_detector
from served import serving, sum_policy

from ibc import Controller
from ibc_client import Client, ServerError, link
from ibc_client.messages import VERSION, decode, encode

OBS = {"state": np.arange(3, dtype=np.float32), "front": np.zeros((4, 5, 3), np.uint8)}
SAFE = [7.0, -7.0]


def make_client(server, timeout=1.0, **kwargs):
    return Client(server.url, safe_action=SAFE, timeout=timeout, **kwargs)


def own(server, seed):
    controller = Controller(server.policy)
    controller.reset(seed)
    return controller


def until(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_actions_are_those_of_a_controller():
    with serving(sum_policy()) as server, make_client(server) as client:
        for seed in (0, 1):
            client.reset(seed)
            mirror = own(server, seed)
            for _ in range(3):
                decision = client.step(OBS)
                assert not decision.is_safe_action, decision.reason
                np.testing.assert_array_equal(decision.action, mirror.step(OBS))


def test_a_seed_may_be_one_of_numpy():
    with serving(sum_policy()) as server, make_client(server) as client:
        client.reset(np.int64(3))
        np.testing.assert_array_equal(client.step(OBS).action, own(server, 3).step(OBS))


def test_an_answer_that_is_late_is_dropped_and_the_next_one_is_right():
    with serving(sum_policy(action_horizon=1)) as server, make_client(server) as client:
        client.reset(4)
        mirror = own(server, 4)
        mirror.step(OBS)
        server.policy.seconds, client.timeout = 0.3, 0.1
        start = time.monotonic()
        decision = client.step(OBS)
        assert time.monotonic() - start < 0.25
        assert decision.is_safe_action
        assert "no answer within 0.1 s" in decision.reason
        np.testing.assert_array_equal(decision.action, SAFE)
        server.policy.seconds, client.timeout = 0.0, 2.0
        other = {**OBS, "state": -OBS["state"]}
        decision = client.step(other)
        assert not decision.is_safe_action
        np.testing.assert_array_equal(decision.action, mirror.step(other))


def test_after_a_late_answer_no_action_of_an_older_chunk_is_executed():
    policy = sum_policy(action_horizon=8)
    policy.act_flat = lambda obs, rng: (
        time.sleep(policy.seconds) or obs["state"][:, -1, :1] + 0.01 * torch.arange(16)
    )
    seen = [{**OBS, "state": np.float32([k, 0, 0])} for k in range(6)]
    with serving(policy) as server, make_client(server, timeout=2.0) as client:
        client.reset(0)
        assert client.step(seen[0]).action[0] == pytest.approx(0.0)
        assert client.step(seen[1]).action[0] == pytest.approx(0.02)  # the second one of its chunk
        client.timeout = 1e-4
        assert client.step(seen[2]).is_safe_action
        client.timeout = 2.0
        assert client.step(seen[3]).action[0] == pytest.approx(3.0)
        assert client.step(seen[4]).action[0] == pytest.approx(3.02)


def test_what_is_no_array_and_a_closed_client_give_the_safe_action():
    with serving(sum_policy()) as server, make_client(server) as client:
        client.reset(0)
        assert client.step({**OBS, "state": [[1.0], [1.0, 2.0]]}).is_safe_action
        assert not client.step(OBS).is_safe_action
        client.close()
        decision = client.step(OBS)
        assert (decision.is_safe_action, decision.reason) == (True, "the client is closed")
        with pytest.raises(ServerError, match="the client is closed"):
            client.reset(0)


def test_a_dead_server_gives_safe_actions_in_time_and_is_found_again():
    with serving(sum_policy()) as server, make_client(server, timeout=0.2) as client:
        client.reset(5)
        client.step(OBS)
        server.stop()
        for _ in range(3):
            start = time.monotonic()
            decision = client.step(OBS)
            assert time.monotonic() - start < 0.4
            assert decision.is_safe_action
            assert decision.reason
        server.start()
        until(lambda: not client.step(OBS).is_safe_action)
        client.reset(6)
        np.testing.assert_array_equal(client.step(OBS).action, own(server, 6).step(OBS))


def test_a_reset_waits_for_a_server_that_comes_again():
    with serving(sum_policy()) as server, make_client(server) as client:
        client.reset(0)
        server.stop()
        starter = threading.Timer(0.3, server.start)
        starter.start()
        client.reset(8)  # the client may not have noticed yet
        np.testing.assert_array_equal(client.step(OBS).action, own(server, 8).step(OBS))
        starter.join()
        with pytest.raises(ServerError, match="seed=-1"):
            client.reset(-1)


def test_a_refused_observation_gives_the_safe_action_and_the_reason():
    calls = []

    def hold(obs):
        calls.append(obs)
        return obs["state"][:2]

    with (
        serving(sum_policy()) as server,
        Client(server.url, safe_action=hold, timeout=1) as client,
    ):
        client.reset()
        decision = client.step({**OBS, "state": np.full(4, 2.0)})
        np.testing.assert_array_equal(decision.action, [2, 2])
        assert "shape" in decision.reason
        assert client.step({**OBS, "front": object()}).is_safe_action
        assert not client.step(OBS).is_safe_action
    assert len(calls) == 2


def test_a_decision_has_a_confidence_and_one_in_doubt_is_the_safe_action():
    strange = {**OBS, "state": np.float32([15, 1, 2])}
    with (
        serving(sum_policy(), detector=first_entry_detector(), on_doubt="stop") as server,
        make_client(server) as client,
    ):
        client.reset()
        calm = client.step(OBS)
        assert (calm.is_safe_action, calm.confidence) == (False, 1.0)
        client.reset()
        doubtful = client.step(strange)
        np.testing.assert_array_equal(doubtful.action, SAFE)
        assert (doubtful.is_safe_action, doubtful.confidence) == (True, 0.05)
        assert doubtful.reason == "in doubt: confidence 0.05"
        assert not client.step(OBS).is_safe_action
        refused = client.step({**OBS, "state": np.full(4, 2.0)})
        assert (refused.is_safe_action, refused.confidence) == (True, None)
    with serving(sum_policy()) as server, make_client(server) as client:
        client.reset()
        assert client.step(strange).confidence is None


def test_the_token_and_the_version_are_said_in_one_line_at_once(monkeypatch):
    with serving(sum_policy(), token="tulip") as server:
        with make_client(server, token="rose") as client, pytest.raises(ServerError, match="401"):
            client.reset()
        monkeypatch.setattr("ibc_client.link.VERSION", VERSION + 1)
        with make_client(server, token="tulip") as client, pytest.raises(ServerError) as error:
            client.reset()
        assert f"version {VERSION}" in str(error.value)


def test_a_server_that_refused_the_token_may_come_again_with_it():
    with (
        serving(sum_policy(), token="tulip") as server,
        make_client(server, token="tulip") as client,
    ):
        client.reset()
        server.stop()
        server.kwargs["token"] = "rose"
        server.start()
        until(lambda: client._link.refusal)
        server.stop()
        server.kwargs["token"] = "tulip"
        server.start()
        until(lambda: not client._link.trouble)
        client.reset()
        assert not client.step(OBS).is_safe_action


def test_a_safe_action_of_another_size_is_refused_at_the_start():
    with serving(sum_policy()) as server:
        with Client(server.url, safe_action=[0.0]) as client, pytest.raises(ValueError, match="2"):
            client.reset()
        with make_client(server) as client, pytest.raises(ServerError, match="reset"):
            client.step(OBS)
    with pytest.raises(ValueError, match="ws://"):
        Client("http://127.0.0.1", safe_action=SAFE)


@pytest.fixture
def liar():
    """A server that greets, and answers each request by what stands in ``replies``."""
    from websockets.asyncio.server import serve

    replies, ends, ports, loop = [], asyncio.Event(), [], asyncio.new_event_loop()

    async def answer(connection):
        await connection.recv()
        await connection.send(encode({"type": "hello", "version": VERSION, "action_dim": 2}))
        async for data in connection:
            message = decode(data)
            if message["type"] == "reset":
                await connection.send(encode({"type": "ready", "id": message.get("id")}))
                continue
            for reply in replies.pop(0)(message["id"]):
                await connection.send(reply)

    async def listen():
        async with serve(answer, "127.0.0.1", 0) as server:
            ports.append(server.sockets[0].getsockname()[1])
            await ends.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(listen()))
    thread.start()
    until(lambda: ports)
    yield f"ws://127.0.0.1:{ports[0]}", replies
    loop.call_soon_threadsafe(ends.set)
    thread.join()
    loop.close()


def action_message(number, *numbers, **more):
    action = np.array(numbers, np.float32)
    return encode({"type": "action", "id": number, "action": action, "seconds": 0.0, **more})


def test_garbage_on_the_wire_is_never_an_action(liar):
    url, replies = liar
    with Client(url, safe_action=SAFE, timeout=1) as client:
        client.reset()
        right = lambda n: [action_message(n, 1, 2)]  # noqa: E731
        for garbage in (
            lambda n: [b"\xc1\x00"],
            lambda n: ["text"],
            lambda n: [action_message(n, 1, 2, 3)],
            lambda n: [action_message(n, np.nan, 0)],
            lambda n: [encode({"type": "action", "id": n, "action": [1, 2]})],
            lambda n: [encode({"type": "error", "id": None, "message": "what?"})],
        ):
            replies += [garbage, right]
            decision = client.step(OBS)
            assert decision.is_safe_action
            np.testing.assert_array_equal(decision.action, SAFE)
            np.testing.assert_array_equal(client.step(OBS).action, [1, 2])


@pytest.mark.parametrize("confidence", ["high", 7.0, np.nan, 1, None])
def test_a_confidence_that_is_none_is_not_taken_for_one(liar, confidence):
    url, replies = liar
    with Client(url, safe_action=SAFE, timeout=1) as client:
        client.reset()
        replies.append(lambda n: [action_message(n, 1, 2, confidence=confidence)])
        decision = client.step(OBS)
    assert (decision.is_safe_action, decision.confidence) == (False, None)


def test_the_answer_to_an_earlier_request_is_dropped(liar):
    url, replies = liar
    with Client(url, safe_action=SAFE, timeout=1) as client:
        client.reset()
        replies.append(lambda n: [action_message(n - 1, 9, 9), action_message(n, 1, 2)])
        np.testing.assert_array_equal(client.step(OBS).action, [1, 2])


def test_a_request_that_is_never_answered_does_not_block_for_ever(liar, monkeypatch):
    monkeypatch.setattr(link, "LOST_AFTER", 0.2)
    url, replies = liar
    with Client(url, safe_action=SAFE, timeout=0.15) as client:
        client.reset()
        replies += [lambda n: [], lambda n: [action_message(n, 1, 2)]]
        assert client.step(OBS).is_safe_action
        until(lambda: not client.step(OBS).is_safe_action)


def test_it_is_imported_without_torch_and_without_this_library():
    program = (
        "import sys, ibc_client, ibc_client.messages; "
        "sys.exit(bool({'torch', 'ibc', 'hydra', 'gymnasium'} & set(sys.modules)))"
    )
    # -S leaves out what site-packages import by themselves at the start.
    paths = [p for p in sys.path if "site-packages" in p]
    program = f"import sys; sys.path += {[str(ROOT), *paths]!r}; " + program
    assert subprocess.run([sys.executable, "-S", "-c", program], check=False).returncode == 0
