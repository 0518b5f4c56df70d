"""No ticket, action or upload makes the server open a path or URL that no index names: every field of text is tried."""

import json
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError

from rasterflight_protocol import ErrorCode, pack
from rasterflight_protocol.v1.read_pb2 import (
    LAYOUT_POINTS,
    LAYOUT_RECORDS,
    BBox,
    BBoxes,
    Filter,
    Geometries,
    Points,
    ReadRequest,
)
from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.database import Database
from rasterflight_server.encode.records import RecordsStream
from rasterflight_server.errors import RequestError, ServiceError
from rasterflight_server.flight.actions import ACTIONS, run_action
from rasterflight_server.flight.service import Service, is_records
from rasterflight_server.ingest import build_index
from rasterflight_server.plan.crs import parse_crs
from rasterflight_server.types.caller import ANONYMOUS
from support.gate import Gate
from support.scenes import noise, write_scene
from support.watched import Watched

AREA = BBoxes(values=[BBox(minx=500_000, miny=5_699_800, maxx=500_200, maxy=5_700_000)])
WGS84 = 'GEOGCRS["x",DATUM["x",ELLIPSOID["x",6378137,298.25]],CS[ellipsoidal,2],AXIS["lon",east],AXIS["lat",north],UNIT["degree",0.0174532925199433]]'
BOUND = (
    f"BOUNDCRS[SOURCECRS[{WGS84}],TARGETCRS[{WGS84}],ABRIDGEDTRANSFORMATION["
    '"x",METHOD["NTv2",ID["EPSG",9615]],PARAMETERFILE["Latitude and longitude difference file","{}"]]]'
)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("files")
    write_scene(folder / "a.tif", noise(64, 64), tile=64)
    build_index(folder, folder / "index", "files")
    service = Service({"files": Collection.open(folder / "index")})
    yield service
    service.workers.close()
    service.collections["files"].close()


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file that nobody may open, in a folder of its own."""
    path = tmp_path_factory.mktemp("secret") / "canary"
    path.write_text("<4326> +proj=longlat +datum=WGS84 +no_defs <>\n")
    return path


def crs_of_files(path: str) -> list[str]:
    """Definitions that make PROJ open a file, by each way in which it takes one."""
    shift = "+proj=longlat +ellps=bessel"
    bound = json.loads(CRS.from_user_input(f"{shift} +nadgrids=other.gsb").to_json())
    bound["transformation"]["parameters"][0]["value"] = path
    written = json.dumps(bound)
    bound["transformation"]["method"] = {"name": f"PROJ hgridshift grids={path}"}
    return [
        f"+init={path}:4326",
        f"init={path}:4326",
        f"{shift} +nadgrids={path}",
        f'{shift} +nadgrids="@null,{path}"',
        f"{shift} +nadgrids = {path}",
        f"{shift} +geoidgrids={path} +vunits=m",
        BOUND.format(path),
        BOUND.format(path).replace("PARAMETERFILE", "ParameterFile"),
        written,
        written.replace("difference file", "\\u0064ifference file"),
        json.dumps(bound).replace("grids=", "\\u0067rids="),
        f'{WGS84[:-1]},EXTENSION["PROJ4","{shift} +nadgrids={path}"]]',
    ]


def hostile(path: Path, url: str) -> list[str]:
    """What is tried in each field."""
    sql = [
        f"read_text('{path}')",
        f"id = read_text('{path}')",
        f"id' OR 1 = (SELECT count(*) FROM read_csv('{path}')) --",
        f"id\" FROM read_text('{path}') --",
        f"id IN (SELECT content FROM read_text('{url}'))",
        json.dumps({"op": "=", "args": [{"op": "read_text", "args": [str(path)]}, "x"]}),
        json.dumps({"op": "=", "args": [{"property": f"'{path}'"}, "x"]}),
    ]
    plain = [str(path), path.as_uri(), f"../{path.name}", f"{url}/canary.tif", f"s3://{path.name}/x", f"/vsicurl/{url}"]
    return [*plain, *sql, *crs_of_files(str(path))[::3], crs_of_files(f"{url}/grid.tif")[2]]


def fields_of_text(kind: Descriptor, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Paths of all fields that take text or bytes, in a message and in those below it."""
    for field in kind.fields:
        path = (*above, field.name)
        if field.type == FieldDescriptor.TYPE_MESSAGE:
            yield from fields_of_text(field.message_type, path)
        elif field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES):
            yield path


def put(message: Message, path: tuple[str, ...], text: str) -> None:
    """Set a field; of lists of messages, in their first."""
    field = message.DESCRIPTOR.fields_by_name[path[0]]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        getattr(message, path[0])[text] = 1
    elif len(path) > 1:
        inner = getattr(message, path[0])
        put((inner[0] if len(inner) else inner.add()) if field.is_repeated else inner, path[1:], text)
    elif field.type == FieldDescriptor.TYPE_BYTES:
        getattr(message, path[0]).append(text.encode())
    elif field.is_repeated:
        getattr(message, path[0]).append(text)
    else:
        setattr(message, path[0], text)


def bases() -> list[ReadRequest]:
    """Requests that are right but for the field that is tried."""
    area = Geometries(crs="EPSG:32631", bboxes=AREA)
    points = Points(crs="EPSG:32631", x=[500_005.0], y=[5_699_995.0])
    return [
        ReadRequest(collection="files", bands=["band_1"], geometries=area),
        ReadRequest(collection="files", bands=["band_1"], points=points, layout=LAYOUT_POINTS),
        ReadRequest(collection="files", filters=[Filter(geometries=area)], layout=LAYOUT_RECORDS),
    ]


def ask(service: Service, request: ReadRequest) -> int:
    """Rows of the whole answer; -1: it was refused, in the words of the server."""
    try:
        checked, collection = service.request(pack(request))
        if is_records(checked):
            return sum(batch.num_rows for batch, _ in RecordsStream(collection, checked).batches(lambda: None))
        return sum(batch.num_rows for batch, _ in service.pixels(collection, checked).batches(lambda: None))
    except ServiceError as error:
        return -1 if error.code is not ErrorCode.INTERNAL else -2


def test_the_bases_are_right(service: Service) -> None:
    assert [ask(service, base) for base in bases()] == [1, 1, 1]


def test_every_field_of_text(service: Service, secret: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(secret.parent)
    paths = list(fields_of_text(ReadRequest.DESCRIPTOR))
    assert {("geometries", "crs"), ("filters", "where"), ("grid", "band_resampling", "key")} <= set(paths)
    with Gate() as gate, Watched(secret.parent) as watched:
        for path in paths:
            # That which has the field already, so that all around it is right.
            base = next(
                (each for each in bases() if path[0] in {field.name for field, _ in each.ListFields()}), bases()[0]
            )
            for text in hostile(secret, gate.url):
                request = ReadRequest()
                request.CopyFrom(base)
                put(request, path, text)
                assert ask(service, request) >= -1
                assert watched.opened() == [], (path, text)
        assert gate.requests == []


class TestReferenceSystems:
    """Callers write their CRS as they like, and PROJ opens the files that some of the ways name."""

    def test_proj_would_open_it(self, secret: Path) -> None:
        with Watched(secret.parent) as watched:
            with pytest.raises(ProjError):
                Transformer.from_crs(CRS.from_user_input(crs_of_files(str(secret))[2]), 4326)
            assert "canary" in watched.opened()

    @pytest.mark.parametrize("number", range(12))
    def test_refused(self, secret: Path, number: int) -> None:
        text = crs_of_files(str(secret))[number]
        with Watched(secret.parent) as watched:
            with pytest.raises(RequestError) as caught:
                parse_crs(text, "grid.target_crs")
            assert watched.opened() == []
        assert (caught.value.code, caught.value.field) == (ErrorCode.BAD_REQUEST, "grid.target_crs")
        assert caught.value.message == "a CRS may not name files, such as grids of shifts"
        assert caught.value.hint.startswith("give its code instead")

    @pytest.mark.parametrize(
        "text",
        [
            "EPSG:4314",
            "+proj=utm +zone=31 +datum=WGS84",
            "+proj=longlat +ellps=bessel +towgs84=598.1,73.7,418.2",
            CRS.from_epsg(3857).to_wkt("WKT1_GDAL"),  # names +nadgrids=@null
            CRS.from_epsg(25832).to_json(),
            CRS.from_epsg(31467).to_wkt(),
        ],
    )
    def test_others_are_taken(self, text: str) -> None:
        assert parse_crs(text, "geometries.crs").name


class TestDatabase:
    """Queries run in a DuckDB that has no way out, whatever were to become SQL."""

    @pytest.fixture
    def database(self, service: Service) -> Database:
        return service.collections["files"]._database

    @pytest.mark.parametrize(
        "sql",
        [
            "SELECT * FROM read_text('{}')",
            "SELECT * FROM read_csv('{}')",
            "SELECT * FROM '{}'",
            "SELECT * FROM glob('{}*')",
            "COPY (SELECT 1) TO '{}'",
            "ATTACH '{}'",
            "INSTALL httpfs",
            "LOAD '{}'",
            "SET enable_external_access = true",
            "RESET lock_configuration",
        ],
    )
    def test_locked(self, database: Database, secret: Path, sql: str) -> None:
        with Watched(secret.parent) as watched:
            with pytest.raises(duckdb.Error, match=r"disabled|locked|[Cc]annot|does not exist"):
                database.query(sql.format(secret))
            assert watched.opened() == []


def test_actions(service: Service, secret: Path) -> None:
    with Gate() as gate, Watched(secret.parent) as watched:
        for action in ACTIONS:
            for text in hostile(secret, gate.url):
                for body in (text, json.dumps({"collection": text}), json.dumps({"upload": text, "id": text})):
                    with suppress(ServiceError):
                        run_action(service, action, body.encode(), ANONYMOUS)
                    assert watched.opened() == []
        assert gate.requests == []
