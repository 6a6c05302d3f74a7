"""Names of projects, as `packaging` has them."""

from __future__ import annotations

import pytest
from packaging.utils import canonicalize_name

from mvenv.names import normalized, project_of


@pytest.mark.parametrize(
    "name", ["plain", "A.b-C_d", "a--b__c..d", "a-_.b", "_a_", "Ünï.Cödé", ""]
)
def test_names_are_normalised_as_by_packaging(name: str) -> None:
    assert normalized(name) == canonicalize_name(name)


def test_a_wheels_project_is_before_the_first_hyphen() -> None:
    assert project_of("Foo.Bar_baz-1.0-py3-none-any.whl") == "foo-bar-baz"
    assert project_of("foo_bar-1.0.dist-info") == "foo-bar"
