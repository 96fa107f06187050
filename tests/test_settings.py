"""What the environment may say, and the one line it gets when it says something else."""

from pathlib import Path

import pytest

from api.settings import Settings, SettingsError, make_home
from domain.errors import Malformed


def test_an_empty_environment_gives_a_port_on_loopback_with_its_own_database() -> None:
    settings = Settings.read({})
    assert settings == Settings(home=Path.cwd() / "var")
    assert (settings.host, settings.port, settings.database_url) == ("127.0.0.1", 8000, "")


def test_an_empty_variable_counts_as_absent() -> None:
    assert Settings.read({"KOUAN_PORT": "", "KOUAN_HOME": "", "KOUAN_DATABASE_URL": ""}) == Settings.read({})


def test_the_home_is_absolute_whatever_was_given(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert Settings.read({"KOUAN_HOME": "口岸/数据"}).home == tmp_path / "口岸/数据"


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("KOUAN_PORT", "abc"),
        ("KOUAN_PORT", "0"),
        ("KOUAN_PORT", "65536"),
        ("KOUAN_PORT", "８０００"),
        ("KOUAN_WORKERS", "-1"),
        ("KOUAN_LOG_LEVEL", "loud"),
        ("KOUAN_HOME", "a\nb"),
        ("KOUAN_DATABASE_URL", "postgresql://[::1"),
        ("KOUAN_MQTT_URL", "http://broker"),
        ("KOUAN_MQTT_CLIENT_ID", "a\tb"),
        ("KOUAN_CUSTOMS_KEY", "a\nb"),
        ("KOUAN_CUSTOMS_FORM", "edi"),
        ("KOUAN_STATISTICS_THRESHOLD", "none"),
        ("KOUAN_STATISTICS_THRESHOLD", "0"),
        ("KOUAN_STATISTICS_THRESHOLD", "1001"),
    ],
)
def test_a_value_that_cannot_be_used_is_named_in_one_line(variable: str, value: str) -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.read({variable: value})
    assert isinstance(refusal.value, Malformed)
    assert variable in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_password_never_appears_in_the_refusal() -> None:
    with pytest.raises(SettingsError) as refusal:
        Settings.read({"KOUAN_DATABASE_URL": "host=x password=hunter2 nonsense"})
    assert "hunter2" not in str(refusal.value)
    assert refusal.value.__cause__ is None
    with pytest.raises(SettingsError) as refusal:
        Settings.read({"KOUAN_CUSTOMS_KEY": "hunter2\n"})
    assert "hunter2" not in str(refusal.value)
    with pytest.raises(SettingsError) as refusal:
        Settings.read({"KOUAN_MQTT_URL": "mqtt://bridge:hunter2@broker:port"})
    assert "hunter2" not in str(refusal.value)


def test_a_child_reads_the_same_settings_back() -> None:
    settings = Settings.read(
        {"KOUAN_PORT": "8123", "KOUAN_LOG_LEVEL": "DEBUG", "KOUAN_WORKERS": "2", "KOUAN_DATABASE_URL": "host=x"}
        | {"KOUAN_MQTT_URL": "mqtts://u:p@broker", "KOUAN_MQTT_CLIENT_ID": "kouan-2"}
        | {"KOUAN_CUSTOMS_KEY": "k", "KOUAN_CUSTOMS_FORM": "json", "KOUAN_STATISTICS_THRESHOLD": "9"}
    )
    assert Settings.read(settings.environment()) == settings


def test_a_home_that_cannot_be_written_is_named_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingsError, match=r"^[^\n]*KOUAN_HOME[^\n]*Not a directory$"):
        make_home(tmp_path / "file" / "home")


def test_logs_are_closed_to_others(tmp_path: Path) -> None:
    make_home(tmp_path / "home")
    assert (tmp_path / "home" / "log").stat().st_mode & 0o777 == 0o700
