"""Building an index and keeping it up to date."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rasterflight_protocol import ErrorCode
from rasterflight_server.catalog.manifest import Manifest
from rasterflight_server.errors import RequestError
from rasterflight_server.ingest.configure import config_text, put_configuration
from rasterflight_server.ingest.find import DEFAULTS, SourceOptions, check_sources
from rasterflight_server.ingest.presets import archive_source
from rasterflight_server.ingest.saved import SavedSource, merge_sources
from rasterflight_server.ingest.stacassets import AssetChoice
from rasterflight_server.ingest.stacquery import StacQuery
from rasterflight_server.ingest.tables import Query
from rasterflight_server.ingest.target import check_target
from rasterflight_server.ingest.work import BuildOptions, BuildReport, Found, at_work


def build_index(
    source: Any,
    out: str | Path,
    name: str,
    *,
    pattern: str | None = None,
    map: Mapping[str, str] | None = None,  # noqa: A002 - named as on the command line
    query: str | None = None,
    config: str | Path | None = None,
    preset: str | None = None,
    assets: Sequence[str] = (),
    prefer: str | None = None,
    search: Mapping[str, Any] | None = None,
    **options: Any,
) -> BuildReport:
    """Index STAC of any kind, tables, or files by their names.

    Files that cannot be read do not stop the build: they are left out and listed, and so is a record of which no file can be
    read. Headers win over the catalog where both say something. A build that is interrupted keeps the headers that it read:
    the next one in the same place goes on from there. Of records with one id, the last source counts, and there the first record.

    Parameters
    ----------
    source
        Path or URL of STAC (a catalog, an ItemCollection, items one on each line, an API with ``search``), a table (a Parquet
        or Arrow file, a folder of them, an object with ``__arrow_c_stream__``), a folder of GeoTIFFs, a path with wildcards, or
        a prefix of an object store that ends in "/"; or several. Tables of stac-geoparquet and collections of rasteret are
        known by their columns; those of rasteret are indexed without opening a file.
    out
        Directory of the index: new, empty, or an index, which is then replaced at once when the new one is complete.
    name
        Name of the collection.
    pattern
        For files: what their names look like, see ``read_folder``.
    map
        For tables: ``id``, ``datetime``, ``geometry`` or the name of a band -> column; all others become properties.
    query
        A DuckDB query that gives a further table; it may read whatever the user may.
    config
        A TOML file that becomes the collection's configuration, see ``Configuration``; None: the one that it has stays.
    preset
        Name of a preset that becomes its configuration instead; where no source is given, also the archive to search.
    assets
        For STAC, also as a table: keys of the assets to take; none: all that are data.
    prefer
        For STAC, also as a table: take the href of this scheme, such as ``"s3"`` or ``"https"``, where an asset has alternates.
    search
        For STAC APIs: what to search for; ``StacQuery`` has the names.
    options
        See ``BuildOptions``.

    Raises
    ------
    RequestError
        A parameter cannot be used, too much failed, or there is nothing that can be indexed.
    SourceError
        A source cannot be read.
    ConfigError
        The configuration cannot be used. Where it does not fit the bands that were found, the index is built nevertheless.
    """
    check_target(Path(out), name)
    configuration = config_text(config, preset, Path(out))
    sources, choice = _sources(source, query), AssetChoice(tuple(assets), prefer)
    if preset is not None and not sources:
        archive, search, keys = archive_source(preset, search)
        choice = choice if choice.keys else AssetChoice(keys, prefer, expected=False)
        sources = [archive]
    check_sources(sources)
    reading = SourceOptions(
        pattern=pattern, map=map, assets=choice, search=None if search is None else StacQuery.of(search)
    )
    saved = [SavedSource.of(each, reading) for each in sources]
    with at_work(Path(out), name, BuildOptions(**options), configuration) as work:
        for number, each in enumerate(saved):
            work.run(number, each, several=len(saved) > 1)
        manifest, report = work.finish(name, saved, choice)
        if configuration is not None:
            put_configuration(Path(out), configuration, manifest)
        return report


def index_records(records: Found, out: str | Path, name: str, **options: Any) -> BuildReport:
    """Index records that a program makes; as ``build_index``. Other sources can join such an index by ``update_index``.

    Parameters
    ----------
    records
        Taken one by one, and not kept.
    out, name, options
        As for ``build_index``.
    """
    check_target(Path(out), name)
    with at_work(Path(out), name, BuildOptions(**options), config_text(None, None, Path(out))) as work:
        work.take(0, records)
        return work.finish(name, [SavedSource("")])[1]


def update_index(
    out: str | Path,
    source: Any = (),
    *,
    pattern: str | None = None,
    map: Mapping[str, str] | None = None,  # noqa: A002 - named as on the command line
    query: str | None = None,
    assets: Sequence[str] = (),
    prefer: str | None = None,
    search: Mapping[str, Any] | None = None,
    verify: bool = True,
    **options: Any,
) -> BuildReport:
    """Bring an index up to date: run its sources again, read what is new or changed, keep the rest without reading it.

    Sources are read as they were at first, with the same map, search, assets and so on; relative paths in a query start from the
    folder of the process. Records that are no longer in their source are dropped. Files that cannot be reached at the moment stay
    as they were, and are reported. Readers see the index as it was before until the new one is complete.

    Parameters
    ----------
    out
        Directory of the index.
    source
        Run these only: sources of the index, or new ones, whose records join those that are there. Records of other sources
        stay as they are, but for those whose id a new source has.
    pattern, map, query, assets, prefer, search
        As for ``build_index``, for these sources; where none is given, a source of the index is read as before.
    verify
        Look whether files of records that did not change are still the same (size, modification time, ETag): a system call
        for each local one, a HEAD request for each remote one. False: what the source says is enough.
    options
        See ``BuildOptions``.

    Raises
    ------
    BadIndexError
        There is no index, or one that does not say what it was made from.
    RequestError, SourceError, ConfigError
        As ``build_index``; RequestError also where a source was an object of a program, or was given with a secret.
    """
    directory = Path(out)
    name = Manifest.read(directory).name
    choice = AssetChoice(tuple(assets), prefer)
    reading = SourceOptions(
        pattern=pattern, map=map, assets=choice, search=None if search is None else StacQuery.of(search)
    )
    given = [SavedSource.of(each, reading) for each in _sources(source, query)]
    if not given and reading != DEFAULTS:
        raise RequestError(
            ErrorCode.BAD_REQUEST,
            "it was said how to read a source, but not which",
            field="source",
            hint="name it; without sources, those of the index are read as they were",
        )
    with at_work(directory, name, BuildOptions(**options), config_text(None, None, directory), verify=verify) as work:
        assert work.previous is not None
        manifest, base = work.previous.manifest, directory.resolve().parent
        sources, run = merge_sources([SavedSource.load(document, base) for document in manifest.sources], given)
        work.snapshot.keep(np.flatnonzero(~np.isin(work.previous.sources, run)))
        for number in run:
            work.run(number, sources[number], several=len(run) > 1)
        return work.finish(name, sources, choice)[1]


def _sources(source: Any, query: str | None) -> list[Any]:
    """Paths and URLs, queries, and tables as they are."""
    alone = isinstance(source, str | Path) or hasattr(source, "__arrow_c_stream__")
    sources = [source] if alone else list(source)
    return sources if query is None else [*sources, Query(query)]
