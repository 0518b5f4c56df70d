"""Who is let in, and as whom: tokens, JSON web tokens, certificates, and too many tries."""

import base64
import json
import logging
import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import jwt
import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.errors import ConfigError, RequestError, ServiceError
from rasterflight_server.flight.identity.credentials import Credential, credential_in, digest_of
from rasterflight_server.flight.identity.failures import Failures
from rasterflight_server.flight.identity.gate import Gate
from rasterflight_server.flight.identity.jwks import RemoteKeys, open_keys
from rasterflight_server.flight.identity.peers import address_of, forwarded_name, told_peer
from rasterflight_server.flight.identity.tokens import create_token, read_tokens, revoke_token
from rasterflight_server.flight.identity.webtokens import WebTokens
from rasterflight_server.settings import AccessSettings, JwtSettings
from rasterflight_server.types.caller import ANONYMOUS, Caller
from support.certificates import Authority
from support.provider import AUDIENCE, ISSUER, Key, key_set, publishing

PEER = "ipv4:192.0.2.1:4711"
OTHER = "ipv4:192.0.2.2:4711"


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def key() -> Key:
    return Key("k1")


@pytest.fixture
def tokens(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


def make(path: Path, name: str = "ann", *collections: str, admin: bool = False, hours: float | None = None) -> str:
    expires = None if hours is None else datetime.now(UTC) + timedelta(hours=hours)
    return create_token(path, name, collections=collections or None, admin=admin, expires=expires)


def bearer(token: str) -> list[str]:
    return [f"Bearer {token}"]


def basic(text: bytes) -> list[str]:
    return [f"Basic {base64.b64encode(text).decode()}"]


def identify(gate: Gate, token: str, peer: str = PEER) -> Caller:
    return gate.identify(bearer(token), peer, b"")


def refusal(gate: Gate, token: str, peer: str = PEER) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        identify(gate, token, peer)
    error = caught.value
    assert token not in repr(error) + str(error) + repr(error.__dict__)
    assert error.__cause__ is None
    return error


def jwt_settings(tmp_path: Path, *keys: Key, **changes: object) -> JwtSettings:
    path = tmp_path / "jwks.json"
    path.write_bytes(key_set(*keys))
    return JwtSettings(**{"jwks": str(path), "issuer": ISSUER, "audience": AUDIENCE} | changes)


def jwt_gate(tmp_path: Path, *keys: Key, failures: int = 1000, **changes: object) -> Gate:
    return Gate(AccessSettings(failures=failures, jwt=jwt_settings(tmp_path, *keys, **changes)))


# What is shown


def test_a_token_comes_as_bearer_or_as_a_password() -> None:
    assert credential_in([]) is None
    assert credential_in([""]) is None
    for headers in (bearer("abc"), ["bearer  abc "], basic(b"anybody:abc"), basic(b":abc"), ["basic OmFiYw"]):
        assert credential_in(headers) == Credential("abc")
    assert credential_in(basic(b"ann:a:b")) == Credential("a:b")
    assert "abc" not in repr(Credential("abc"))


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        (["Bearer a", "Bearer b"], "several headers"),
        (["Digest x"], "neither Bearer nor Basic"),
        (["secret"], "neither Bearer nor Basic"),
        (["Bearer"], "is empty"),
        (["Bearer "], "is empty"),
        (basic(b"ann"), "is empty"),
        (["Basic !!!"], "user and password in the header 'authorization' cannot be read"),
        (basic(b"\xff\xfe:x"), "cannot be read"),
    ],
)
def test_headers_of_another_form(headers: list[str], words: str) -> None:
    with pytest.raises(ServiceError, match=words) as caught:
        credential_in(headers)
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    assert "authorization: Bearer TOKEN" in caught.value.hint
    assert caught.value.__cause__ is None


# Tokens of our own


def test_the_file_holds_no_token(tokens: Path) -> None:
    token = make(tokens, "ann", "ny")
    assert token.startswith("rft_")
    assert len(token) >= 43
    assert token not in tokens.read_text()
    assert digest_of(token) in tokens.read_text()
    assert tokens.stat().st_mode & 0o777 == 0o600
    [known] = read_tokens(tokens)
    assert (known.name, known.collections, known.admin, known.expires) == ("ann", frozenset({"ny"}), False, None)
    assert known.sha256 not in repr(known)


def test_a_token_opens_what_it_says(tokens: Path) -> None:
    one, every = make(tokens, "ann", "ny", "mol"), make(tokens, "bob", admin=True)
    gate = Gate(AccessSettings(tokens=tokens))
    ann, bob = identify(gate, one), identify(gate, every)
    assert (ann.name, ann.collections, ann.admin) == ("ann", frozenset({"ny", "mol"}), False)
    assert (bob.name, bob.collections, bob.admin) == ("bob", None, True)
    assert ann.key
    assert ann.key != bob.key
    # The same from each process, in whichever form it comes.
    again = Gate(AccessSettings(tokens=tokens)).identify(basic(b"x:" + one.encode()), OTHER, b"")
    assert again == ann
    assert one not in repr(ann)


def test_wrong_expired_and_missing_tokens(tokens: Path) -> None:
    old, right = make(tokens, "old", hours=-1), make(tokens, "new", hours=1)
    gate = Gate(AccessSettings(tokens=tokens))
    wrong = refusal(gate, right[:-1] + ("A" if right[-1] != "A" else "B"))
    assert wrong.code is ErrorCode.UNAUTHENTICATED
    assert wrong.message == "the token is not known here: it is wrong, or it was revoked"
    assert refusal(gate, old).message == "the token has expired"
    assert identify(gate, right).name == "new"
    # A hash out of the file opens nothing.
    assert refusal(gate, digest_of(right)).code is ErrorCode.UNAUTHENTICATED
    with pytest.raises(ServiceError, match="has no token") as caught:
        gate.identify([], PEER, b"")
    assert caught.value.code is ErrorCode.UNAUTHENTICATED
    assert "RASTERFLIGHT_TOKEN" in caught.value.hint


def wait_until(gate: Gate, token: str, *, good: bool) -> None:
    deadline = time.monotonic() + 5
    while True:
        try:
            identify(gate, token)
            found = True
        except ServiceError:
            found = False
        if found is good:
            return
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_running_server_takes_changes(tokens: Path, caplog: pytest.LogCaptureFixture) -> None:
    first = make(tokens, "first")
    gate = Gate(AccessSettings(tokens=tokens, failures=10_000))
    second = make(tokens, "second")
    wait_until(gate, second, good=True)
    revoke_token(tokens, "first")
    wait_until(gate, first, good=False)
    assert identify(gate, second).name == "second"


@pytest.mark.parametrize(
    "damage", ["{", '{"version": 1}', '{"version": 2, "tokens": []}', '{"version": 1, "tokens": [{}]}', None]
)
def test_a_broken_file_changes_nothing(tokens: Path, damage: str | None, caplog: pytest.LogCaptureFixture) -> None:
    token = make(tokens)
    gate = Gate(AccessSettings(tokens=tokens))
    content = tokens.read_text()
    if damage is None:
        tokens.unlink()
    else:
        tokens.write_text(damage)
    time.sleep(0.6)
    for _ in range(3):
        assert identify(gate, token).name == "ann"
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "what it said before holds on" in record.getMessage()
    assert digest_of(token) not in caplog.text
    tokens.write_text(content)
    revoke_token(tokens, "ann")
    wait_until(gate, token, good=False)


def test_files_that_cannot_be_used(tokens: Path) -> None:
    with pytest.raises(ConfigError, match=r"cannot be read: No such file.*token create"):
        Gate(AccessSettings(tokens=tokens))
    token = make(tokens)
    tokens.write_text(tokens.read_text().replace(digest_of(token), "zz"))
    with pytest.raises(ConfigError, match="one of its tokens lacks something, or has something of another kind"):
        Gate(AccessSettings(tokens=tokens))
    with pytest.raises(ConfigError, match=r"the folder of .* cannot be used: No such file"):
        make(tokens.parent / "nowhere" / "tokens")


def test_names_are_there_once(tokens: Path) -> None:
    make(tokens, "ann")
    with pytest.raises(RequestError, match=r"there is a token 'ann' already \(revoke it first"):
        make(tokens, "ann")
    with pytest.raises(RequestError, match=r"there is no token 'bob' \(tokens in the file: ann\)"):
        revoke_token(tokens, "bob")
    assert revoke_token(tokens, read_tokens(tokens)[0].id).name == "ann"
    assert read_tokens(tokens) == ()


def test_many_make_tokens_at_once(tokens: Path) -> None:
    command = [sys.executable, "-m", "rasterflight_server", "token", "create", "--all", "--tokens", str(tokens)]
    running = [subprocess.Popen([*command, f"t{number}"], stdout=subprocess.PIPE) for number in range(4)]
    made = {process.communicate()[0].decode().strip() for process in running}
    assert {digest_of(token) for token in made} == {token.sha256 for token in read_tokens(tokens)}
    assert len(made) == 4
    assert [path.name for path in tokens.parent.iterdir()] == [tokens.name]


# JSON web tokens


def test_a_right_token(tmp_path: Path, key: Key) -> None:
    gate = jwt_gate(tmp_path, key)
    ann = identify(gate, key.token())
    assert (ann.name, ann.collections, ann.admin) == ("ann", frozenset({"ny"}), False)
    # Her next token finds her uploads; somebody else's does not.
    assert identify(gate, key.token(exp=700)).key == ann.key
    assert identify(gate, key.token(sub="bob")).key != ann.key


@pytest.mark.parametrize(
    ("claims", "collections", "admin"),
    [
        ({"rasterflight_collections": "*"}, None, False),
        ({"rasterflight_collections": ["ny", "*"]}, None, False),
        ({"rasterflight_collections": "ny mol"}, frozenset({"ny", "mol"}), False),
        ({"leave_out": "rasterflight_collections"}, frozenset(), False),
        ({"rasterflight_admin": True}, frozenset({"ny"}), True),
        ({"rasterflight_admin": "true"}, frozenset({"ny"}), False),
        ({"rasterflight_admin": 1}, frozenset({"ny"}), False),
        ({"aud": [AUDIENCE, "another"]}, frozenset({"ny"}), False),
    ],
)
def test_claims(tmp_path: Path, key: Key, claims: dict, collections: frozenset | None, admin: bool) -> None:
    caller = identify(jwt_gate(tmp_path, key), key.token(**claims))
    assert (caller.collections, caller.admin) == (collections, admin)


def test_claims_may_have_other_names(tmp_path: Path, key: Key) -> None:
    gate = jwt_gate(tmp_path, key, name_claim="email", collections_claim="scope", admin_claim="operator")
    caller = identify(gate, key.token(email="a@b\n\x1b[1m", scope="openid ny", operator=True))
    assert (caller.name, caller.collections, caller.admin) == ("a@b[1m", frozenset({"openid", "ny"}), True)


@pytest.mark.parametrize(
    ("claims", "words"),
    [
        ({"exp": -60}, "the token has expired"),
        ({"nbf": 60}, "the token is not valid yet"),
        ({"iss": "https://evil.example"}, "of another issuer"),
        ({"aud": "another"}, "for another audience"),
        ({"leave_out": "exp"}, "lacks the time of its end"),
        ({"leave_out": "iss"}, "lacks the time of its end, its issuer or its audience"),
        ({"leave_out": "aud"}, "lacks the time of its end, its issuer or its audience"),
        ({"leave_out": "sub"}, r"does not say who shows it \(the claim 'sub'\)"),
        ({"rasterflight_collections": 5}, "the claim 'rasterflight_collections' of the token is no list of names"),
        ({"rasterflight_collections": [5]}, "is no list of names"),
        ({"headers": {"kid": "k2"}}, "signed by a key that the identity provider does not name"),
        ({"headers": {"crit": ["x"], "x": 1}}, "neither known here nor a JSON web token that can be read"),
    ],
)
def test_tokens_that_are_not_right(tmp_path: Path, key: Key, claims: dict, words: str) -> None:
    gate = jwt_gate(tmp_path, key)
    with pytest.raises(ServiceError, match=words) as caught:
        identify(gate, key.token(**claims))
    assert caught.value.code is ErrorCode.UNAUTHENTICATED


def test_clocks_may_differ(tmp_path: Path, key: Key) -> None:
    gate = jwt_gate(tmp_path, key, leeway=30.0)
    assert identify(gate, key.token(exp=-20)).name == "ann"
    assert identify(gate, key.token(nbf=20)).name == "ann"
    assert refusal(jwt_gate(tmp_path, key, leeway=0.0), key.token(exp=-20)).message == "the token has expired"


def test_signatures_that_prove_nothing(tmp_path: Path, key: Key) -> None:
    rsa = Key("k-rsa", "RS256")
    gate = jwt_gate(tmp_path, key, rsa)
    assert identify(gate, rsa.token()).name == "ann"
    said = jwt.decode(key.token(), options={"verify_signature": False})
    header, body, signature = key.token().split(".")
    none = jwt.encode(said, None, "none", headers={"kid": "k1"})
    # The public key as shared secret: the classical forgery.
    shared = jwt.encode(said, "x" * 64, "HS256", headers={"kid": "k1"})
    for forged, words in {
        none: "not signed in a way that this server trusts",
        shared: "not signed in a way that this server trusts",
        Key("k1").token(): "has a signature that is not right",
        f"{header}.{body}.{signature[:-6]}AAAAAA": "has a signature that is not right",
        f"{header}.{body}.": "has a signature that is not right",
        f"{header}.{base64.urlsafe_b64encode(b'{}').decode()}.{signature}": "has a signature that is not right",
        # A key of one kind does not check what another kind signed.
        jwt.encode(said, rsa.private, "RS256", headers={"kid": "k1"}): "does not name",
        "a.b.c": "neither known here nor a JSON web token",
    }.items():
        error = refusal(gate, forged)
        assert words in error.message
        assert error.code is ErrorCode.UNAUTHENTICATED


def test_tokens_that_somebody_made_up(tmp_path: Path, key: Key) -> None:
    gate = jwt_gate(tmp_path, key)
    _, body, signature = key.token().split(".")
    headers = [
        *({"alg": alg, "kid": "k1"} for alg in (["ES256"], {}, None, 5, "ES256\n", "es256", "")),
        *({"alg": "ES256", "kid": kid} for kid in (["k1"], {}, 5, "")),
        {"alg": "ES256", "kid": "k1", "b64": False},
        [],
        "ES256",
    ]
    texts = [json.dumps(header).encode() for header in headers]
    texts += [b"[" * 4000, b'{"alg":' * 2000, b'{"alg": 1e999}', b"\xff", b"{}", b""]
    for text in texts:
        for end in (f"{body}.{signature}", f"{body}.", "."):
            forged = f"{base64.urlsafe_b64encode(text).decode().rstrip('=')}.{end}"
            with pytest.raises(ServiceError) as caught:
                identify(gate, forged)
            assert caught.value.code is ErrorCode.UNAUTHENTICATED
    # Signed, and yet without an end.
    assert refusal(gate, key.token(exp=float("inf"))).code is ErrorCode.UNAUTHENTICATED


def test_a_token_need_not_name_the_only_key(tmp_path: Path, key: Key) -> None:
    said = jwt.decode(key.token(), options={"verify_signature": False})
    nameless = jwt.encode(said, key.private, "ES256")
    assert identify(jwt_gate(tmp_path, key), nameless).name == "ann"
    assert "does not name" in refusal(jwt_gate(tmp_path, key, Key("k2")), nameless).message


def test_a_verdict_holds_for_a_while_and_never_longer_than_the_token(
    tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = WebTokens(jwt_settings(tmp_path, key, leeway=0.0))
    checked: list[object] = []
    decode = jwt.decode
    monkeypatch.setattr(jwt, "decode", lambda *args, **kw: (checked.append(args), decode(*args, **kw))[1])
    long, short = Credential(key.token(exp=600)), Credential(key.token(exp=5))
    assert web.known(long) is None
    for credential in (long, short):
        web.check(credential)
        assert web.known(credential) == Caller(web.check(credential).key, "ann", frozenset({"ny"}))
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 6)
    assert web.known(short) is None
    assert web.known(long) is not None
    monkeypatch.setattr(time, "time", lambda: now + 61)
    assert web.known(long) is None
    assert len(checked) == 4
    assert long.token not in repr(web.__dict__)


def test_keys_come_by_https_and_change(tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(authority.root))
    clock, second = Clock(), Key("k2")
    with publishing(key, certificate=authority.issue("provider", "localhost")) as provider:
        keys = RemoteKeys(provider.url, clock)
        assert [one["kid"] for one in keys.known()] == ["k1"]
        provider.content = key_set(second)
        # However many tokens name keys that are not known: one request in a while.
        assert all(keys.newest()[0]["kid"] == "k1" for _ in range(20))
        assert provider.asked == 1
        clock.now += 11
        assert [one["kid"] for one in keys.newest()] == ["k2"]
        assert provider.asked == 2


def test_another_authority_is_not_believed(
    tmp_path: Path, key: Key, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(Authority(tmp_path, "mine").root))
    with publishing(key, certificate=Authority(tmp_path).issue("provider", "localhost")) as provider:
        assert RemoteKeys(provider.url, Clock()).known() == ()
    assert "SSLError" in caplog.text


def test_known_keys_go_on_while_the_provider_is_away(key: Key, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    with publishing(key) as provider:
        keys = RemoteKeys(provider.url, clock)
    for _ in range(3):
        clock.now += 400
        assert [one["kid"] for one in keys.known()] == ["k1"]
        assert [one["kid"] for one in keys.newest()] == ["k1"]
    assert "1 known before hold on" in caplog.text


def test_old_keys_are_asked_for_behind_the_back(key: Key) -> None:
    clock = Clock()
    with publishing(key) as provider:
        keys = RemoteKeys(provider.url, clock)
        provider.content = key_set(Key("k2"))
        provider.pause = 0.5
        clock.now += 301
        began = time.monotonic()
        assert [one["kid"] for one in keys.known()] == ["k1"]
        assert time.monotonic() - began < 0.4
        deadline = time.monotonic() + 5
        while [one["kid"] for one in keys.known()] != ["k2"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b'{"keys": 1}', b'{"keys": []}', b'{"keys": [{"kty": "oct", "k": "AA"}]}', b"x" * (2 << 20)],
)
def test_answers_that_are_no_keys(key: Key, content: bytes, caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    clock = Clock()
    with publishing(key) as provider:
        keys = RemoteKeys(provider.url, clock)
        provider.content = content
        clock.now += 11
        assert [one["kid"] for one in keys.newest()] == ["k1"]
    assert "cannot be had" in caplog.text
    (tmp_path / "keys").write_bytes(content)
    with pytest.raises(ConfigError, match=r"the keys of the identity provider in .* cannot be used"):
        open_keys(str(tmp_path / "keys"))


def test_without_any_key_nobody_can_say(tmp_path: Path, key: Key) -> None:
    with publishing(key) as provider:
        provider.status = 503
        settings = JwtSettings(jwks=provider.url, issuer=ISSUER, audience=AUDIENCE)
        gate = Gate(AccessSettings(jwt=settings))
        error = refusal(gate, key.token())
    assert error.code is ErrorCode.BUSY
    assert error.message == "the keys of the identity provider cannot be had at the moment"


def test_keys_must_come_on_a_safe_way(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"from http://login.example.*use an https URL, or a file"):
        open_keys("http://login.example/keys")
    with pytest.raises(ConfigError, match="cannot be used: No such file"):
        open_keys(str(tmp_path / "none"))


def test_keys_in_a_file_change(tmp_path: Path, key: Key) -> None:
    second = Key("k2")
    gate = jwt_gate(tmp_path, key)
    assert "does not name" in refusal(gate, second.token()).message
    (tmp_path / "jwks.json").write_bytes(key_set(key, second))
    wait_until(gate, second.token(), good=True)


# Everybody else


def test_without_identity_everybody_is_let_in() -> None:
    gate = Gate(AccessSettings())
    assert gate.identify([], PEER, b"") == Caller(admin=True)
    one, other = identify(gate, "a"), identify(gate, "b")
    assert one.key != other.key
    assert "" not in (one.key, other.key)
    # On a server that others can reach nobody is its operator by that.
    assert gate.identify([], PEER, b"").admin
    assert not Gate(AccessSettings(anonymous=True)).identify([], PEER, b"").admin


def test_anonymous_beside_tokens(tokens: Path) -> None:
    token = make(tokens, "ann", "ny")
    gate = Gate(AccessSettings(tokens=tokens, anonymous=True))
    assert gate.identify([], PEER, b"") == ANONYMOUS
    assert identify(gate, token).name == "ann"
    # Who shows something wrong is not taken for somebody who shows nothing.
    assert refusal(gate, "wr0ng-t0ken").code is ErrorCode.UNAUTHENTICATED


def test_certificates_say_who_calls(tokens: Path) -> None:
    gate = Gate(AccessSettings(), certificates=True)
    assert gate.identify(bearer("whatever"), PEER, b"ann") == Caller("certificate:ann", "ann")
    make(tokens)
    both = Gate(AccessSettings(tokens=tokens), certificates=True)
    with pytest.raises(ServiceError, match="has no token"):
        both.identify([], PEER, b"ann")


# Handshakes


def test_handshakes(tokens: Path) -> None:
    token = make(tokens)
    gate = Gate(AccessSettings(tokens=tokens, failures=2))
    assert gate.welcome(basic(b"anybody:" + token.encode())) == token
    for headers, words in (
        ([], "the handshake has no token"),
        (basic(b"ann:wrong"), "not known"),
        (basic(b"a:b"), "not known"),
    ):
        with pytest.raises(ServiceError, match=words):
            gate.welcome(headers)
    # From then on the calls are judged, whose address is known: nobody shuts out those who shake hands.
    assert gate.welcome(basic(b"ann:wrong")) == "wrong"
    assert refusal(gate, "wr0ng-t0ken").code is ErrorCode.UNAUTHENTICATED
    assert Gate(AccessSettings()).welcome(basic(b"ann:any")) == "any"
    assert Gate(AccessSettings()).welcome([]) is None


# Too many tries


def test_too_many_tries(tmp_path: Path, key: Key, tokens: Path, caplog: pytest.LogCaptureFixture) -> None:
    right, seen, fresh = make(tokens), key.token(), key.token(sub="bob")
    gate = Gate(AccessSettings(tokens=tokens, failures=3, jwt=jwt_settings(tmp_path, key)))
    identify(gate, seen)
    for _ in range(3):
        assert refusal(gate, "wr0ng-t0ken").code is ErrorCode.UNAUTHENTICATED
    locked = refusal(gate, "wr0ng-t0ken")
    assert locked.code is ErrorCode.BUSY
    assert "too many tokens from this address were not right" in str(locked)
    # Those behind the same address whose tokens are known come in all the same, and from elsewhere everybody.
    assert identify(gate, right).name == "ann"
    assert identify(gate, seen).name == "ann"
    assert refusal(gate, fresh).code is ErrorCode.BUSY
    assert identify(gate, fresh, OTHER).name == "bob"
    assert identify(gate, fresh).name == "bob"
    [record] = [record for record in caplog.records if "failed tries" in record.getMessage()]
    assert "3 failed tries from 192.0.2.1 within a minute" in record.getMessage()


def test_a_minute_later_they_are_forgotten() -> None:
    clock = Clock()
    failures = Failures(2, clock)
    failures.add("a")
    clock.now += 59
    failures.add("a")
    assert failures.wait("a") == pytest.approx(1)
    assert failures.wait("b") == 0
    clock.now += 1
    assert failures.wait("a") == 0
    failures.add("a")
    assert failures.wait("a") == 0


def test_memory_is_bounded() -> None:
    failures = Failures(1)
    for number in range(11_000):
        failures.add(str(number))
    assert len(failures._counts) == 10_000
    assert failures.wait("10999") > 0


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:4711", "192.0.2.1"),
        ("ipv6:[2001:db8:1:2:3:4:5:6]:4711", "2001:db8:1:2::/64"),
        ("ipv6:%5B2001:db8:1:2::9%5D:4711", "2001:db8:1:2::/64"),
        ("ipv6:%5B::ffff:192.0.2.1%5D:4711", "192.0.2.1"),
        ("ipv6:[fe80::1%25eth0]:1", "fe80::/64"),
        ("unix:", ""),
        ("unix:/tmp/s", ""),
        ("unix-abstract:somebody", ""),
        ("", ""),
    ],
)
def test_addresses(peer: str, address: str) -> None:
    assert address_of(peer) == address


def test_addresses_of_connections_that_were_handed_on() -> None:
    peers = ((("192.0.2.1", 4711), "192.0.2.1"), (("2001:db8::1", 4711, 0, 0), "2001:db8::/64"), ("", ""))
    for peer, address in peers:
        name = forwarded_name(peer)
        assert name[0] == "\0"
        assert len(os.fsencode(name)) < 108
        assert address_of(f"unix-abstract:{name[1:]}") == address
        assert told_peer(f"unix-abstract:{name[1:]}") == (peer[0] if peer else "unix:")
        assert forwarded_name(peer) != name
