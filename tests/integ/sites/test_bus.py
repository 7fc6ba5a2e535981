"""A hostile bus: garbage, forgery, replay; and nothing to read for whoever
listens."""

import collections
import os
import random
import time

import pytest

import bus
import rig
import test_identity

OUTER = 52  # Bytes of the envelope before its box.


@pytest.fixture(scope="module")
def admin():
    with bus.Admin() as found:
        yield found


@pytest.fixture(autouse=True)
def whole():
    yield
    rig.heal()


def call_and_answer(admin, deadline=60000):
    """A query to lon, and its answer, as they were on the bus."""
    requests = admin.tap().bind("x.req", "site.lon")
    answers = admin.tap().bind("x.rep", "*.lon")
    answer = rig.api("networks?site=lon&deadline=%d" % deadline)
    assert answer.answered() == ["lon"]
    call = [message for message in requests.read()
            if message.properties.type == "call"]
    reply = answers.read()
    assert len(call) == 1 and len(reply) >= 1
    return call[0], reply[0]


def is_settled(before, total):
    return sum(rig.refused().values()) - sum(before.values()) >= total


def rise(before):
    """Reason -> by how much its count has risen."""
    return {reason: n - before[reason]
            for reason, n in rig.refused().items() if n != before[reason]}


def expect(before, **reasons):
    """The hub has refused exactly these, and goes on to serve."""
    total = sum(reasons.values())
    rig.wait_for(lambda: is_settled(before, total), 20 * rig.SLACK,
                 "%d refusals, not %s" % (total, rise(before)))
    time.sleep(0.2)
    assert rise(before) == reasons
    assert rig.present() == rig.SITES


def garbage():
    """Pieces of nothing, of everything, and of what looks right at first."""
    dice = random.Random(1)
    yield b""
    yield b"\0"
    yield b"{}"
    yield b"ISTH"
    yield b"GET / HTTP/1.1\r\n\r\n"
    yield b"\xff" * 51
    yield b"\xff" * OUTER
    yield b"\0" * 1024
    for size in [1, 3, 4, 5, 51, 52, 53, 68, 275, 276, 277, 4096, 65536,
                 1024 * 1024]:
        yield dice.randbytes(size)
    for size in [0, 1, 47, 48, 49, 200, 4096]:
        yield b"ISTH\1\0\0\0" + dice.randbytes(44 + size)
        yield b"ISTH\1\0\0\0" + size.to_bytes(4, "big") + \
            dice.randbytes(40 + size)
    yield b"ISTH\1\0\0\0\xff\xff\xff\xff" + dice.randbytes(100)


def reason_of(body):
    """Which check must be the first to refuse it."""
    good = len(body) >= OUTER and body[:8] == b"ISTH\1\0\0\0" and \
        int.from_bytes(body[8:12], "big") == len(body) - OUTER
    return good


def test_garbage_to_the_hub():
    before = rig.refused()
    pieces = list(garbage())
    with bus.as_site("lon") as channel:
        key = bus.reply_key("lon")
        for body in pieces:
            channel.basic_publish("x.rep", key, body)
        for body in pieces:
            channel.basic_publish("x.evt", "lon.alive", body)
    total = 2 * len(pieces)
    rig.wait_for(lambda: is_settled(before, total), 20 * rig.SLACK, "refusals")
    counts = rise(before)
    assert set(counts) <= {"shape", "unknown_pair"}, counts
    assert sum(counts.values()) == total
    sound = 2 * sum(1 for body in pieces if reason_of(body))
    # Below the smallest possible box a sound outer part is a shape as well.
    assert 0 < counts["unknown_pair"] <= sound
    assert rig.is_whole()


def test_garbage_to_an_agent(admin):
    """It answers none of it, lives, and works."""
    pid = rig.agent("lon").pid()
    answers = admin.tap().bind("x.rep", "*.lon")
    with bus.as_hub() as channel:
        for body in garbage():
            channel.basic_publish("x.req", "site.lon", body)
    assert rig.is_answered("networks", ["lon"])
    said = answers.read()
    # Only the answer to the question asked just now.
    assert len(said) == 1, said
    assert rig.agent("lon").pid() == pid
    assert rig.is_whole()


def cuts(body):
    dice = random.Random(2)
    sizes = set(range(0, OUTER + 20)) | {len(body) - n for n in range(1, 20)}
    sizes |= {dice.randrange(len(body)) for _ in range(50)}
    return [body[:size] for size in sorted(sizes) if size < len(body)]


def test_cut_and_grown_messages(admin):
    _, reply = call_and_answer(admin)
    pieces = cuts(reply.body) + [reply.body + b"\0", reply.body * 2]
    before = rig.refused()
    with bus.as_site("lon") as channel:
        key = bus.reply_key("lon")
        for body in pieces:
            channel.basic_publish("x.rep", key, body)
    expect(before, shape=len(pieces))


def flips(body):
    """Every bit, or one of each byte, with the reason that refuses it."""
    dice = random.Random(3)
    for at in range(len(body)):
        for bit in range(8) if rig.FULL else [dice.randrange(8)]:
            flipped = bytearray(body)
            flipped[at] ^= 1 << bit
            yield bytes(flipped), "shape" if at < 12 else \
                "unknown_pair" if at < 28 else "forged"


def test_flipped_bits_to_the_hub(admin, figure):
    """A valid answer with one bit changed, anywhere."""
    _, reply = call_and_answer(admin)
    presence = admin.tap().bind("x.evt", "lon.alive").read_until(len)[0]
    for body, exchange, key in [
            (reply.body, "x.rep", bus.reply_key("lon")),
            (presence.body, "x.evt", "lon.alive")]:
        expected, n = collections.Counter(), 0
        before = rig.refused()
        with bus.as_site("lon") as channel:
            for flipped, reason in flips(body):
                channel.basic_publish(exchange, key, flipped)
                expected[reason] += 1
                n += 1
                if n % 500 == 0:  # No faster than they are taken.
                    rig.wait_for(lambda: is_settled(before, n), 30, "refusals")
        expect(before, **expected)
        figure("%s: %d flips of %d bytes, all refused" % (
            exchange, n, len(body)))


def test_flipped_bits_to_an_agent(admin, figure):
    call, _ = call_and_answer(admin)
    answers = admin.tap().bind("x.rep", "*.lon")
    pid, n = rig.agent("lon").pid(), 0
    with bus.as_hub() as channel:
        for flipped, _ in flips(call.body):
            channel.basic_publish("x.req", "site.lon", flipped)
            n += 1
            if n % 500 == 0:
                assert rig.is_answered("networks", ["lon"])
                answers.read()
    assert rig.is_answered("networks", ["lon"])
    assert len(answers.read()) == 1
    assert rig.agent("lon").pid() == pid
    figure("%d flips, none answered" % n)


def test_replay_to_the_hub(admin):
    """A valid answer again, and a sign of life again: each once only."""
    _, reply = call_and_answer(admin)
    presence = admin.tap().bind("x.evt", "lon.alive").read_until(len)[0]
    time.sleep(0.2)
    before = rig.refused()
    with bus.as_site("lon") as channel:
        for _ in range(3):
            channel.basic_publish("x.rep", bus.reply_key("lon"), reply.body)
            channel.basic_publish("x.evt", "lon.alive", presence.body)
    expect(before, replay=6)


def test_replay_as_another_site(admin):
    """lon's answer under hkg's name: what counts is inside the seal."""
    _, reply = call_and_answer(admin)
    before = rig.refused()
    with bus.as_site("hkg") as channel:
        channel.basic_publish("x.rep", bus.reply_key("hkg"), reply.body)
    expect(before, replay=1)


def test_reflected_messages(admin):
    """The hub's own query sent to the hub, lon's own answer to lon, a query
    for lon to hkg: no audience takes what is not for it."""
    call, reply = call_and_answer(admin)
    before = rig.refused()
    with bus.as_site("lon") as channel:
        channel.basic_publish("x.rep", bus.reply_key("lon"), call.body)
    expect(before, unknown_pair=1)
    answers = admin.tap().bind("x.rep", "#")
    with bus.as_hub() as channel:
        channel.basic_publish("x.req", "site.lon", reply.body)
        channel.basic_publish("x.req", "site.hkg", call.body)
        channel.basic_publish("x.req", "site.sjc", call.body)
    assert rig.is_answered("networks")
    assert len(answers.read()) == 3


def test_replay_to_an_agent(admin, figure):
    """A valid query again: at once, and after the agent has restarted, while
    its lifetime still runs."""
    call, _ = call_and_answer(admin)
    answers = admin.tap().bind("x.rep", "*.lon")

    def play(times):
        with bus.as_hub() as channel:
            for _ in range(times):
                channel.basic_publish("x.req", "site.lon", call.body)

    start = time.monotonic()
    play(3)
    assert rig.is_answered("networks", ["lon"])
    assert len(answers.read()) == 1
    rig.agent("lon").kill()
    play(3)  # Waits in its queue for the new one.
    rig.demo("start", "lon", "agent")
    rig.wait_for(lambda: rig.is_answered("networks", ["lon"], 2000), 60, "lon")
    answers.read()
    play(3)
    assert rig.is_answered("networks", ["lon"])
    took = time.monotonic() - start
    assert took < 60, "the query had expired: this proves nothing"
    assert len(answers.read()) == 1
    figure("refused up to %.1f s after it was sent, over a restart" % took)


def test_replay_to_a_restarted_hub(admin):
    """An answer names the hub's run that asked."""
    _, reply = call_and_answer(admin)
    rig.hub().kill()
    rig.demo("start", "hub")
    rig.wait_for(rig.is_whole, 60, "all sites")
    before = rig.refused()
    with bus.as_site("lon") as channel:
        channel.basic_publish("x.rep", bus.reply_key("lon"), reply.body)
    expect(before, epoch=1)


def test_flood(admin, figure):
    """Ten thousand pieces of garbage: others are served meanwhile."""
    del admin
    before = rig.refused()
    n = 10000 if rig.FULL else 2000
    slowest = 0
    with bus.as_site("lon") as channel:
        key = bus.reply_key("lon")
        for i in range(n):
            channel.basic_publish("x.rep", key, os.urandom(200))
            if i % (n // 8) == 0:
                answer = rig.api("networks?site=hkg,sjc&deadline=10000")
                assert answer.answered() == ["hkg", "sjc"]
                slowest = max(slowest, answer.seconds)
    expect(before, shape=n)
    figure("%d refused; slowest list meanwhile %.0f ms" % (n, slowest * 1000))


# ------------------------------------------------------ nothing to be read


def secrets(clouds):
    """What must be on the bus in no form: names, ids, passwords, tokens."""
    found = {b"gAAAAA", rig.token().encode(), b"X-Auth-Token", b"ACTIVE"}
    for site, cloud in clouds.items():
        found |= {cloud.auth["password"].encode(), cloud.token.encode(),
                  cloud.project.encode()}
        for kind in ["servers", "networks", "images", "volumes", "projects",
                     "flavors", "ports"]:
            for row in cloud.rows(kind):
                found.add(str(row["id"]).encode())
                found.add(row["name"].encode())
        del site
    # Shorter ones would be found in random bytes by chance.
    return {word for word in found if len(word) >= 5}


def made_and_told(text):
    """What a user is told once: the secret of a credential of the hub's, with
    which he logs in."""
    user = test_identity.keystone("GET", "/v3/auth/tokens", token=text,
                                  subject=text)[2]["token"]["user"]["id"]
    path = "/v3/users/%s/application_credentials" % user
    body = test_identity.keystone("POST", path, {"application_credential": {
        "name": "canary"}}, token=text)[2]["application_credential"]
    status, headers, _ = test_identity.keystone(
        "POST", "/v3/auth/tokens", {"auth": {"identity": {
            "methods": ["application_credential"],
            "application_credential": {"id": body["id"],
                                       "secret": body["secret"]}}}})
    assert status == 201
    token = headers["X-Subject-Token"]
    assert test_identity.by(token, "lon", "compute", "/v2.1/servers")[0] == 200
    test_identity.keystone("DELETE", path + "/" + body["id"], token=text)
    return [body["secret"].encode(), token.encode()]


def test_nothing_readable_on_the_bus(clouds, admin, figure):
    words = secrets(clouds)
    assert b"web-1" in words and len(words) > 100
    with admin.traced() as tap:
        for path in ["servers", "networks", "images", "volumes", "projects",
                     "flavors", "ports", "servers?name=web-1",
                     "servers?sort=name&limit=2", "flavors/1?site=lon",
                     "servers?project=" + clouds["hkg"].project]:
            assert rig.api(path).status == 200, path
        rig.api("sites/lon")
        # A login, and what the user then asks for.
        text, _ = test_identity.token()
        words = list(words) + [text.encode(), test_identity.password(
            "hkg", "shop-dev").encode()]
        for region in ("hkg", "global"):
            assert test_identity.by(text, region, "compute",
                                    "/v2.1/servers/detail")[0] == 200
        words += made_and_told(text)
        web = clouds["lon"].rows("servers")[0]["id"]
        assert rig.api("servers/" + web).status == 200
        canary = b"canary: web-1 " + web.encode()
        with bus.as_site("lon") as channel:
            channel.basic_publish("x.evt", "lon.compute.server.test", canary)
        messages = tap.read_until(
            lambda found: any(message.body == canary for message in found))
    readable = [(word, message) for message in messages for word in words
                if word in message.everything()]
    # The canary is found: the net has no holes. Nothing else is.
    assert {message.body for _, message in readable} == {canary}, readable
    assert {word for word, _ in readable} >= {b"web-1", web.encode()}
    sealed = [message for message in messages if message.body != canary]
    assert {message.exchange for message in sealed} >= {"x.req", "x.rep"}
    assert len(sealed) > 30
    for message in sealed:
        assert message.body[:8] == b"ISTH\1\0\0\0"
        assert b"\x28\xb5\x2f\xfd" not in message.body  # zstd
        assert message.properties.headers is None or message.traced
    total = b"".join(message.body[OUTER:] for message in sealed)
    counts = collections.Counter(total)
    # Of random bytes each value is as frequent as any other.
    mean = len(total) / 256
    assert len(total) > 20000
    assert max(counts.values()) < mean + 7 * mean ** 0.5
    assert min(counts[value] for value in range(256)) > mean - 7 * mean ** 0.5
    figure("%d messages, %d bytes, %d words looked for" % (
        len(sealed), len(total), len(words)))


def test_same_question_looks_different(admin):
    """Two identical queries share no byte string but the outer part."""
    first, reply = call_and_answer(admin)
    second, again = call_and_answer(admin)
    for one, two in [(first, second), (reply, again)]:
        assert one.body[12:28] == two.body[12:28]  # The pair's key id.
        same = sum(a == b for a, b in zip(one.body[28:], two.body[28:]))
        assert same < len(one.body) / 256 + 6 * (len(one.body) / 256) ** 0.5
