"""Tokens and rights through a real server, on every RPC; and that no secret is told or written down."""

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import adbc_driver_flightsql.dbapi
import adbc_driver_manager
import pyarrow as pa
import pyarrow.flight as fl
import pytest
import shapely

import rasterflight as rf
from rasterflight_protocol import ERROR_TRAILER, pack
from rasterflight_protocol.v1.error_pb2 import ErrorDetail
from rasterflight_protocol.v1.plan_pb2 import Upload
from rasterflight_protocol.v1.read_pb2 import LAYOUT_POINTS, LAYOUT_RECORDS, Geometries, Points, ReadRequest
from rasterflight_server.flight.identity.tokens import create_token, revoke_token
from rasterflight_server.sql import messages
from support.certificates import Authority
from support.provider import AUDIENCE, ISSUER, Key, key_set
from support.server import ServerProcess, run_server_command
from support.sql import refusal as refusal_of_sql
from support.sql import rows

SCHEMA = pa.schema([("geometry", pa.binary())])
AREA = shapely.box(-74.3, 40.4, -74.2, 40.5).wkb


@dataclass
class Guarded:
    """A server that knows some tokens."""

    server: ServerProcess
    file: Path
    keys: Path
    key: Key
    root: Path
    tokens: dict[str, str] = field(default_factory=dict)
    #: What it answered.
    answers: list[str] = field(default_factory=list)

    def call(self, rpc: str, token: str | None = None, name: str = "ny") -> Any:
        """Call it on a connection of its own."""
        header = [] if token is None else [(b"authorization", b"Bearer " + token.encode())]
        try:
            with raw(self) as client:
                return RPCS[rpc](client, fl.FlightCallOptions(headers=header, timeout=60), name)
        except Exception as error:
            self.answers.append(f"{error!r} {getattr(error, 'extra_info', b'')!r} {error.__dict__!r}")
            raise

    def refusal(self, rpc: str, token: str | None = None, name: str = "ny") -> ErrorDetail:
        """What it says, as every client can read it in the trailer; and as pyarrow's clients do."""
        TRAILERS.clear()
        with pytest.raises((fl.FlightError, pa.ArrowException, OSError)) as caught:
            self.call(rpc, token, name)
        detail = ErrorDetail.FromString(TRAILERS[-1])
        # Arrow loses the rest in this RPC.
        if "get_schema" not in rpc:
            assert isinstance(caught.value, fl.FlightError)
            assert ErrorDetail.FromString(caught.value.extra_info) == detail
        return detail


TRAILERS: list[bytes] = []


class Trailers(fl.ClientMiddlewareFactory):
    def start_call(self, info: fl.CallInfo) -> fl.ClientMiddleware:
        return Trailer()


class Trailer(fl.ClientMiddleware):
    def received_headers(self, headers: dict[str, list[Any]]) -> None:
        TRAILERS.extend(headers.get(ERROR_TRAILER, []))


def raw(guarded: Guarded) -> fl.FlightClient:
    return fl.FlightClient(guarded.server.url, tls_root_certs=guarded.root.read_bytes(), middleware=[Trailers()])


def by_ticket(name: str, **fields: Any) -> bytes:
    return pack(ReadRequest(**{"collection": name, "layout": LAYOUT_RECORDS} | fields))


def put(client: fl.FlightClient, options: fl.FlightCallOptions, name: str = "") -> str:
    writer, reader = client.do_put(fl.FlightDescriptor.for_path("areas"), SCHEMA, options)
    try:
        writer.write_batch(pa.record_batch([pa.array([AREA], pa.binary())], schema=SCHEMA))
        writer.done_writing()
        answer = reader.read()
    finally:
        writer.close()
    return Upload.FromString(answer.to_pybytes()).id


def exchange(client: fl.FlightClient, options: fl.FlightCallOptions, name: str) -> pa.Table:
    points = ReadRequest(collection=name, bands=["red"], layout=LAYOUT_POINTS, points=Points(crs="OGC:CRS84"))
    writer, reader = client.do_exchange(fl.FlightDescriptor.for_command(pack(points)), options)
    with writer:
        writer.begin(pa.schema([("x", pa.float64()), ("y", pa.float64())]))
        writer.done_writing()
        return reader.read_all()


def action(name: str, about: str = "") -> Callable[..., Any]:
    def run(client: fl.FlightClient, options: fl.FlightCallOptions, collection: str) -> Any:
        body = (about or collection).encode() if name == "collection.refresh" else about.encode()
        return json.loads(b"".join(one.body.to_pybytes() for one in client.do_action(fl.Action(name, body), options)))

    return run


#: Those that name a collection, and those that do not.
OF_A_COLLECTION: dict[str, Callable[..., Any]] = {
    "get_flight_info path": lambda c, o, n: c.get_flight_info(fl.FlightDescriptor.for_path(n), o),
    "get_flight_info command": lambda c, o, n: c.get_flight_info(fl.FlightDescriptor.for_command(by_ticket(n)), o),
    "get_schema path": lambda c, o, n: c.get_schema(fl.FlightDescriptor.for_path(n), o).schema,
    "get_schema command": lambda c, o, n: c.get_schema(fl.FlightDescriptor.for_command(by_ticket(n)), o).schema,
    "do_get": lambda c, o, n: c.do_get(fl.Ticket(by_ticket(n)), o).read_all(),
    "do_exchange": exchange,
}
RPCS: dict[str, Callable[..., Any]] = OF_A_COLLECTION | {
    "list_flights": lambda c, o, n: [info.descriptor.path[0].decode() for info in c.list_flights(options=o)],
    "list_actions": lambda c, o, n: [one.type for one in c.list_actions(o)],
    "do_put": put,
    "healthcheck": action("healthcheck"),
    "stats": action("stats"),
    "collection.refresh": action("collection.refresh"),
}


@pytest.fixture(scope="module", params=[1, 2])
def guarded(
    request: pytest.FixtureRequest, indexes: dict[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    authority = Authority(folder)
    pair, file, keys, key = authority.issue("server", "127.0.0.1"), folder / "tokens", folder / "keys", Key("k1")
    keys.write_bytes(key_set(key))
    tokens = {
        name: create_token(file, name, collections=collections, admin=admin, expires=expires)
        for name, collections, admin, expires in (
            ("ny", ["ny"], False, None),
            ("all", None, False, datetime.now(UTC) + timedelta(hours=1)),
            ("operator", ["ny"], True, None),
            ("nothing", [], False, None),
            ("expired", None, True, datetime.now(UTC) - timedelta(hours=1)),
            ("revoked", None, True, None),
        )
    }
    revoke_token(file, "revoked")
    tokens |= {
        "jwt": key.token(),
        "jwt all": key.token(sub="bob", rasterflight_collections="*"),
        "jwt expired": key.token(exp=-100, rasterflight_admin=True),
        "jwt of another": Key("k1").token(rasterflight_admin=True),
        "wrong": "rft_" + "A" * 43,
    }
    options = [
        f"--tls-certificate={pair.certificate}",
        f"--tls-key={pair.key}",
        f"--tokens={file}",
        *(f"--set=access.{one}" for one in (f"jwt.jwks={keys}", f"jwt.issuer={ISSUER}", f"jwt.audience={AUDIENCE}")),
        "--set=access.failures=100000",
    ]
    served = {name: indexes[name] for name in ("ny", "naip", "mol")}
    with ServerProcess(served, listen="grpc+tls://127.0.0.1:0", options=options, workers=request.param) as server:
        guarded = Guarded(server, file, keys, key, authority.root, tokens)
        yield guarded
        told = server.log + "".join(guarded.answers)
        assert "Traceback" not in told
        for token in tokens.values():
            assert token not in told
            assert token.rpartition(".")[2] not in told


@pytest.mark.parametrize("rpc", RPCS)
@pytest.mark.parametrize(
    ("who", "words"),
    [
        (None, "this server wants to know who calls, and the call has no token"),
        ("wrong", "the token is not known here: it is wrong, or it was revoked"),
        ("revoked", "the token is not known here: it is wrong, or it was revoked"),
        ("expired", "the token has expired"),
        ("jwt expired", "the token has expired"),
        ("jwt of another", "the token has a signature that is not right"),
    ],
)
def test_nobody_comes_in_without_a_good_token(guarded: Guarded, rpc: str, who: str | None, words: str) -> None:
    detail = guarded.refusal(rpc, None if who is None else guarded.tokens[who])
    assert (detail.code, detail.message, detail.field) == ("UNAUTHENTICATED", words, "authorization")
    assert detail.hint
    assert detail.request_id
    if who is None:
        assert "rasterflight.connect(url, token=...)" in detail.hint


@pytest.mark.parametrize("rpc", sorted(RPCS.keys() - {"stats", "collection.refresh"}))
@pytest.mark.parametrize("who", ["ny", "all", "operator", "jwt", "jwt all"])
def test_those_with_a_good_token_do(guarded: Guarded, rpc: str, who: str) -> None:
    guarded.call(rpc, guarded.tokens[who])


@pytest.mark.parametrize("rpc", OF_A_COLLECTION)
@pytest.mark.parametrize("who", ["ny", "operator", "nothing", "jwt"])
def test_what_he_may_not_read_is_not_there(guarded: Guarded, rpc: str, who: str) -> None:
    there = "none" if who == "nothing" else "ny"
    for name in ("naip", "naipp", "there-is-none"):
        detail = guarded.refusal(rpc, guarded.tokens[who], name)
        assert (detail.code, detail.message, detail.hint) == (
            "COLLECTION_NOT_FOUND",
            f"there is no collection {name!r}",
            f"collections here: {there}",
        )
        assert detail.collection == ""
    assert guarded.refusal(rpc, guarded.tokens["all"], "naipp").hint == "did you mean 'naip'?"


def test_lists_hold_what_he_may_read(guarded: Guarded) -> None:
    for who, names in {
        "ny": ["ny"],
        "all": ["mol", "naip", "ny"],
        "nothing": [],
        "jwt": ["ny"],
        "operator": ["ny"],
    }.items():
        assert guarded.call("list_flights", guarded.tokens[who]) == names
        assert list(guarded.call("healthcheck", guarded.tokens[who])["collections"]) == names
    assert list(guarded.call("stats", guarded.tokens["operator"])["collections"]) == ["ny"]


def test_actions_of_operators(guarded: Guarded) -> None:
    everybody = {"healthcheck", "upload.drop"}

    def listed(who: str) -> set[str]:
        # those of Flight SQL are for everybody
        return {name for name in guarded.call("list_actions", guarded.tokens[who]) if name[0].islower()}

    assert listed("all") == everybody
    assert listed("operator") == {*everybody, "collection.refresh", "stats"}
    for name in ("stats", "collection.refresh"):
        for who in ("ny", "all", "jwt", "jwt all"):
            detail = guarded.refusal(name, guarded.tokens[who])
            assert (detail.code, detail.message) == ("FORBIDDEN", f"the action {name!r} is for operators")
            assert detail.hint == "use a token that was made with --admin"
    admin = guarded.key.token(rasterflight_admin=True)
    guarded.tokens["jwt admin"] = admin
    for who in ("operator", "jwt admin"):
        assert guarded.call("stats", guarded.tokens[who])["process"]
        assert guarded.call("collection.refresh", guarded.tokens[who])["replaced"] == {}
        assert guarded.refusal("collection.refresh", guarded.tokens[who], "naip").code == "COLLECTION_NOT_FOUND"


def options(token: str) -> fl.FlightCallOptions:
    return fl.FlightCallOptions(headers=[(b"authorization", b"Bearer " + token.encode())])


def test_tickets_and_uploads_of_others_open_nothing(guarded: Guarded) -> None:
    tokens = guarded.tokens
    with raw(guarded) as client:
        info = client.get_flight_info(fl.FlightDescriptor.for_path("naip"), options(tokens["all"]))
        ticket = info.endpoints[0].ticket
        assert client.do_get(ticket, options(tokens["all"])).read_all().num_rows == info.total_records
        with pytest.raises(fl.FlightError, match="COLLECTION_NOT_FOUND"):
            client.do_get(ticket, options(tokens["ny"])).read_all()
        assert not any(token.encode() in ticket.ticket for token in tokens.values())
        upload = put(client, options(tokens["all"]))
        mine = by_ticket("ny", layout=0, bands=["red"], geometries=Geometries(crs="OGC:CRS84", upload=upload))
        # On connections of their own: with several processes, they are not all the same one.
        for _ in range(4):
            with raw(guarded) as other:
                assert other.do_get(fl.Ticket(mine), options(tokens["all"])).read_all().num_rows == 5
                for who in ("ny", "operator", "jwt", "jwt all"):
                    with pytest.raises(fl.FlightError, match="UPLOAD_NOT_FOUND"):
                        other.do_get(fl.Ticket(mine), options(tokens[who])).read_all()
        # The next token of the same person finds them.
        upload = put(client, options(tokens["jwt"]))
        mine = by_ticket("ny", layout=0, bands=["red"], geometries=Geometries(crs="OGC:CRS84", upload=upload))
        again = guarded.key.token(exp=900)
        tokens["jwt again"] = again
        assert client.do_get(fl.Ticket(mine), options(again)).read_all().num_rows == 5


def test_revoked_tokens_and_new_keys_within_a_second_or_so(guarded: Guarded) -> None:
    made = run_server_command("token", "create", "short", "--collection=ny", f"--tokens={guarded.file}")
    token = guarded.tokens["short"] = made.stdout.strip()
    second = Key("k2")
    guarded.keys.write_bytes(key_set(guarded.key, second))
    signed = guarded.tokens["jwt second"] = second.token()

    def wait(shown: str | Callable[[], str], *, good: bool) -> float:
        began = time.monotonic()
        while True:
            found = []
            # On connections of their own: each process must know.
            for _ in range(3):
                token = shown if isinstance(shown, str) else shown()
                try:
                    found.append(guarded.call("list_flights", token) == ["ny"])
                except fl.FlightUnauthenticatedError:
                    found.append(False)
            if found == [good] * 3:
                return time.monotonic() - began
            assert time.monotonic() - began < 10

    wait(token, good=True)
    wait(signed, good=True)
    revoked = run_server_command("token", "revoke", "short", f"--tokens={guarded.file}")
    assert revoked.stdout.startswith("revoked short (")
    wait(token, good=False)
    # A key that was withdrawn: verdicts made before hold for up to a minute, others not.
    guarded.keys.write_bytes(key_set(guarded.key))
    ends = count(1000)

    def unseen() -> str:
        token = guarded.tokens["jwt later"] = second.token(exp=next(ends))
        return token

    wait(unseen, good=False)


def test_handshake_of_arrow(guarded: Guarded) -> None:
    with raw(guarded) as client:
        for who in ("ny", "jwt"):
            header = client.authenticate_basic_token("whoever", guarded.tokens[who])
            assert header == (b"authorization", b"Bearer " + guarded.tokens[who].encode())
            flights = client.list_flights(options=fl.FlightCallOptions(headers=[header]))
            assert [info.descriptor.path[0] for info in flights] == [b"ny"]
        for who in ("wrong", "expired", "revoked", "jwt expired"):
            with pytest.raises(fl.FlightUnauthenticatedError) as caught:
                client.authenticate_basic_token("whoever", guarded.tokens[who])
            detail = ErrorDetail.FromString(caught.value.extra_info)
            assert detail.code == "UNAUTHENTICATED"
            assert detail.hint
            guarded.answers.append(str(caught.value))


def adbc(guarded: Guarded, password: str) -> Any:
    options = {
        "username": "whoever",
        "password": password,
        "adbc.flight.sql.client_option.tls_root_certs": guarded.root.read_text(),
    }
    return adbc_driver_flightsql.dbapi.connect(guarded.server.url, db_kwargs=options, autocommit=True)


def test_handshake_of_adbc(guarded: Guarded) -> None:
    with adbc(guarded, guarded.tokens["ny"]) as connection:
        assert connection.adbc_get_objects(depth="catalogs").read_all().num_rows == 1
    with pytest.raises(adbc_driver_manager.Error) as caught:
        adbc(guarded, guarded.tokens["wrong"])
    assert caught.value.status_code is adbc_driver_manager.AdbcStatusCode.UNAUTHENTICATED
    assert "the token is not known here" in str(caught.value)
    guarded.answers.append(repr(caught.value))


@pytest.mark.parametrize(("who", "seen"), [("ny", ["ny"]), ("all", ["mol", "naip", "ny"]), ("nothing", [])])
def test_sql_shows_what_may_be_read(guarded: Guarded, who: str, seen: list[str]) -> None:
    with adbc(guarded, guarded.tokens[who]) as connection:
        listed = rows(connection, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'main'")
        assert sorted(name for (name,) in listed) == seen
        for view in ("columns", "collections", "bands"):
            told = str(rows(connection, f"SELECT * FROM information_schema.{view}"))
            assert [name for name in ("mol", "naip") if name in told] == [one for one in seen if one != "ny"]
        metadata = connection.adbc_get_objects(db_schema_filter="main").read_all().to_pylist()
        [schema] = metadata[0]["catalog_db_schemas"]
        assert sorted(one["table_name"] for one in schema["db_schema_tables"]) == seen
        for sql in ("SELECT count(*) FROM naip", "SELECT count(*) FROM read_pixels('naip')"):
            if "naip" in seen:
                assert rows(connection, sql)
            else:
                told = refusal_of_sql(connection, sql)
                assert told.code == "COLLECTION_NOT_FOUND"
                assert "naip" not in told.hint


def test_a_statement_gives_no_rights_to_others(guarded: Guarded) -> None:
    command = messages.make("CommandStatementQuery", query="SELECT count(*) FROM naip")
    descriptor = fl.FlightDescriptor.for_command(messages.pack(command))

    def options(who: str) -> fl.FlightCallOptions:
        return fl.FlightCallOptions(headers=[(b"authorization", b"Bearer " + guarded.tokens[who].encode())])

    with raw(guarded) as client:
        ticket = client.get_flight_info(descriptor, options("all")).endpoints[0].ticket
        assert client.do_get(ticket, options("all")).read_all().num_rows == 1
        with pytest.raises(fl.FlightServerError, match="there is no table 'naip'"):
            client.do_get(ticket, options("ny"))
        with pytest.raises(fl.FlightUnauthenticatedError):
            client.get_flight_info(descriptor)
        with pytest.raises(fl.FlightUnauthenticatedError):
            client.do_get(ticket)
        for name, body in (("CreatePreparedStatement", messages.pack(command)), ("CloseSession", b"")):
            with pytest.raises(fl.FlightUnauthenticatedError):
                list(client.do_action(fl.Action(name, body)))
        writer, answers = client.do_put(descriptor, SCHEMA)
        answers.read()
        with pytest.raises(fl.FlightUnauthenticatedError):
            writer.close()


def test_our_client(guarded: Guarded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RASTERFLIGHT_TOKEN", raising=False)
    shown = {"tls_root_certs": guarded.root}
    token = guarded.tokens["ny"]
    with rf.connect(guarded.server.url, token=token, **shown) as client:
        assert client.collections()["name"].to_pylist() == ["ny"]
        ny = client.collection("ny")
        # Areas go up, and are dropped, under the same name.
        assert len(ny.get_gdf(geometries=(-74.3, 40.4, -73.5, 41.0), bands=["red"])) == 6
        with pytest.raises(KeyError, match="there is no collection 'naip'"):
            client.collection("naip")
        assert token not in repr(client) + repr(ny) + repr(client._connection.address) + repr(
            client._connection.__dict__
        )
    with (
        rf.connect(guarded.server.url, **shown) as client,
        pytest.raises(rf.errors.UnauthenticatedError, match=r"has no token \(pass a token"),
    ):
        client.collections()
    monkeypatch.setenv("RASTERFLIGHT_TOKEN", token)
    assert rf.connect(guarded.server.url, **shown).collections()["name"].to_pylist() == ["ny"]
    asked: list[int] = []

    def fresh() -> str:
        asked.append(1)
        return guarded.key.token()

    with rf.connect(guarded.server.url, token=fresh, **shown) as client:
        for _ in range(3):
            assert client.collections()["name"].to_pylist() == ["ny"]
    assert len(asked) == 3


def test_too_many_tries_from_one_address(indexes: dict[str, Path], tmp_path: Path) -> None:
    token = create_token(tmp_path / "t", "ann", collections=None, admin=False, expires=None)
    with (
        ServerProcess(
            {"ny": indexes["ny"]}, options=[f"--tokens={tmp_path / 't'}", "--set=access.failures=3"]
        ) as server,
        fl.connect(server.url) as client,
    ):
        codes = []
        for _ in range(5):
            with pytest.raises(fl.FlightError) as caught:
                list(client.list_flights(options=options("guess")))
            codes.append(ErrorDetail.FromString(caught.value.extra_info).code)
        assert codes == ["UNAUTHENTICATED"] * 3 + ["BUSY"] * 2
        assert len(list(client.list_flights(options=options(token)))) == 1
        assert server.log.count("failed tries from 127.0.0.1") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["create", "x"], "one of the arguments --collection --all is required"),
        (["create", "x", "--all", "--collection=a"], "not allowed with"),
        (["create", " x", "--all"], "' x' is no name"),
        (
            ["create", "x", "--all", "--expires=soon"],
            "'soon' is neither a time such as 2027-01-31 nor a span such as 30d",
        ),
        (["create", "x", "--all", "--expires=2001-01-01"], "'2001-01-01' is over already"),
        (["revoke", "x"], "cannot be read: No such file or directory"),
        (["list"], "cannot be read: No such file or directory"),
    ],
)
def test_wrong_use_of_the_command(tmp_path: Path, arguments: list[str], words: str) -> None:
    done = run_server_command("token", *arguments, f"--tokens={tmp_path / 't'}")
    assert done.returncode == 1
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_command(tmp_path: Path) -> None:
    file = f"--tokens={tmp_path / 't'}"
    one = run_server_command("token", "create", "ann", "--collection=b", "--collection=a", "--expires=30d", file)
    two = run_server_command("token", "create", "operator", "--all", "--admin", file)
    assert one.returncode == two.returncode == 0
    assert one.stdout.startswith("rft_")
    assert one.stderr == "keep it well: it is not shown again\n"
    head, ann, operator = run_server_command("token", "list", file).stdout.splitlines()
    assert head.split() == ["NAME", "ID", "OPENS", "ADMIN", "CREATED", "EXPIRES"]
    end = f"{datetime.now(UTC) + timedelta(days=30):%Y-%m-%d}"
    assert (ann.split()[0], ann.split()[2:4], end in ann) == ("ann", ["a,b", "no"], True)
    assert (operator.split()[2:4], operator.split()[-1]) == (["*", "yes"], "never")
    assert one.stdout.strip() not in head + ann + operator
