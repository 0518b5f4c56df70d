"""Collections with a configuration: what opens, what does not, and what one request may ask for."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
import shapely

from rasterflight_protocol import ErrorCode, pack
from rasterflight_protocol.v1.read_pb2 import (
    LAYOUT_OUTLINES,
    LAYOUT_POINTS,
    LAYOUT_RECORDS,
    BBox,
    BBoxes,
    Filter,
    Geometries,
    Points,
    ReadRequest,
    Window,
    Windows,
)
from rasterflight_server.catalog import Collection
from rasterflight_server.catalog.configuration import CONFIGURATION, BandConfig, Configuration
from rasterflight_server.catalog.overrides import override_manifest
from rasterflight_server.errors import ConfigError, RequestError
from rasterflight_server.ingest.presets import preset_names, preset_text, read_preset
from rasterflight_server.settings import LimitSettings, RequestLimits, Settings
from support.configured import Configured
from support.scenes import noise, write_items, write_scene
from support.server import run_server_command

SCENE = 40, 48


@pytest.fixture(scope="module")
def two(tmp_path_factory: pytest.TempPathFactory) -> Configured:
    """Two records of one band of 40 x 48 pixels."""
    folder = tmp_path_factory.mktemp("two")
    for name in ("a", "b"):
        write_scene(folder / f"{name}.tif", noise(*SCENE), tile=16)
    return Configured(folder, tmp_path_factory.mktemp("index") / "i")


@pytest.fixture
def band(two: Configured) -> str:
    return two.bands[0]


def opened(two: Configured, text: str) -> SimpleNamespace:
    with two.serve(text) as service:
        collection = service.collection("files")
        [entry] = collection.bands.values()
        return SimpleNamespace(snapshot=collection.snapshot, band=entry, configuration=collection.configuration)


def test_without_a_file_all_is_as_the_index_says(two: Configured) -> None:
    (two.index / CONFIGURATION).unlink(missing_ok=True)
    collection = Collection.open(two.index)
    assert collection.configuration == Configuration()
    assert collection.snapshot == collection.manifest.snapshot
    collection.close()


def test_the_snapshot_tells_of_bands_only(two: Configured, band: str) -> None:
    plain = opened(two, "").snapshot
    assert opened(two, "title = 'x'\n[limits]\npixels = 1").snapshot == plain
    changed = opened(two, f"[bands.{band}]\nnodata = 3").snapshot
    assert changed.startswith(f"{plain}-")
    assert opened(two, f"[bands.{band}]\nnodata = 4").snapshot not in (plain, changed)


def test_a_ticket_planned_with_another_nodata_is_stale(two: Configured, band: str) -> None:
    ticket = ReadRequest(collection="files", bands=[band], snapshot=opened(two, "").snapshot)
    with two.serve("title = 'New'") as service:
        service.request(pack(ticket))
    with two.serve(f"[bands.{band}]\nnodata = 3") as service, pytest.raises(RequestError) as caught:
        service.request(pack(ticket))
    assert caught.value.code is ErrorCode.STALE_SNAPSHOT


def test_bands_are_described_as_configured(two: Configured, band: str) -> None:
    found = opened(two, f"[bands.{band}]\naliases = ['red']\nnodata = 3\nscale = 2\nunit = 'm'").band
    assert (found.aliases, found.nodatas, found.scale, found.unit) == (("red",), ("3",), 2.0, "m")
    assert opened(two, f"[bands.{band}]\nnodata = 'none'").band.nodatas == (None,)


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("[bands.{band}x]", "bands.{band}x", "the collection has no band '{band}x' (did you mean '{band}'?)"),
        ("[bands.zzz]", "bands.zzz", "there are: {band}"),
        ("[bands.{band}]\nnodata = -1", "bands.{band}.nodata", "-1 is no value of uint16"),
        ("[bands.{band}]\nnodata = 0.5", "bands.{band}.nodata", "0.5 is no value of uint16"),
        ("[bands.{band}]\nnodata = nan", "bands.{band}.nodata", "nan is no value of uint16"),
        ("[bands.{band}]\nnodata = 65536", "bands.{band}.nodata", "65536 is no value of uint16"),
    ],
)
def test_what_does_not_fit_the_index(two: Configured, band: str, text: str, field: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught, two.serve(text.format(band=band)):
        pass
    assert str(caught.value).startswith(f"files: {CONFIGURATION}: bands.")
    assert message.format(band=band) in str(caught.value)
    assert caught.value.field == field.format(band=band)


def test_a_preset_may_name_more_bands(two: Configured) -> None:
    assert opened(two, "[bands.zzz]\nnodata = 0\n[preset]\nabout = 'x'").band.nodatas == (None,)


def test_aliases(data: Path, indexes: dict[str, Path]) -> None:
    collection = Collection.open(indexes["ny"])
    manifest = collection.manifest
    collection.close()
    names = [entry.name for entry in manifest.bands]

    def aliases(**bands: list[str]) -> dict[str, tuple[str, ...]]:
        said = {name: BandConfig(aliases=tuple(given)) for name, given in bands.items()}
        found = override_manifest(manifest, Configuration(bands=said))
        return {entry.name: entry.aliases for entry in found.bands}

    before = {entry.name: entry.aliases for entry in manifest.bands}
    own = before[names[0]][0]
    # An alias that the index gave to another band goes to the one that was named.
    found = aliases(**{names[1]: [own]})
    assert own not in found[names[0]]
    assert found[names[1]] == (*before[names[1]], own)
    with pytest.raises(ConfigError, match=f"'{names[0]}' is a name of band '{names[0]}' already"):
        aliases(**{names[1]: [names[0]]})
    with pytest.raises(ConfigError, match=f"'x' is a name of band '{names[0]}' already"):
        aliases(**{names[0]: ["x"], names[1]: ["x"]})
    with pytest.raises(ConfigError, match=rf"it is another name of '{names[0]}': write \[bands.{names[0]}\]"):
        aliases(**{own: ["x"]})


def test_lowest_float32(tmp_path: Path) -> None:
    write_scene(tmp_path / "a.tif", noise(16, 16).astype("float32"), tile=16)
    collection = Configured(tmp_path, tmp_path / "i")
    [name] = collection.bands
    with collection.serve(f"[bands.{name}]\nnodata = -3.4028235e38") as service:
        assert service.collection("files").bands[name].nodatas == ("-3.4028234663852886e+38",)
    with (
        pytest.raises(ConfigError, match="is no value of float32"),
        collection.serve(f"[bands.{name}]\nnodata = 1e300"),
    ):
        pass


WEST = BBox(minx=500_000, miny=5_699_000, maxx=500_100, maxy=5_700_000)
WEST_WKB = shapely.to_wkb(shapely.box(WEST.minx, WEST.miny, WEST.maxx, WEST.maxy))


@pytest.mark.parametrize(
    ("limit", "count", "request_"),
    [
        ("records", 2, ReadRequest()),
        ("chips", 2, ReadRequest()),
        ("pixels", 2 * 40 * 48, ReadRequest()),
        ("bytes", 2 * 2 * 40 * 48, ReadRequest()),
        ("geometries", 2, ReadRequest(windows=Windows(values=[Window(width=2, height=2)] * 2))),
        ("geometries", 3, ReadRequest(geometries=Geometries(crs="EPSG:32631", bboxes=BBoxes(values=[WEST] * 3)))),
        ("pixels", 2 * 3 * 4, ReadRequest(windows=Windows(values=[Window(width=3, height=4)]))),
        ("chips", 6, ReadRequest(geometries=Geometries(crs="EPSG:32631", bboxes=BBoxes(values=[WEST] * 3)))),
    ],
)
def test_limits(two: Configured, band: str, limit: str, count: int, request_: ReadRequest) -> None:
    message = ReadRequest(collection="files", bands=[band])
    message.MergeFrom(request_)

    def plan(most: int) -> None:
        with two.serve(f"[limits]\n{limit} = {most}") as service:
            request, collection = service.request(pack(message))
            service.chips(collection, request)

    plan(count)
    with pytest.raises(RequestError) as caught:
        plan(count - 1)
    error = caught.value
    assert (error.code, error.field, error.collection) == (ErrorCode.LIMIT_EXCEEDED, f"limits.{limit}", "files")
    assert f"asks for {count} " in error.message
    assert f"gives {count - 1} at a time (limits.{limit})" in error.message
    assert error.hint


@pytest.mark.parametrize(
    ("limit", "count", "words", "request_"),
    [
        ("records", 2, "2 records", ReadRequest()),
        ("chips", 2, "2 pairs of record and area", ReadRequest()),
        ("pixels", 2 * 40 * 48, "3840 pixels", ReadRequest()),
        ("bytes", 2 * 2 * 40 * 48, "7680 bytes of pixels", ReadRequest()),
        ("geometries", 2, "2 areas or windows", ReadRequest(windows=Windows(values=[Window(width=2, height=2)] * 2))),
        ("geometries", 3, "3 areas or windows", ReadRequest(geometries=Geometries(crs="EPSG:32631", bboxes=BBoxes(values=[WEST] * 3)))),
        ("geometries", 1, "1 areas or windows", ReadRequest(filters=[Filter(geometries=Geometries(crs="EPSG:32631", wkb={"values": [WEST_WKB]}))])),
        ("vertices", 5, "5 vertices of areas", ReadRequest(geometries=Geometries(crs="EPSG:32631", wkb={"values": [WEST_WKB]}))),
        ("chips", 4, "4 pairs of record and area", ReadRequest(windows=Windows(values=[Window(width=2, height=2)] * 2))),
    ],
)  # fmt: skip
def test_limits_of_the_server(
    two: Configured, band: str, limit: str, count: int, words: str, request_: ReadRequest
) -> None:
    message = ReadRequest(collection="files", bands=[band])
    message.MergeFrom(request_)

    def plan(most: int, of_collection: int | None = None) -> None:
        limits = LimitSettings(request=RequestLimits(**{limit: most}))
        configuration = "" if of_collection is None else f"[limits]\n{limit} = {of_collection}"
        with two.serve(configuration, Settings(limits=limits)) as service:
            service.chips(*reversed(service.request(pack(message))))

    def refused(*most: int) -> RequestError:
        with pytest.raises(RequestError, match=f"the request asks for {words}") as caught:
            plan(*most)
        return caught.value

    plan(count)
    if count > 1:
        error = refused(count - 1)
        assert (error.code, error.field) == (ErrorCode.LIMIT_EXCEEDED, f"limits.request.{limit}")
        assert f", the server gives {count - 1} at a time (limits.request.{limit})" in error.message
        assert error.hint
    if count > 2 and limit != "vertices":
        # Of two limits the tighter one is named, whosever it is.
        assert refused(count - 2, count - 1).field == f"limits.request.{limit}"
        error = refused(count - 1, count - 2)
        assert error.field == f"limits.{limit}"
        assert f"the collection gives {count - 2} at a time" in error.message


def test_limits_of_pixels_do_not_hold_for_outlines_and_records(two: Configured, band: str) -> None:
    with two.serve("[limits]\npixels = 1\nbytes = 1") as service:
        request, collection = service.request(
            pack(ReadRequest(collection="files", bands=[band], layout=LAYOUT_OUTLINES))
        )
        assert sum(batch.num_rows for batch, _ in service.outlines(collection, request).batches(lambda: None)) == 2
        service.request(pack(ReadRequest(collection="files", layout=LAYOUT_RECORDS)))


def test_limit_of_records_holds_for_points(two: Configured, band: str) -> None:
    message = ReadRequest(
        collection="files",
        bands=[band],
        layout=LAYOUT_POINTS,
        points=Points(crs="EPSG:32631", x=[500_005], y=[5_699_995]),
    )
    with two.serve("[limits]\nrecords = 1") as service:
        request, collection = service.request(pack(message))
        with pytest.raises(RequestError, match="asks for 2 records"):
            service.points(collection, request)


# The command


@pytest.fixture
def index(tmp_path: Path) -> Callable[..., SimpleNamespace]:
    """Run ``rasterflight-server index`` on one small file; gives what it said, and the directory."""
    items = write_items(
        tmp_path / "items.json", {"a": {"B04": str(write_scene(tmp_path / "a.tif", noise(16, 16), tile=16))}}
    )

    def run(*options: str) -> SimpleNamespace:
        done = run_server_command("index", items, "--out", tmp_path / "out", "--name", "x", *options)
        return SimpleNamespace(status=done.returncode, out=done.stdout, err=done.stderr, index=tmp_path / "out")

    return run


def test_index_puts_the_configuration_in_place(index: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    config = tmp_path / "my.toml"
    config.write_text("title = 'T' # kept\n[bands.B04]\nnodata = 0")
    done = index("--config", str(config))
    assert (done.status, done.err) == (0, "")
    assert (done.index / CONFIGURATION).read_text() == config.read_text()
    # It stays through a rebuild that says nothing of it, and is replaced by one that does.
    assert index().status == 0
    assert (done.index / CONFIGURATION).read_text() == config.read_text()
    assert index("--preset", "planetary-computer-sentinel-2-l2a").status == 0
    collection = Collection.open(done.index)
    assert collection.resolve_band("red").nodatas == ("0",)
    assert collection.configuration.title == "Sentinel-2 Level-2A"
    collection.close()


def test_a_configuration_may_be_there_first(index: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / CONFIGURATION).write_text("title = 'T'")
    assert index().status == 0
    assert (tmp_path / "out" / CONFIGURATION).read_text() == "title = 'T'"


@pytest.mark.parametrize(
    ("options", "text", "message"),
    [
        (["--config", "my.toml"], "titel = 'x'", "my.toml has an unknown key 'titel' (did you mean 'title'?)"),
        (["--config", "none.toml"], "", "the configuration 'none.toml' cannot be read: No such file or directory"),
        (
            ["--preset", "earth-search-niap"],
            "",
            "there is no preset 'earth-search-niap' (did you mean 'earth-search-naip'?)",
        ),
        (["--preset", "x", "--config", "my.toml"], "", "a preset and a configuration were given"),
    ],
)
def test_what_cannot_be_configured_is_not_built(
    index: Callable[..., SimpleNamespace], tmp_path: Path, options: list[str], text: str, message: str
) -> None:
    (tmp_path / "my.toml").write_text(text)
    done = index(*[str(tmp_path / word) if word.endswith(".toml") else word for word in options])
    assert done.status == 1
    assert done.err.startswith("error: ")
    assert message in done.err
    assert not done.index.exists()


def test_what_does_not_fit_leaves_the_index(index: Callable[..., SimpleNamespace], tmp_path: Path) -> None:
    (tmp_path / "my.toml").write_text("[bands.B05]\nnodata = 0")
    done = index("--config", str(tmp_path / "my.toml"))
    assert done.status == 1
    assert "the index is built, but this configuration does not fit it" in done.err
    assert "the collection has no band 'B05' (did you mean 'B04'?)" in done.err
    assert not (done.index / CONFIGURATION).exists()
    Collection.open(done.index).close()


def test_serve_names_what_is_wrong(index: Callable[..., SimpleNamespace]) -> None:
    path = index().index
    (path / CONFIGURATION).write_text("[limit]\npixels = 1")
    done = run_server_command("serve", "--collection", f"x={path}", "--listen", "grpc://127.0.0.1:0")
    assert done.returncode == 1
    assert done.stderr == "error: collection.toml of 'out' has an unknown key 'limit' (did you mean 'limits'?)\n"


# Presets


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_whole(name: str) -> None:
    preset = read_preset(name)
    assert preset.preset is not None
    assert all((preset.title, preset.description, preset.license, preset.attribution, preset.providers, preset.storage))
    assert preset.preset.about
    assert bool(preset.preset.api and preset.preset.collection) != bool(preset.preset.source)
    assert preset_text(name).startswith(b"# ")
    assert b"\n# Facts: " in preset_text(name)
    # All bands that are described are indexed, where assets are bands.
    if preset.preset.assets != ("image",):
        assert set(preset.bands) <= set(preset.preset.assets)
    aliases = [alias for band in preset.bands.values() for alias in band.aliases]
    assert len(aliases) == len(set(aliases))


def test_presets_command() -> None:
    listed = run_server_command("presets")
    assert listed.returncode == 0
    assert [line.split()[0] for line in listed.stdout.splitlines() if not line.startswith(" ")] == preset_names()
    assert max(map(len, listed.stdout.splitlines())) <= 80
    assert "\x1b" not in listed.stdout
    shown = run_server_command("presets", "earth-search-naip")
    assert shown.stdout.encode() == preset_text("earth-search-naip")
    failed = run_server_command("presets", "earth-search-nap")
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "did you mean 'earth-search-naip'?" in failed.stderr
