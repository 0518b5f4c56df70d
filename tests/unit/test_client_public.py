import types

import pytest

import rasterflight as rf


def test_all_is_exactly_what_is_public():
    public = {name for name, value in vars(rf).items() if not name.startswith("_")}
    modules = {name for name in public if isinstance(getattr(rf, name), types.ModuleType)} - {"errors"}
    assert sorted(rf.__all__) == rf.__all__
    assert set(rf.__all__) == public - modules


@pytest.mark.parametrize("name", rf.__all__)
def test_everything_public_is_documented(name):
    assert getattr(rf, name).__doc__


@pytest.mark.parametrize("cls", [rf.Client, rf.Collection, rf.Stream])
def test_every_public_method_is_documented(cls):
    members = [(name, value) for base in cls.__mro__[:-1] for name, value in vars(base).items()]
    assert [name for name, value in members if not name.startswith("_") and not value.__doc__] == []
