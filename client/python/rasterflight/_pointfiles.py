"""Points from files, and their values into files; neither is held in memory as a whole where the format allows."""

from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from rasterflight._output import bar_possible, whole
from rasterflight._vectors import read_areas
from rasterflight.errors import BadRequestError

_TABLES: Final = (".csv", ".parquet")
_WRITTEN: Final = {".csv": pyarrow.csv.CSVWriter, ".parquet": pq.ParquetWriter}


def read_points(path: Path, *, by_columns: bool) -> Any:
    """Open a file of points.

    Parameters
    ----------
    path
        CSV or Parquet, GeoJSON, GeoPackage or GeoParquet.
    by_columns
        Two columns of a CSV or Parquet file hold the coordinates.

    Returns
    -------
    Any
        What `Collection.sample_points` takes.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    BadRequestError
        The suffix is not known, or the file is not what it says.
    """
    suffix = path.suffix.lower()
    if not by_columns and suffix != ".csv":
        return read_areas(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if suffix not in _TABLES:
        raise BadRequestError(
            f"{path} has the suffix {suffix!r}: columns of coordinates are for {' and '.join(_TABLES)}"
        )
    try:
        if suffix == ".csv":
            return pyarrow.csv.open_csv(path)
        file = pq.ParquetFile(path)
    except pa.ArrowException as error:
        raise BadRequestError(f"{path} is no {suffix[1:].upper()}: {error}") from None
    return pa.RecordBatchReader.from_batches(file.schema_arrow, file.iter_batches())


def check_samples_output(path: Path) -> None:
    """Refuse a place that values cannot be written to, before anything is read.

    Raises
    ------
    BadRequestError
        The suffix is not known, or the folder does not exist.
    """
    if path.suffix.lower() not in _WRITTEN:
        raise BadRequestError(f"{path.name} has no suffix that says what to write, expected {' or '.join(_WRITTEN)}")
    if not path.parent.is_dir():
        raise BadRequestError(f"the folder {path.parent} does not exist")


def write_samples(collection: Any, path: Path, *, progress: bool, **keywords: Any) -> None:
    """Write the rows of `Collection.read_points` as they arrive."""
    kind = _WRITTEN[path.suffix.lower()]
    if kind is pyarrow.csv.CSVWriter and keywords["return_neighbourhood"] != "off":
        raise BadRequestError("a CSV file has no lists for neighbourhoods", hint="write .parquet")
    with (
        collection.read_points(progress=bar_possible(wanted=progress), **keywords) as stream,
        whole(path) as unfinished,
        kind(unfinished, stream.schema) as writer,
    ):
        for batch in stream:
            writer.write_batch(batch)
