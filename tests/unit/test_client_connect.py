import datetime as dt

import pyarrow as pa
import pytest

import rasterflight as rf
from rasterflight import errors
from support.fake_server import RECORDS, TOY, Answers, failure, serving


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    monkeypatch.delenv("RASTERFLIGHT_URL", raising=False)
    monkeypatch.delenv("RASTERFLIGHT_TOKEN", raising=False)


def test_collections_are_a_table():
    with serving(Answers(collections=[TOY, {**TOY, "name": "bare", "extent": None, "time": None}])) as url:
        table = rf.connect(url).collections()
    assert table.schema.field("extent").type == pa.list_(pa.float64(), 4)
    toy, bare = table.to_pylist()
    assert toy == {
        "name": "toy",
        "records": 2,
        "bands": ["red", "nir"],
        "dtype": ["uint16", "uint16"],
        "crs": ["EPSG:32618"],
        "extent": [-75.0, 40.0, -73.0, 42.0],
        "start": dt.datetime(2024, 1, 1, tzinfo=dt.UTC),
        "end": dt.datetime(2024, 1, 2, tzinfo=dt.UTC),
    }
    assert (bare["extent"], bare["start"], bare["end"]) == (None, None, None)


def test_an_empty_server_has_an_empty_table():
    with serving(Answers(collections=[])) as url:
        assert rf.connect(url).collections().num_rows == 0


def test_a_collection_knows_itself():
    with serving(Answers()) as url, rf.connect(url) as client:
        toy = client.collection("toy")
        assert (toy.name, toy.bands, toy.snapshot) == ("toy", ["red", "nir"], "s1")
        assert toy.schema == RECORDS
        assert repr(toy).startswith("<rasterflight.Collection 'toy'\n  records  2, 2024-01-01 to 2024-01-02\n")
        assert repr(toy).endswith("\n  bands    red, nir (uint16)>")
        assert "cloud_cover_lt: 20" in repr(toy.subset(cloud_cover_lt=20))
        assert repr(client) == f"<rasterflight.Client {url}>"


def test_a_missing_collection_is_a_key_error_in_the_words_of_the_server():
    with serving(Answers()) as url, pytest.raises(KeyError) as caught:
        rf.connect(url).collection("tyo")
    assert type(caught.value) is errors.CollectionNotFoundError
    assert str(caught.value) == "no collection 'tyo'; there are: toy"


def test_healthcheck():
    with serving(Answers()) as url:
        assert rf.connect(url).healthcheck() == {"status": "ok", "action": "healthcheck"}


def test_the_token_goes_with_every_call_and_nowhere_else():
    answers = Answers()
    with serving(answers) as url, rf.connect(url, token="s3cret") as client:
        client.collections()
        toy = client.collection("toy")
        client.healthcheck()
        toy.plan(bands="red")
        toy.read(bands="red").close()
        assert "s3cret" not in repr(client) + repr(toy)
    assert [headers["authorization"] for headers in answers.headers] == [["Bearer s3cret"]] * 5


@pytest.mark.parametrize("token", ["", "a b\n", "tök", " x"])
def test_a_token_that_no_header_can_carry_is_not_shown(token):
    with pytest.raises(ValueError, match="the token is empty, or has characters that a header cannot carry") as caught:
        rf.connect("grpc://127.0.0.1:1", token=token)
    assert not token.strip() or token not in str(caught.value)


def test_url_and_token_come_from_the_environment(monkeypatch):
    answers = Answers()
    with serving(answers) as url:
        monkeypatch.setenv("RASTERFLIGHT_URL", url)
        monkeypatch.setenv("RASTERFLIGHT_TOKEN", "t")
        with rf.connect() as client:
            client.collections()
            assert client.url == url
    assert answers.headers[0]["authorization"] == ["Bearer t"]


def test_the_default_is_this_machine():
    assert rf.connect().url == "grpc://127.0.0.1:8815"


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://host:1", "scheme 'http', expected one of: grpc://, grpc\\+tcp://, grpc\\+tls://, grpc\\+unix://"),
        ("host:1", "scheme 'host'"),
        ("grpc://", "lacks host or port"),
        ("grpc://host", "lacks host or port"),
        ("grpc+unix://", "names no socket"),
        ("grpc://me:pw@host:1", "the URL carries credentials: pass them as token="),
    ],
)
def test_a_bad_url_is_refused_at_once(url, words):
    with pytest.raises(ValueError, match=words) as caught:
        rf.connect(url)
    assert "pw" not in str(caught.value)


@pytest.mark.parametrize("timeout", [0, -1, float("nan")])
def test_a_bad_timeout_is_refused(timeout):
    with pytest.raises(ValueError, match="expected seconds above 0 or None"):
        rf.connect("grpc://host:1", timeout=timeout)


def test_nobody_there():
    with pytest.raises(ConnectionError, match=r"no server answers at grpc://127.0.0.1:1: .*rasterflight-server serve"):
        rf.connect("grpc://127.0.0.1:1").collections()


def test_errors_keep_their_cause_on_every_call():
    answers = Answers()
    with serving(answers) as url, rf.connect(url) as client:
        toy = client.collection("toy")
        answers.error = failure("UNAUTHENTICATED", "who are you", hint="set RASTERFLIGHT_TOKEN")
        for call in (
            client.collections,
            lambda: client.collection("toy"),
            client.healthcheck,
            lambda: toy.plan(bands="red"),
            lambda: toy.read(bands="red"),
        ):
            with pytest.raises(errors.UnauthenticatedError, match=r"^who are you \(set RASTERFLIGHT_TOKEN\)$"):
                call()


def test_another_service_is_recognised():
    with serving(Answers(collections=[{"name": "x"}])) as url, pytest.raises(errors.ProtocolError):
        rf.connect(url).collections()
