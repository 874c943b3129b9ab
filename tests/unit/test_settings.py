from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import BaseModel

from brain.audit.settings import AuditSettings
from brain.errors import InvalidInput
from brain.metrics.settings import MetricsSettings
from brain.settings import Settings, load_settings, without_password


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BRAIN_{name.upper()}", raising=False)
    return tmp_path


def test_the_defaults_are_an_embedded_database_on_loopback() -> None:
    settings = load_settings()
    assert settings.stream == settings.store_url == "sqlite:///brain.db"
    assert (settings.host, settings.port, settings.api_key, settings.body_limit) == ("127.0.0.1", 8765, None, 1 << 20)


def test_given_values_go_before_the_environment_and_that_before_the_file(
    empty_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (empty_folder / "brain.toml").write_text('port = 1\nhost = "localhost"\nstream = "memory://"\n')
    monkeypatch.setenv("BRAIN_PORT", "2")
    monkeypatch.setenv("BRAIN_HOST", "::1")
    settings = load_settings(port=3, host=None)
    assert (settings.port, settings.host, settings.stream) == (3, "::1", "memory://")


def test_the_store_follows_the_stream_unless_it_is_named() -> None:
    assert load_settings(stream="memory://").store_url == "memory://"
    assert load_settings(stream="memory://", store="sqlite:///x.db").store_url == "sqlite:///x.db"


def test_every_fault_is_listed_with_its_setting(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (empty_folder / "brain.toml").write_text("prot = 1\nbody_limit = 3\n")
    monkeypatch.setenv("BRAIN_STREAM", "http://x")
    with pytest.raises(InvalidInput) as caught:
        load_settings(port=-1)
    by_name = {fault.split()[0].rstrip(":"): fault for fault in caught.value.faults}
    assert set(by_name) == {"prot", "body_limit", "stream", "port"}
    assert "no such setting" in by_name["prot"]
    assert "BRAIN_STREAM" in by_name["stream"]
    assert "redis://" in by_name["stream"]
    assert by_name["port"].startswith("port: ")


def test_a_broken_settings_file_is_named(empty_folder: Path) -> None:
    (empty_folder / "brain.toml").write_text("port = [")
    with pytest.raises(InvalidInput, match=r"brain\.toml"):
        load_settings()


def test_an_empty_variable_counts_as_unset_and_a_blank_key_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_API_KEY", "")
    assert load_settings().api_key is None
    monkeypatch.setenv("BRAIN_API_KEY", "  ")
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert "api_key" in caught.value.faults[0]


def test_neither_the_key_nor_a_password_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_API_KEY", "s3cret-value")
    monkeypatch.setenv("BRAIN_PORT", "s3cret-value")
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert "s3cret" not in str(caught.value.faults)
    assert "s3cret" not in repr(load_settings(port=1))
    assert without_password("redis://user:pw@host:1/0") == "redis://***@host:1/0"
    assert without_password("sqlite:///a@b.db") == "sqlite:///a@b.db"


def test_host_names_are_comma_separated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_ALLOWED_HOSTS", "brain.example.com, other")
    assert load_settings().allowed_hosts == ("brain.example.com", "other")


@pytest.mark.parametrize(
    ("misspelt", "meant"),
    [
        ("BRAIN_APIKEY", "BRAIN_API_KEY"),
        ("BRAIN_API_KEYS", "BRAIN_API_KEY"),
        ("brain_sream", "BRAIN_STREAM"),
        ("BRAIN_AUDIT_RETENTION_DAYS", "BRAIN_AUDIT__RETENTION_DAYS"),
        ("BRAIN_ALERTIN__PUBLIC_URL", "BRAIN_ALERTING__PUBLIC_URL"),
        ("BRAIN_AUDIT__KEYFILE", "key_file"),
        ("BRAIN_ALERTING__WARMUP", "warm_up"),
        ("BRAIN_INCIDENTS__JIRA__PROJCT", "project"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_nearest_name(
    misspelt: str, meant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(misspelt, "s3cret-value")
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    [fault] = [fault for fault in caught.value.faults if "no such setting" in fault]
    assert misspelt in fault
    assert f"did you mean {meant}?" in fault
    assert "s3cret" not in fault


MEANT = {
    "BRIAN_STREAM": "BRAIN_STREAM",
    "BRAN_API_KEY": "BRAIN_API_KEY",
    "BRAINN_PORT": "BRAIN_PORT",
    "BRAINS_API_KEY": "BRAIN_API_KEY",
    "BRAUN_STREAM": "BRAIN_STREAM",
    "rbain_stream": "BRAIN_STREAM",
    "BRAINSTREAM": "BRAIN_STREAM",
    "BRIAN_API_KEYS": "BRAIN_API_KEY",
    "BRIAN_AUDIT__RETENTION_DAYS": "BRAIN_AUDIT__RETENTION_DAYS",
}
OF_OTHERS = ("TRAIN_PORT", "DRAIN_STREAM", "BRAINTREE_API_KEY", "BRAND_NAME", "BRIAN_HOME", "BRANCH_NAME", "BRAINFUCK")


def test_a_misspelt_prefix_is_warned_of_with_the_name_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    for name in (*MEANT, *OF_OTHERS):
        monkeypatch.setenv(name, "s3cret-value")
    load_settings()
    said = [record.getMessage() for record in caplog.records if "looks misspelt" in record.getMessage()]
    assert sorted(line.partition("variable=")[2] for line in said) == sorted(MEANT)
    assert [line for line in said if f"did you mean {MEANT[line.partition('variable=')[2]]}?" not in line] == []
    assert "s3cret" not in "".join(said)


def test_every_unknown_variable_is_listed_along_with_the_other_faults(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_PORT", "x")
    monkeypatch.setenv("BRAIN_ZZZZ", "x")
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert [fault.split()[0] for fault in caught.value.faults] == ["port", "BRAIN_ZZZZ"]
    assert "BRAIN_API_KEY, BRAIN_APPROVALS, BRAIN_AUDIT" in caught.value.faults[1]


def test_a_variable_that_a_secret_is_read_from_is_known(empty_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_PAGER_KEY", "x")
    table = '[alerting.notifiers.pager]\nkind = "pagerduty"\nrouting_key = {env = "BRAIN_PAGER_KEY"}\n'
    (empty_folder / "brain.toml").write_text(table)
    assert "pager" in load_settings().alerting.notifiers


def test_what_kubernetes_sets_for_services_is_no_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BRAIN_REDIS_SERVICE_PORT", "6379")
    with pytest.raises(InvalidInput):
        load_settings()
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    for name in ("SERVICE_HOST", "PORT", "PORT_6379_TCP", "PORT_6379_TCP_ADDR"):
        monkeypatch.setenv(f"BRAIN_REDIS_{name}", "x")
    assert load_settings().port == 8765


def test_every_setting_is_documented_with_its_default() -> None:
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    rows = {line.split("`")[1]: line for line in page.splitlines() if line.startswith("| `")}
    assert rows.keys() == Settings.model_fields.keys()
    for name, field in Settings.model_fields.items():
        assert rows[name].startswith(f"| `{name}` | `BRAIN_{name.upper()}` |")
        default = rows[name].split("|")[3].strip()
        value = field.get_default(call_default_factory=True)
        if isinstance(value, BaseModel):
            assert default == "a table"
        elif name == "consumers":
            assert default == "all installed"
            assert {"alerting", "audit", "incidents", "metrics"} <= {*value}
        elif isinstance(field.default, tuple) and field.default:
            assert default == f"`{','.join(field.default)}`"
        elif field.default:
            assert default == f"`{field.default}`"
        else:
            assert default in ("none", "the stream's URL", "beside the stream")


def test_a_table_under_the_former_name_of_its_plug_in_is_read(
    empty_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (empty_folder / "brain.toml").write_text(
        'consumers = ["audit", "soc"]\n[soc]\npublic_url = "https://brain.example"\n'
    )
    settings = load_settings()
    assert "table=soc now=alerting" in caplog.text
    assert settings.alerting.public_url == "https://brain.example"
    assert settings.consumers == ("audit", "alerting")


def test_a_variable_under_the_former_name_is_read_and_the_new_name_goes_before(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BRAIN_SOC__PUBLIC_URL", "https://old.example")
    assert load_settings().alerting.public_url == "https://old.example"
    assert "variable=BRAIN_SOC__PUBLIC_URL now=BRAIN_ALERTING__PUBLIC_URL" in caplog.text
    monkeypatch.setenv("BRAIN_ALERTING__PUBLIC_URL", "https://new.example")
    assert load_settings().alerting.public_url == "https://new.example"


def test_both_names_of_a_table_are_refused(empty_folder: Path) -> None:
    (empty_folder / "brain.toml").write_text("[soc]\n[alerting]\n")
    with pytest.raises(InvalidInput, match="join them"):
        load_settings()


def test_a_table_that_nothing_is_set_in_has_its_defaults(empty_folder: Path) -> None:
    (empty_folder / "brain.toml").write_text("[metrics]\ntop = 5\n")
    settings = load_settings()
    assert settings.table(MetricsSettings).top == 5
    assert settings.table(AuditSettings) == AuditSettings()

    class Unknown(BaseModel):
        pass

    with pytest.raises(InvalidInput, match=r"no installed plug-in has a table of .*\.Unknown"):
        settings.table(Unknown)


def test_a_misspelt_name_inside_a_list_of_tables_is_refused_with_the_nearest_name(empty_folder: Path) -> None:
    (empty_folder / "brain.toml").write_text('[[alerting.routes]]\nname = "all"\nto = []\ngroup_wiat = 1\n')
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert "did you mean group_wait?" in caught.value.faults[0]


def test_the_former_name_of_a_plug_in_in_consumers_is_said(
    empty_folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (empty_folder / "brain.toml").write_text('consumers = ["soc"]\n')
    assert load_settings().consumers == ("alerting",)
    assert "plugin=soc now=alerting" in caplog.text


@pytest.mark.parametrize(
    ("name", "why"), [("policy", "has no tasks that can run alone"), ("nosuch", "is not installed")]
)
def test_a_plug_in_that_cannot_run_alone_is_refused_with_the_reason(empty_folder: Path, name: str, why: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_settings(consumers=(name,))
    assert f"plug-in {name!r} {why}; those that can are alerting, approvals, audit" in str(caught.value.faults)


def test_a_whole_table_in_a_variable_of_the_former_name_is_read(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("BRAIN_SOC", '{"public_url": "https://old.example"}')
    assert load_settings().alerting.public_url == "https://old.example"
    assert "variable=BRAIN_SOC now=BRAIN_ALERTING" in caplog.text


def test_a_variable_of_a_table_that_is_no_json_is_named(monkeypatch: pytest.MonkeyPatch, empty_folder: Path) -> None:
    for variable in ("BRAIN_ALERTING", "BRAIN_ALERTING__NOTIFIERS"):
        with monkeypatch.context() as environment:
            environment.setenv(variable, "x")
            with pytest.raises(InvalidInput) as caught:
                load_settings()
        assert caught.value.faults == (
            f"alerting (from {variable}): is no JSON; write an object, or a variable for each setting in it",
        )


def test_a_folder_in_the_place_of_the_file_is_refused(empty_folder: Path) -> None:
    (empty_folder / "brain.toml").mkdir()
    with pytest.raises(InvalidInput, match=r"brain\.toml: is a folder; make it a file, or take it away"):
        load_settings()


def test_a_name_in_consumers_that_is_unknown_is_said_with_its_setting(empty_folder: Path) -> None:
    (empty_folder / "brain.toml").write_text('consumers = ["audt"]')
    with pytest.raises(InvalidInput) as caught:
        load_settings()
    assert caught.value.faults[0].startswith("consumers (from BRAIN_CONSUMERS or brain.toml): plug-in 'audt' is not")
