"""Reads into files, by suffix."""

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow.parquet as pq

from rasterflight._collection import Collection
from rasterflight._extras import need
from rasterflight.errors import BadRequestError


def check_output(path: Path) -> Callable[..., None]:
    """Find out how to write a file, before anything is read.

    Raises
    ------
    BadRequestError
        The suffix is not known, or the folder does not exist.
    """
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise BadRequestError(
            f"{path.name} has no suffix that says what to write, expected one of {', '.join(WRITERS)}"
        )
    if not path.parent.is_dir():
        raise BadRequestError(f"the folder {path.parent} does not exist")
    return writer


def write_npy(collection: Collection, path: Path, *, progress: bool, **keywords: Any) -> None:
    """Write the array of `Collection.get_numpy`."""
    array = collection.get_numpy(progress=bar_possible(wanted=progress), **keywords)
    with whole(path) as unfinished, unfinished.open("wb") as file:
        np.save(file, array)


def write_netcdf(collection: Collection, path: Path, *, progress: bool, **keywords: Any) -> None:
    """Write the Dataset of `Collection.get_xarray` as netCDF."""
    need("h5netcdf", "cli")
    need("h5py", "cli")  # what h5netcdf writes with, and does not always bring along
    dataset = collection.get_xarray(progress=bar_possible(wanted=progress), **keywords)
    with whole(path) as unfinished:
        dataset.to_netcdf(unfinished, engine="h5netcdf")


def write_parquet(collection: Collection, path: Path, *, progress: bool, **keywords: Any) -> None:
    """Write the rows of `Collection.read` as they arrive."""
    with (
        collection.read(progress=bar_possible(wanted=progress), **keywords) as stream,
        whole(path) as unfinished,
        pq.ParquetWriter(unfinished, stream.schema) as writer,
    ):
        for batch in stream:
            writer.write_batch(batch)


WRITERS: Final[dict[str, Callable[..., None]]] = {".nc": write_netcdf, ".npy": write_npy, ".parquet": write_parquet}


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """A name to write under; the file takes its place only when it is complete."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield unfinished
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def bar_possible(*, wanted: bool) -> bool:
    """Say whether a bar that is wanted can be shown."""
    return wanted and importlib.util.find_spec("tqdm") is not None
