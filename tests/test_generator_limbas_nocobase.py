"""Generated requests to Limbas and NocoBase; and that no route is forgotten, whoever owns it."""

from contextlib import closing

import pytest

import minirest
from tests.generator import ROUTES, ask_all, rule_of, rules_of
from tests.hostile import World


def test_every_route_is_known() -> None:
    """A new route is in the generator's table, and so asked for; what is in the table is a route."""
    with closing(World()) as world:
        owned = rules_of(world.app)
        asked = {rule for rules in owned.values() for rule in rules}
        served = {route.rule for routes in world.app.own_router.routes.values() for route in routes}
        assert served - set(minirest.TEST_ADDRESSES) == asked
        assert {rule_of(rule) for rule in asked} == set(ROUTES)


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("owner", ["limbas", "nocobase"])
def test_requests(owner: str, strict: bool) -> None:
    ask_all([owner], 71, 90, strict=strict, sign_up=strict)
