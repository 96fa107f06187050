"""Ways and distances: sea legs along the lanes, great circles where they are fair, nothing made up."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from domain import routes
from domain.routes import Route


def sea(origin: str, destination: str) -> Route:
    found = routes.sea_route(origin, destination)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("origin", "destination", "least", "most"),
    [
        ("CNYSA", "NLRTM", 10_200, 10_900),  # by Suez; published tables say 10,500
        ("CNSHG", "USLAX", 5_500, 5_900),
        ("CNLYG", "KRPUS", 450, 560),
        ("CNNJG", "CNYSA", 200, 300),  # down the Yangtze
    ],
)
def test_sea_legs_are_as_long_as_tables_say(origin: str, destination: str, least: float, most: float) -> None:
    assert least < sea(origin, destination).distance_nm < most


def test_a_way_is_as_long_back_as_it_is_there() -> None:
    assert sea("CNYSA", "NLRTM").distance_nm == pytest.approx(sea("NLRTM", "CNYSA").distance_nm, rel=0.01)


def test_a_sea_leg_is_never_shorter_than_the_great_circle() -> None:
    begin, end = routes.point("CNYSA"), routes.point("NLRTM")
    assert begin is not None
    assert end is not None
    assert routes.great_circle_nm(begin, end) < sea("CNYSA", "NLRTM").distance_nm


def test_a_place_that_is_not_by_the_sea_has_no_sea_leg() -> None:
    assert routes.sea_route("CNXIA", "NLRTM") is None
    assert routes.sea_route("CNYSA", "ZZZZZ") is None
    assert routes.sea_route("", "CNYSA") is None
    assert routes.sea_route("CNYSA", "CNYSA") is None


def test_air_and_road_go_by_the_great_circle_and_say_so_and_rail_by_nothing() -> None:
    flight = routes.between("CNSIA", "NLAMS", "AIR")
    assert flight is not None
    assert (round(flight.distance_nm, -2), flight.method) == (4_300, "great_circle")
    assert sea("CNYSA", "NLRTM").method == "sea"
    assert routes.between("CNXIA", "DEDUI", "RAIL") is None
    assert routes.between("CNXIA", "CNLYG", "") is None


def test_a_line_across_the_antimeridian_is_cut_there() -> None:
    found = sea("CNSHG", "USLAX").geometry
    assert found["type"] == "MultiLineString"
    west, east = found["coordinates"]
    assert (west[-1][0], east[0][0]) == (180.0, -180.0)
    assert west[-1][1] == east[0][1]
    assert sea("CNYSA", "NLRTM").geometry["type"] == "LineString"


def test_many_at_once_get_the_same_answer() -> None:
    wanted = sea("CNYSA", "SGSIN").distance_nm
    routes.between.cache_clear()
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: sea("CNYSA", "SGSIN").distance_nm, range(16)))
    assert set(found) == {wanted}


def positions(shown: dict[str, Any]) -> list[list[float]]:
    return (
        shown["coordinates"] if shown["type"] == "LineString" else [at for part in shown["coordinates"] for at in part]
    )


points = st.tuples(st.floats(-180, 180), st.floats(-89, 89))


@given(points, points)
def test_a_great_circle_between_any_two_points_is_drawn_within_the_map_and_is_as_long_as_it_is(
    begin: routes.Point, end: routes.Point
) -> None:
    way = routes.way(begin, end, "AIR")
    if way is None:
        assert routes.great_circle_nm(begin, end) == 0.0
        return
    drawn = positions(way.geometry)
    assert all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in drawn)
    assert way.distance_nm == pytest.approx(routes.great_circle_nm(end, begin), abs=1e-6)
    assert 0 <= way.distance_nm <= 10_820  # half way round the Earth


@settings(deadline=None)  # a way over all oceans is searched for
@given(points, points)
@example((0.0, 0.0), (0.0, 2.2e-313))  # no distance that a number could hold
def test_no_two_points_make_the_lanes_fail(begin: routes.Point, end: routes.Point) -> None:
    way = routes.way(begin, end, "VESSEL")
    assert way is None or way.distance_nm > 0
