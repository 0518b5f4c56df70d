"""Settings: where they come from, which of two holds, how they are shown, and what is said when they cannot be."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as bounded
from hypothesis import strategies as st

from rasterflight_protocol import ErrorCode
from rasterflight_server.cli import main
from rasterflight_server.errors import ConfigError
from rasterflight_server.settings import (
    AccessSettings,
    CacheSettings,
    CallerLimits,
    JwtSettings,
    LimitSettings,
    ObserveSettings,
    RequestLimits,
    ServerSettings,
    Settings,
    TlsSettings,
)
from rasterflight_server.settings import keys as keys_module
from rasterflight_server.settings.check import conflicts
from rasterflight_server.settings.documentation import field_texts
from rasterflight_server.settings.keys import Key, all_keys, build, nearest_key, sections, value_of
from rasterflight_server.settings.kinds import File, Number, Place, Positive, Size, Switch, Text, Whole, without_secrets
from rasterflight_server.settings.load import Loaded, load
from rasterflight_server.settings.sources import _made, from_environment, from_file, from_flag
from rasterflight_server.settings.write import _line, example, show, write

WHOLE = """
[server]
listen = "grpc://0.0.0.0:9000"
workers = 3
grace = 5

[cache]
memory = "2GiB"
disk = "kept"
disk_size = 1000

[access]
anonymous = true
[access.jwt]
jwks = "keys/jwks.json"
issuer = "https://login.example"
audience = "rasters"

[limits]
queue_seconds = 0.5
[limits.request]
bytes = "1.5GB"
[limits.caller]
streams = 4

[observe]
http = "127.0.0.1:9090"
access_log = "-"

[collections]
ny = "out/ny"
"with.dot" = "https://host/index"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "rf.toml"
    path.write_text(WHOLE)
    return path


def said(error: ConfigError) -> str:
    assert error.code == ErrorCode.INTERNAL
    return str(error)


# Sources


def test_defaults_are_those_of_the_fields() -> None:
    assert load().settings == Settings()
    assert load(environment={}).given == {}


def test_a_file(file: Path, tmp_path: Path) -> None:
    assert load(file).settings == Settings(
        server=ServerSettings(listen="grpc://0.0.0.0:9000", workers=3, grace=5.0),
        cache=CacheSettings(memory=2 << 30, disk=tmp_path / "kept", disk_size=1000),
        access=AccessSettings(
            anonymous=True,
            jwt=JwtSettings(
                jwks=str(tmp_path / "keys" / "jwks.json"), issuer="https://login.example", audience="rasters"
            ),
        ),
        limits=LimitSettings(
            queue_seconds=0.5, request=RequestLimits(bytes=1_500_000_000), caller=CallerLimits(streams=4)
        ),
        observe=ObserveSettings(http="127.0.0.1:9090", access_log=Path("-")),
        collections={"ny": str(tmp_path / "out" / "ny"), "with.dot": "https://host/index"},
    )


def test_a_file_named_by_a_variable(file: Path, tmp_path: Path) -> None:
    assert load(environment={"RASTERFLIGHT_SETTINGS": str(file)}).settings == load(file).settings
    assert load(environment={"RASTERFLIGHT_SETTINGS": ""}).settings == Settings()
    other = tmp_path / "other.toml"
    other.write_text("")
    assert load(other, {"RASTERFLIGHT_SETTINGS": str(file)}).settings == Settings()


def test_variables() -> None:
    loaded = load(
        environment={
            "RASTERFLIGHT_LIMITS_CALLER_STREAMS": "4",
            "RASTERFLIGHT_ACCESS_JWT_JWKS": "https://host/keys",
            "RASTERFLIGHT_ACCESS_JWT_ISSUER": "https://host",
            "RASTERFLIGHT_ACCESS_JWT_AUDIENCE": "rasters",
            "RASTERFLIGHT_ACCESS_ANONYMOUS": "True",
            "RASTERFLIGHT_CACHE_DISK": "here",
            "RASTERFLIGHT_CACHE_DISK_SIZE": "1TiB",
            "RASTERFLIGHT_SERVER_GRACE": "0.25",
            "RASTERFLIGHT_COLLECTIONS_NY_2": "out/ny",
        }
    )
    assert loaded.settings == Settings(
        limits=LimitSettings(caller=CallerLimits(streams=4)),
        access=AccessSettings(
            anonymous=True, jwt=JwtSettings(jwks="https://host/keys", issuer="https://host", audience="rasters")
        ),
        cache=CacheSettings(disk=Path.cwd() / "here", disk_size=1 << 40),
        server=ServerSettings(grace=0.25),
        collections={"ny_2": str(Path.cwd() / "out" / "ny")},
    )


def test_variables_that_are_not_of_the_server() -> None:
    others = {
        "RASTERFLIGHT_URL": "grpc://host:1",
        "RASTERFLIGHT_TOKEN": "secret",
        "OTHER_LIMITS_STREAMS": "x",
        # Kubernetes, for services named "rasterflight" and "rasterflight-server"
        "RASTERFLIGHT_SERVICE_HOST": "10.0.0.1",
        "RASTERFLIGHT_PORT": "tcp://10.0.0.1:8815",
        "RASTERFLIGHT_SERVER_SERVICE_HOST": "10.0.0.1",
        "RASTERFLIGHT_SERVER_SERVICE_PORT": "8815",
        "RASTERFLIGHT_SERVER_SERVICE_PORT_GRPC": "8815",
        "RASTERFLIGHT_SERVER_PORT": "tcp://10.0.0.1:8815",
        "RASTERFLIGHT_SERVER_PORT_8815_TCP": "tcp://10.0.0.1:8815",
        "RASTERFLIGHT_SERVER_PORT_8815_TCP_ADDR": "10.0.0.1",
    }
    assert load(environment=others).settings == Settings()


def test_later_sources_win(file: Path) -> None:
    environment = {"RASTERFLIGHT_SERVER_WORKERS": "5", "RASTERFLIGHT_SERVER_GRACE": "6"}
    flags = [from_flag("--grace", "server.grace", "7"), from_flag("--set server.grace", "server.grace", "8")]
    loaded = load(file, environment, flags)
    assert (loaded.settings.server.workers, loaded.settings.server.grace) == (5, 8.0)
    assert loaded.settings.server.listen == "grpc://0.0.0.0:9000"
    sources = {name: one.source for name, one in loaded.given.items()}
    assert sources["server.listen"] == f"file {file}"
    assert sources["server.workers"] == "variable RASTERFLIGHT_SERVER_WORKERS"
    assert sources["server.grace"] == "flag --set"
    assert "server.certificate" not in sources


def test_collections_of_all_sources_are_served(file: Path) -> None:
    flags = [from_flag("--collection s2", "collections.s2", "s3://b/s2")]
    loaded = load(file, {"RASTERFLIGHT_COLLECTIONS_NY": "/other"}, flags)
    assert loaded.settings.collections == {"ny": "/other", "with.dot": "https://host/index", "s2": "s3://b/s2"}


def test_an_empty_text_takes_an_optional_one_back(file: Path) -> None:
    assert load(file, {"RASTERFLIGHT_LIMITS_CALLER_STREAMS": ""}).settings.limits.caller.streams is None
    assert load(file, {}, [from_flag("--disk-cache", "cache.disk", "")]).settings.cache.disk is None


def test_a_home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/x")
    assert from_flag("--disk-cache", "cache.disk", "~/kept").value == Path("/home/x/kept")


# Errors


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[limit]\nstreams = 1", ": limit: there is no such setting (did you mean 'limits'?)"),
        ("[limits]\nstreems = 1", ": limits.streems: there is no such setting (did you mean 'limits.streams'?)"),
        ("[limits.callr]\nx = 1", ": limits.callr: there is no such setting (did you mean 'limits.caller'?)"),
        ("[limits.caller]\nuplods = 1", "limits.caller.uplods: there is no such setting (did you mean 'limits.caller.uploads'?)"),
        ("[server]\nstreams = 1", ": server.streams: there is no such setting (did you mean 'limits.streams'?)"),
        ("[tls]\nnonsense = 1", ": tls.nonsense: there is no such setting (there are: tls.certificate, tls.key, tls.client_ca)"),
        ("zz = 1", "there are: server, cache, tls, access, limits, observe, sql, collections)"),
        ("limits = 3", ": limits is a table (write [limits] and its keys below)"),
        ("collections = 'x'", ": collections is a table (write [collections] and its keys below)"),
        ("[server]\nworkers = '2'", ": server.workers: '2' is not a whole number (write it without quotes and point)"),
        ("[server]\nworkers = true", ": server.workers: True is not a whole number"),
        ("[server]\nworkers = 2.0", ": server.workers: 2.0 is not a whole number"),
        ("[server]\nworkers = 0", ": server.workers: 0 is not a number from 1 on"),
        ("[server]\nworkers = ''", ": server.workers: '' is not a whole number"),
        ("[limits]\nqueue = -1", ": limits.queue: -1 is not a number from 0 on"),
        ("[limits]\nqueue = 9223372036854775808", " is not a number from 0 on"),
        ("[server]\ngrace = nan", ": server.grace: nan is not a finite number from 0 on"),
        ("[server]\ngrace = inf", ": server.grace: inf is not a finite number from 0 on"),
        ("[limits]\nstalled_seconds = 0", ": limits.stalled_seconds: 0 leaves no time at all (write a number above 0)"),
        ("[limits.request]\nseconds = 0.0", ": limits.request.seconds: 0.0 leaves no time at all (write a number above 0)"),
        ("[sql]\nseconds = 0", ": sql.seconds: 0 leaves no time at all (write a number above 0)"),
        ("[server]\ngrace = -0.5", ": server.grace: -0.5 is not a finite number from 0 on"),
        ("[server]\ngrace = '30s'", ": server.grace: '30s' is not a number (write it without quotes)"),
        ("[server]\ngrace = true", ": server.grace: True is not a number"),
        ("[server]\nlisten = 8815", ": server.listen: 8815 is not a text (write it in quotes)"),
        ("[server]\nlisten = ' '", ": server.listen: ' ' is empty"),
        ("[access]\nanonymous = 'yes'", ": access.anonymous: 'yes' is neither true nor false (write true or false, without"),
        ("[access]\nanonymous = 1", ": access.anonymous: 1 is neither true nor false"),
        ("[cache]\nmemory = 'much'", ": cache.memory: 'much' is no size such as 20GiB or 500MB"),
        ("[cache]\nmemory = -5", ": cache.memory: -5 is not a number from 0 on"),
        ("[cache]\nmemory = '999999999TiB'", ": cache.memory: '999999999TiB' is not a number from 0 on"),
        ("[cache]\ndisk = ['a']", ": cache.disk: ['a'] is not a text"),
        ('[cache]\ndisk = "a\\u0000b"', ": cache.disk: 'a\\x00b' holds a NUL"),
        ("[cache]\ndisk = '~nobody-at-all/x'", "is in the home of a user who is not known (write the path in full)"),
        ("[observe]\nhttp = '127.0.0.1'", ": observe.http: '127.0.0.1' is not HOST:PORT (write an address such as"),
        ("[observe]\nhttp = '127.0.0.1:70000'", ": observe.http: '127.0.0.1:70000' is not HOST:PORT"),
        ("[observe]\nhttp = 'http://127.0.0.1:80'", " is not HOST:PORT"),
        ("[observe]\nhealth = ':80'", " is not HOST:PORT"),
        ("[collections]\nny = 3", ": collections.ny: 3 is not a text"),
        ("[collections.ny]\npath = 'x'", ": collections.ny: {'path': 'x'} is not a text"),
        ("[server]\nlisten = nowhere", " is not TOML: "),
        ("[server]\nworkers = " + "9" * 5000, " is not TOML: "),
    ],
)  # fmt: skip
def test_files_that_cannot_be(tmp_path: Path, text: str, words: str) -> None:
    file = tmp_path / "rf.toml"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert said(caught.value).startswith(str(file))
    assert words in said(caught.value)


def test_files_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "none.toml")
    assert said(caught.value) == (
        f"the settings '{tmp_path}/none.toml' cannot be read: No such file or directory"
        " (--settings or RASTERFLIGHT_SETTINGS names the file)"
    )


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("SERVER_WORKERS", "x", "RASTERFLIGHT_SERVER_WORKERS: 'x' is not a whole number (write digits alone: 4)"),
        ("SERVER_GRACE", "nan", "RASTERFLIGHT_SERVER_GRACE: 'nan' is not a finite number from 0 on"),
        ("SERVER_GRACE", "30s", "RASTERFLIGHT_SERVER_GRACE: '30s' is not a number (write digits alone: 2.5)"),
        ("ACCESS_ANONYMOUS", "on", "RASTERFLIGHT_ACCESS_ANONYMOUS: 'on' is neither true nor false (write true or false)"),
        ("CACHE_DISK", "a\udcff", "RASTERFLIGHT_CACHE_DISK: 'a\\udcff' is not UTF-8"),
        ("COLLECTIONS_NY", "", "RASTERFLIGHT_COLLECTIONS_NY: '' is empty"),
        ("LIMITS_CALLER_STREEMS", "1", "the variable RASTERFLIGHT_LIMITS_CALLER_STREEMS sets nothing (did you mean 'RASTERFLIGHT_LIMITS_CALLER_STREAMS'?)"),
        ("LIMIT_STREAMS", "1", "the variable RASTERFLIGHT_LIMIT_STREAMS sets nothing (did you mean 'RASTERFLIGHT_LIMITS_STREAMS'?)"),
        ("SERVER_PORT", "8815", "the variable RASTERFLIGHT_SERVER_PORT sets nothing"),
        ("TLS_NONSENSE", "1", "sets nothing (there are: RASTERFLIGHT_TLS_CERTIFICATE, RASTERFLIGHT_TLS_KEY, RASTERFLIGHT_TLS_CLIENT_CA)"),
        ("COLLECTIONS", "a=b", "the variable RASTERFLIGHT_COLLECTIONS sets nothing (did you mean 'RASTERFLIGHT_COLLECTIONS_NAME'?)"),
        ("COLLECTION_NY", "/ny", "the variable RASTERFLIGHT_COLLECTION_NY sets nothing (did you mean 'RASTERFLIGHT_COLLECTIONS_NY'?)"),
    ],
)  # fmt: skip
def test_variables_that_cannot_be(variable: str, value: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(environment={f"RASTERFLIGHT_{variable}": value})
    assert said(caught.value).startswith(words) or words in said(caught.value)
    assert f"RASTERFLIGHT_{variable}" in said(caught.value)


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--workers=0"], "--workers: '0' is not a number from 1 on"),
        (["--set", "limits.caller.streams=x"], "--set limits.caller.streams: 'x' is not a whole number"),
        (["--set", "limits.caller.streems=4"], "--set limits.caller.streems: there is no such setting (did you mean 'limits.caller.streams'?)"),
        (["--set", "limits=4"], "--set limits: there is no such setting (it is a table: limits.streams, limits.queue,"),
        (["--set", "collections=4"], "--set collections: there is no such setting (it is a table: set collections.NAME)"),
        (["--set", "limits.streams"], "--set: 'limits.streams' is not KEY=VALUE"),
        (["--set", "limits.caler.streams=4"], "--set limits.caler.streams: there is no such setting (did you mean 'limits.caller.streams'?)"),
        (["--work=0"], "--workers: '0' is not a number from 1 on"),
        (["--collection", "=x"], "--collection: '=x' is not NAME=DIR"),
        (["--collection", "a="], "--collection a: '' is empty"),
        (["--collection", "a=b", "--set", "collections.a=c"], "two collections are named 'a' (give each a name of its own)"),
        (["--listen", "http://x:1"], "--listen: cannot listen on 'http://x:1': the scheme is not grpc"),
        (["--set", "server.listen=grpc://x:99999"], "--set server.listen: cannot listen on 'grpc://x:99999': the port is not"),
        (["--set", "tls.key=k"], "--set tls.key: there is no certificate with it (set tls.certificate too)"),
        (["--settings", "/dev/null/x"], "the settings '/dev/null/x' cannot be read: Not a directory"),
    ],
)  # fmt: skip
def test_flags_that_cannot_be(flags: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--check", *flags]) == 1
    assert capsys.readouterr().err.startswith(f"error: {words}")


def test_flags_that_there_are_not(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["config", "--check", "--workrs=2"])
    assert capsys.readouterr().err == (
        "error: there is no flag --workrs: did you mean --workers? (see rasterflight-server config --help)\n"
    )


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (Settings(tls=TlsSettings(key=Path("k"))), ["tls.key: there is no certificate with it"]),
        (Settings(tls=TlsSettings(client_ca=Path("c"))), ["tls.client_ca: there is no certificate with it"]),
        (Settings(tls=TlsSettings(certificate=Path("c"))), ["tls.certificate: there is no key with it"]),
        (Settings(server=ServerSettings(listen="grpc+tls://h:1")), ["server.listen: grpc+tls needs a certificate"]),
        (
            Settings(access=AccessSettings(jwt=JwtSettings(issuer="i", audience="a"))),
            [f"access.jwt.{key}: without keys no such tokens are taken" for key in ("issuer", "audience")],
        ),
        (
            Settings(access=AccessSettings(jwt=JwtSettings(jwks="https://h/k", issuer="i"))),
            [
                "access.jwt.audience: it is not set, and tokens that the provider makes for others would open this server"
            ],
        ),
        (
            Settings(tls=TlsSettings(certificate=Path("c"), key=Path("k"))),
            ["server.listen: there is a certificate, and nothing that goes over this location would be encrypted"],
        ),
        (
            Settings(observe=ObserveSettings(health="127.0.0.1:8815", http="[::1]:1")),
            ["observe.health: server.listen is at 127.0.0.1:8815 already"],
        ),
        (
            Settings(observe=ObserveSettings(health="h:2", http="h:2")),
            ["observe.http: observe.health is at h:2 already"],
        ),
        (Settings(observe=ObserveSettings(health="h:0", http="h:0")), []),
        (Settings(), []),
    ],
)
def test_settings_that_do_not_go_together(settings: Settings, words: list[str]) -> None:
    assert [f"{conflict.key}: {conflict.why}" for conflict in conflicts(settings)] == words


def test_a_conflict_names_the_key_as_it_was_written(tmp_path: Path) -> None:
    file = tmp_path / "rf.toml"
    file.write_text("[tls]\nkey = 'k'")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert said(caught.value) == f"{file}: tls.key: there is no certificate with it (set tls.certificate too)"
    with pytest.raises(ConfigError, match=r"^server.listen: grpc\+tls") as caught:
        load().refuse("server.listen", "grpc+tls", "")


# Secrets


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarded:
    """A section with a secret."""

    password: str | None = field(default=None, repr=False)
    """Never shown."""


def test_a_field_without_repr_is_a_secret() -> None:
    (key,) = keys_module._keys(Guarded, "guarded.")
    assert key == Key("guarded.password", key.kind, optional=True, default=None, secret=True, about="Never shown.")
    assert key.variable == "RASTERFLIGHT_GUARDED_PASSWORD"
    assert _line(key, "hush") == '#password = "***"'
    with pytest.raises(ConfigError) as caught:
        _made(key, key.kind.parse, "hush\0", "VARIABLE", Path("/"))
    assert said(caught.value) == "VARIABLE: the value holds a NUL"
    assert "hush" not in repr(Guarded(password="hush"))


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("https://user:secret@host/a", "https://***@host/a"),
        ("https://secret@host/a?x=1", "https://***@host/a?***"),
        ("s3://key:secret@bucket", "s3://***@bucket"),
        ("abfs://container@account/a", "abfs://container@account/a"),
        ("https://host/a?sig=secret", "https://host/a?***"),
        ("https://host?sig=secret", "https://host?***"),
        ("/a/b@c?d", "/a/b@c?d"),
    ],
)
def test_urls_lose_their_secrets(text: str, seen: str) -> None:
    assert without_secrets(text) == seen


def test_nothing_shows_a_secret(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    url = "https://user:secret@host/a?sig=secret"
    jwt = [f"--set=access.jwt.{key}={value}" for key, value in {"jwks": url, "issuer": "i", "audience": "a"}.items()]
    assert main(["config", "--show", f"--collection=a={url}", *jwt]) == 0
    shown = capsys.readouterr().out
    assert '#a = "https://***@host/a?***"  # flag --collection' in shown
    assert '#jwks = "https://***@host/a?***"  # flag --set' in shown
    assert main(["config", "--check", "--set", f"observe.http={url}"]) == 1
    shown += capsys.readouterr().err
    assert "secret@" not in shown
    assert "=secret" not in shown
    assert "secret" not in repr(Settings(collections={"a": url}))


# Shown


def test_show(file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RASTERFLIGHT_LIMITS_QUEUE", "7")
    assert main(["config", "--show", "--settings", str(file), "--workers=2", "--collection", "new=/x"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f'listen = "grpc://0.0.0.0:9000"  # file {file}' in lines
    assert "workers = 2  # flag --workers" in lines
    assert f'memory = "2GiB"  # file {file}' in lines
    assert "queue = 7  # variable RASTERFLIGHT_LIMITS_QUEUE" in lines
    assert "streams = 256  # default" in lines
    assert '#certificate = ""  # default' in lines
    assert 'new = "/x"  # flag --collection' in lines
    assert lines[lines.index("workers = 2  # flag --workers") - 1] == (
        "# Processes that share the port; each connection stays with one of them."
    )


def test_check(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--check", "--settings", str(file)]) == 0
    assert capsys.readouterr().out == "the settings can be used\n"


def test_an_example_to_begin_with(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "--example"]) == 0
    text = capsys.readouterr().out
    assert text == example()
    file = tmp_path / "rf.toml"
    file.write_text(text)
    assert load(file).settings == Settings()
    file.write_text("\n".join(line if line.startswith("# ") else line.removeprefix("#") for line in text.splitlines()))
    assert load(file).settings == Settings(collections={"ny": str(tmp_path / "out" / "ny")})


def test_isolated_settings_ignore_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RASTERFLIGHT_SETTINGS", str(tmp_path / "none"))
    monkeypatch.setenv("RASTERFLIGHT_SERVER_WORKERS", "nonsense")
    assert main(["config", "--check"]) == 1
    assert main(["config", "--show", "--isolated"]) == 0
    assert "workers = 1  # default" in capsys.readouterr().out


def test_no_collection(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["serve", "--isolated"]) == 1
    assert capsys.readouterr().err == (
        "error: there is no collection to serve"
        " (name one by --collection NAME=DIR, or in the table [collections] of the file)\n"
    )


# All keys


def test_every_key_has_a_variable_of_its_own() -> None:
    variables = [key.variable for key in all_keys().values()]
    assert len(set(variables)) == len(variables)
    assert "RASTERFLIGHT_LIMITS_CALLER_STREAMS" in variables
    assert not {"RASTERFLIGHT_URL", "RASTERFLIGHT_TOKEN", "RASTERFLIGHT_SETTINGS"} & set(variables)


def test_every_default_can_be_given(tmp_path: Path) -> None:
    """Defaults pass the checks of their kinds, by a file as by variables."""
    for key in all_keys().values():
        value = value_of(Settings(), key.name)
        assert value == key.default
        if value is not None:
            assert key.kind.take(value if not isinstance(value, Path) else str(value), tmp_path) == value
            assert key.kind.parse(str(value).lower() if isinstance(value, bool) else str(value), tmp_path) == value
        else:
            assert key.optional


def test_texts_of_the_fields() -> None:
    texts = field_texts(ServerSettings)
    assert texts[""] == "Where to listen, and how the server lives."
    assert texts["grace"] == "Seconds that running streams may take to finish after SIGTERM."
    assert "`grpc+unix:///PATH`" in texts["listen"]
    assert set(sections()) == {
        "server", "cache", "tls", "access", "access.jwt", "limits", "limits.request", "limits.caller", "observe",
        "sql",
    }  # fmt: skip


def test_nothing_is_like_it() -> None:
    assert nearest_key("x.y").startswith("there are: server, cache,")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1).filter(
    lambda text: bool(text.strip()) and "://" not in text  # a URL may lose something
)
PATHS = TEXTS.map(lambda text: Path("/", text.replace("/", "_")))
VALUES: Mapping[type, st.SearchStrategy[object]] = {
    Whole: st.integers(1, 2**63 - 1),
    Size: st.integers(0, 2**63 - 1) | st.integers(0, 2**20).map(lambda number: number << 30),
    Number: st.floats(0, exclude_min=True, allow_nan=False, allow_infinity=False),
    Switch: st.booleans(),
    Text: TEXTS,
    File: PATHS | st.just(Path("-")),
    Place: PATHS.map(str) | st.just("https://host/index"),
}


@st.composite
def settings_of_all_kinds(draw: st.DrawFn) -> Settings:
    values: dict[str, object] = {}
    for key in all_keys().values():
        kind = VALUES.get(type(key.kind), st.sampled_from(["127.0.0.1:80", "[::1]:0", "host:65535"]))
        values[key.name] = draw(st.none() | kind if key.optional else kind)
    for name in draw(st.lists(TEXTS, unique=True, max_size=3)):
        values[f"collections.{name}"] = draw(VALUES[Place])
    return build(values)


@bounded(deadline=None, max_examples=50)
@given(settings_of_all_kinds())
def test_what_is_written_is_what_is_read(tmp_path_factory: pytest.TempPathFactory, settings: Settings) -> None:
    file = tmp_path_factory.getbasetemp() / "written.toml"
    for text in (write(settings), show(Loaded(settings, {}))):
        file.write_text(text, encoding="utf-8", newline="")
        assert read_unchecked(file) == settings


def read_unchecked(file: Path) -> Settings:
    """What a file says, whether it goes together or not."""
    return build({one.key.name: one.value for one in from_file(file)})


def test_numbers_keep_their_kind() -> None:
    assert Positive.__metadata__ == (Whole(least=1),)
    assert math.isclose(next(from_environment({"RASTERFLIGHT_SERVER_GRACE": "1e-3"})).value, 0.001)
