"""Storage tables and rewrites of collections, as options of the stores of a process."""

import pytest

from rasterflight_server.catalog.configuration import Configuration
from rasterflight_server.catalog.storage import storage_options
from rasterflight_server.errors import ConfigError
from rasterflight_server.ingest.presets import preset_names, read_preset
from rasterflight_server.store import StorageOptions, Stores


def options(**texts: str) -> dict[str, StorageOptions]:
    return storage_options({name: Configuration.parse(text.encode()) for name, text in texts.items()})


BUCKET = '[storage."s3://bucket/"]\nregion = "us-west-2"\n'


def test_options_of_all_collections_hold_together() -> None:
    rewrite = '[[rewrite]]\nfrom = "https://host/data/"\nto = "s3://bucket/"\n'
    other = '[storage."https://host/"]\nanonymous = true\n'
    assert options(a=BUCKET + rewrite, b=BUCKET + other) == {
        "s3://bucket/": StorageOptions(region="us-west-2"),
        "https://host/data/": StorageOptions(rewrite="s3://bucket/"),
        "https://host/": StorageOptions(anonymous=True),
    }


def test_collections_that_disagree() -> None:
    with pytest.raises(ConfigError, match="is not what collection 'a' says of it") as caught:
        options(a=BUCKET, b=BUCKET.replace("west", "east"))
    assert (caught.value.collection, caught.value.field) == ("b", 'storage."s3://bucket/"')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[storage."s3://b/"]\nanonymus = true', "did you mean 'anonymous'?"),
        ('[storage."s3://b/"]\nanonymous = 1', "anonymous is true or false"),
        ('[storage."https://b/"]\nsigning = "planetery-computer"', "planetary-computer"),
    ],
)
def test_options_that_cannot_be(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"a: collection\.toml: storage") as caught:
        options(a=text)
    assert message in str(caught.value)


@pytest.mark.parametrize("name", preset_names())
def test_presets_can_be_served(name: str) -> None:
    Stores(storage_options({name: read_preset(name)}))
