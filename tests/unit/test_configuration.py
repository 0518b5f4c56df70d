"""collection.toml: what it may hold, and what is said when it holds something else."""

import math

import pytest

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.configuration import (
    BandConfig,
    Configuration,
    Limits,
    Origin,
    Provider,
    Rewrite,
)
from rasterflight_server.errors import ConfigError

WHOLE = b"""
title = "Ten years"
description = "More of it."
license = "CC-BY-4.0"
attribution = "Somebody"

[[providers]]
name = "ESA"
roles = ["producer", "licensor"]
url = "https://esa.int"

[bands.B04]
aliases = ["red", "rouge"]
nodata = 0
scale = 0.0001
offset = -0.1
unit = "1"
description = "red light"

[bands.SCL]
nodata = "none"
[bands.SCL.categories]
4 = "vegetation"
-1 = "below"

[bands.dem]
classes = true
nodata = nan

[storage."s3://bucket/"]
region = "us-west-2"
requester_pays = true

[[rewrite]]
from = "https://host/"
to = "s3://bucket/"

[limits]
pixels = 1000
chips = 5

[preset]
about = "An archive."
api = "https://stac.example/v1"
collection = "c"
assets = ["B04"]
"""


def test_everything() -> None:
    found = Configuration.parse(WHOLE)
    assert (found.title, found.description, found.license) == ("Ten years", "More of it.", "CC-BY-4.0")
    assert found.attribution == "Somebody"
    assert found.providers == (Provider("ESA", ("producer", "licensor"), "https://esa.int"),)
    assert found.bands["B04"] == BandConfig(
        ("red", "rouge"), nodata=0, scale=0.0001, offset=-0.1, unit="1", description="red light"
    )
    assert found.bands["SCL"] == BandConfig(categories=((-1, "below"), (4, "vegetation")), nodata="none")
    assert found.bands["dem"].classes is True
    assert math.isnan(found.bands["dem"].nodata)
    assert dict(found.storage["s3://bucket/"]) == {"region": "us-west-2", "requester_pays": True}
    assert found.rewrites == (Rewrite("https://host/", "s3://bucket/"),)
    assert found.limits == Limits(pixels=1000, chips=5)
    assert found.preset == Origin("An archive.", "https://stac.example/v1", "c", None, ("B04",))


def test_nothing() -> None:
    assert Configuration.parse(b"") == Configuration()
    assert Configuration().digest(["a"]) == ""


@pytest.mark.parametrize(
    ("text", "field", "message"),
    [
        ("titel = 'x'", "titel", "has an unknown key 'titel' (did you mean 'title'?)"),
        ("licence = 'MIT'", "licence", "did you mean 'license'?"),
        ("[limit]", "limit", "did you mean 'limits'?"),
        ("zzzz = 1", "zzzz", "there are: title, description, license"),
        (
            "[bands.B04]\nno_data = 0",
            "bands.B04.no_data",
            "[bands.B04] has an unknown key 'no_data' (did you mean 'nodata'?)",
        ),
        ('[bands."a b"]\nalias = ["x"]', 'bands."a b".alias', "did you mean 'aliases'?"),
        ("[limits]\npixel = 5", "limits.pixel", "did you mean 'pixels'?"),
        ("[[rewrite]]\nfrom = 'a'\nto = 'b'\nx = 1", "rewrite[0].x", "[rewrite[0]] has an unknown key 'x'"),
        ("title = 5", "title", "title: 5 is not a text"),
        ("title = '  '", "title", "is not a text"),
        ("bands = 3", "bands", "bands: 3 is not a table (write [bands] and its keys below)"),
        ("bands.B04 = 3", "bands.B04", "bands.B04: 3 is not a table"),
        ("providers = 3", "providers", "3 is not a list of tables (write [[providers]]"),
        ("[[providers]]\nurl = 'x'", "providers[0].name", "[providers[0]] has no key 'name'"),
        (
            "[[providers]]\nname = 'x'\nroles = ['hosts']",
            "providers[0].roles",
            "'hosts' is not known (did you mean 'host'?)",
        ),
        ("[bands.a]\naliases = 'red'", "bands.a.aliases", "'red' is not a list of texts"),
        ("[bands.a]\naliases = ['x', 'x']", "bands.a.aliases", "'x' stands there twice"),
        ("[bands.a]\nclasses = 'yes'", "bands.a.classes", "'yes' is neither true nor false"),
        ("[bands.a]\nnodata = '0'", "bands.a.nodata", "'0' is not a number"),
        ("[bands.a]\nnodata = true", "bands.a.nodata", "True is not a number"),
        ("[bands.a]\nscale = inf", "bands.a.scale", "inf is not a finite number"),
        ("[bands.a]\nscale = 0", "bands.a.scale", "0 makes all pixels the same"),
        ("[bands.a]\nclasses = false\ncategories = {1 = 'x'}", "bands.a.classes", "with categories is one of classes"),
        ("[bands.a.categories]\nred = 'x'", "bands.a.categories.red", "the key is not a pixel value"),
        ("[bands.a.categories]\n1 = 'x'\n01 = 'y'", "bands.a.categories.01", "1 stands there twice"),
        ("[bands.a.categories]\n1 = 2", "bands.a.categories.1", "2 is not a text"),
        ("[limits]\nchips = 0", "limits.chips", "0 is not a whole number above 0"),
        ("[limits]\nchips = 1.5", "limits.chips", "1.5 is not a whole number above 0"),
        ("[storage.bucket]\nregion = 'x'", "storage", "'bucket' is not the beginning of a URL"),
        ("[[rewrite]]\nfrom = 'a'", "rewrite[0].to", "has no key 'to'"),
        ("[preset]\napi = 'x'", "preset.about", "[preset] has no key 'about'"),
        ("title = x", "", "is not TOML: Invalid value (at line 1, column 9)"),
        ("title = 'a'\ntitle = 'b'", "", "is not TOML: Cannot overwrite a value"),
    ],
)
def test_what_is_wrong_names_itself(text: str, field: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Configuration.parse(text.encode(), "my.toml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("my.toml")
    assert (caught.value.code, caught.value.field) == (ErrorCode.INTERNAL, field)
    assert caught.value.hint or not field


def test_not_utf8() -> None:
    with pytest.raises(ConfigError, match="is not UTF-8"):
        Configuration.parse("title = 'é'".encode("latin-1"))


@pytest.mark.parametrize(
    "text",
    [
        "token = 'hunter2'",
        "[storage.\"s3://b/\"]\naws_secret_access_key = 'hunter2'",
        "[storage.\"s3://b/\"]\naccess_key_id = 'hunter2'",
        "[storage.\"https://b/\"]\nsasToken = 'hunter2'",
        "[storage.\"https://b/\"]\npassword = 'hunter2'",
        "[storage.\"https://b/\".credentials]\napi-key = 'hunter2'",
        "[storage.\"https://b/\"]\nendpoint = 'https://me:hunter2@host'",
        "[storage.\"https://hunter2@b/\"]\nregion = 'x'",
        "[[rewrite]]\nfrom = 'https://a/'\nto = 'https://b/?sv=2&sig=hunter2'",
        "[preset]\nabout = 'x'\nassets = ['https://b/?token=hunter2']",
    ],
)
def test_secrets_are_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ConfigError, match="secret") as caught:
        Configuration.parse(text.encode())
    assert "environment" in caught.value.hint
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in caught.value.field


@pytest.mark.parametrize(
    "text",
    [
        "[storage.\"https://b/\"]\ntoken_env = 'EARTHDATA_TOKEN'",
        "[storage.\"https://b/\"]\ntoken_file = '/run/token'",
        "[storage.\"abfs://container@account/\"]\nregion = 'x'",
        "[bands.token]\nnodata = 0",
        "[[providers]]\nname = 'x'\nurl = 'https://host/?page=2'",
    ],
)
def test_what_only_looks_alike_is_no_secret(text: str) -> None:
    Configuration.parse(text.encode())


def test_digest_is_that_of_bands() -> None:
    def digest(text: str) -> str:
        return Configuration.parse(text.encode()).digest(["a", "b"])

    base = digest("[bands.a]\nnodata = 0")
    assert len(base) == 8
    for same in ("title = 'x'\n[bands.a]\nnodata = 0", "[bands.a]\nnodata = 0\n[bands.b]\n[bands.c]\nscale = 2"):
        assert digest(same) == base
    for other in ("[bands.a]\nnodata = 1", "[bands.b]\nnodata = 0", "[bands.a]\nnodata = 0\naliases = ['x']"):
        assert digest(other) not in ("", base)
