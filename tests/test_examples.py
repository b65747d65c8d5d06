"""The examples in both packages' docstrings run and give the stated results."""

import doctest
import importlib
import inspect
import pkgutil

import pytest

import semsize.metrology
import semsize.structures
import tio2

MODULES = [
    module.name
    for package in (semsize, tio2)
    for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    if not module.ispkg
]


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


EXPORTED = [value for room in (semsize.metrology, semsize.structures) for value in vars(room).values()]


@pytest.mark.parametrize("function", [*filter(inspect.isfunction, EXPORTED)])
def test_public_functions_of_metrology_and_structures_have_an_example(function):
    assert ">>>" in function.__doc__


@pytest.mark.parametrize("name", ["CroppedMasks", "PixelSize"])
def test_the_values_that_pass_between_rooms_have_an_example(name):
    assert ">>>" in getattr(semsize.structures, name).__doc__
