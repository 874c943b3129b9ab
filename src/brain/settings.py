"""Settings: the environment (`BRAIN_...`) first, then `brain.toml` in the current folder, then the defaults below.

What a command line option or a caller gives goes before all of them. docs/settings.md is the reader's table of these.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeVar

from brain import limits
from brain.errors import InvalidInput
from brain.extras import needs
from brain.model_faults import fault_words

with needs(__name__):
    from pydantic import BaseModel, Field, SecretStr, ValidationError, create_model, field_validator
    from pydantic_settings import (
        BaseSettings,
        EnvSettingsSource,
        InitSettingsSource,
        NoDecode,
        PydanticBaseSettingsSource,
        SettingsConfigDict,
        SettingsError,
        TomlConfigSettingsSource,
    )

from brain.logs import Log
from brain.plugins import Plugin, check_running, plugins
from brain.redaction import configure
from brain.redis_client.url import SCHEMES, masked
from brain.secret import Secret
from brain.setting_names import (
    meant_variable,
    names_at,
    remedy,
    secret_variables,
    unknown_variables,
    with_misspelt_prefix,
)
from brain.stream.retention import Retention

FILE = "brain.toml"
PREFIX = "BRAIN_"
_SCHEMES = ("memory", "sqlite", *SCHEMES)

log: Log = Log("brain.settings")

M = TypeVar("M", bound=BaseModel)
V = TypeVar("V", str, str | None)


class CoreSettings(BaseSettings):
    """The settings that do not depend on what is installed; `Settings` also has a table for each plug-in.

    Unknown names in `brain.toml` are refused, since they are typing errors; `load_settings` also refuses unknown
    variables that begin with `BRAIN_`.
    """

    model_config: ClassVar[SettingsConfigDict] = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        defer_build=True,
    )

    stream: str = Field(
        default="sqlite:///brain.db", description="URL of the event stream: memory://, sqlite:///, redis://"
    )
    store: str = Field(default="", description="URL of the state of plug-ins; the stream's URL when empty")
    api_key: SecretStr | None = Field(default=None, description="Bearer token that every request must carry, once set")
    host: str = Field(default="127.0.0.1", min_length=1, description="Address to listen on")
    port: int = Field(default=8765, ge=0, le=65535, description="TCP port to listen on; 0 takes a free one")
    tls_certificate: str = Field(
        default="", description="PEM file of the server's certificate and its chain; empty: plain HTTP"
    )
    tls_key: str = Field(
        default="", description="PEM file of the certificate's key, without a password; empty: it is in the same file"
    )
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Host names (comma-separated), besides loopback, that requests may name"
    )
    trusted_proxies: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Addresses or networks of proxies whose X-Forwarded-For and -Proto are believed"
    )
    body_limit: int = Field(default=limits.BODY_BYTES, ge=1024, description="Largest request body, in bytes")
    live_limit: int = Field(default=200, ge=1, description="Most clients that may follow events/live at the same time")
    max_rules_age: float | None = Field(
        default=None,
        gt=0.05,
        allow_inf_nan=False,
        description="Age of the rules, in seconds, beyond which all is denied",
    )
    redaction: bool = Field(default=True, description="Whether secrets are replaced before anything is written")
    redaction_names: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="More names (comma-separated) whose values are secrets"
    )
    redaction_spared: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Names (comma-separated) whose values are no secrets, though they sound so"
    )
    redaction_key: Secret | None = Field(
        default=None, description="Key of the marks that stand for secrets; a file beside the stream when unset"
    )
    retention_days: float | None = Field(default=90.0, gt=0, description="Days that events are kept in the stream")
    retention_bytes: int | None = Field(default=None, gt=0, description="About how many bytes the stream may take")
    retention_count: int | None = Field(default=None, gt=0, description="How many events the stream may keep")
    log_level: Literal["debug", "info", "warning", "error"] = Field(default="info", description="Least level logged")
    log_format: Literal["auto", "console", "json"] = Field(default="auto", description="auto: console on a terminal")
    database: str = Field(
        default="", description="URL of the consumers' tables: sqlite:///, postgresql://; beside the stream when empty"
    )
    consumers: Annotated[tuple[str, ...], NoDecode] = Field(
        default_factory=lambda: tuple(plugin.name for plugin in plugins().values() if plugin.runs),
        description="Plug-ins (comma-separated) whose tasks `brain serve` runs; others are left to `brain worker`",
    )

    def __repr_args__(self) -> Iterable[tuple[str | None, Any]]:
        """Every setting, for `repr` and `str`; URLs without their passwords."""
        urls = ("stream", "store", "database")
        for name, value in super().__repr_args__():
            yield name, without_password(value) if name in urls else value

    def table(self, model: type[M]) -> M:
        """A plug-in's own table. Raises InvalidInput when no installed plug-in has one of this model."""
        for value in vars(self).values():
            if isinstance(value, model):
                return value
        named = f"{model.__module__}:{model.__name__}"
        declared = plugins().values()
        if any(plugin.settings == named for plugin in declared):  # the models of the others need no import
            return model()  # nothing is set in it
        if any(plugin.settings_model() is model for plugin in declared):
            return model()
        raise InvalidInput(f"settings: no installed plug-in has a table of {model.__module__}.{model.__name__}")

    @property
    def store_url(self) -> str:
        """Where plug-ins keep their state."""
        return self.store or self.stream

    @property
    def retention(self) -> Retention:
        """The stream's limits; events that a group has not read are kept all the same."""
        age = None if self.retention_days is None else self.retention_days * 86_400
        return Retention(max_age=age, max_bytes=self.retention_bytes, max_count=self.retention_count)

    @field_validator("stream", "store")
    @classmethod
    def _known_scheme(cls, url: str) -> str:
        if url and url.partition("://")[0] not in _SCHEMES:
            raise ValueError("must start with memory://, sqlite:///, redis:// or rediss://; docs/redis.md shows more")
        return url

    @field_validator(
        "allowed_hosts", "trusted_proxies", "consumers", "redaction_names", "redaction_spared", mode="before"
    )
    @classmethod
    def _comma_separated(cls, value: object) -> object:
        return tuple(name.strip() for name in value.split(",") if name.strip()) if isinstance(value, str) else value

    @field_validator("trusted_proxies")
    @classmethod
    def _are_addresses(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                ip_network(proxy)
            except ValueError as error:
                raise ValueError(f"{proxy!r} is no address or network, such as 127.0.0.1 or 10.1.0.0/16") from error
        return proxies

    @field_validator("consumers")
    @classmethod
    def _known_consumers(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        renamed = former_names()
        names = tuple(renamed.get(name, name) for name in names)
        try:
            check_running(names)
        except InvalidInput as error:
            raise ValueError(str(error)) from error
        return names

    @field_validator("api_key")
    @classmethod
    def _not_blank(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not key.get_secret_value().strip():
            raise ValueError("is empty; leave it out to run without a key on a loopback address")
        if key is not None and not key.get_secret_value().isascii():
            raise ValueError("must be ASCII, to be sent in a header")
        return key

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        assert isinstance(env_settings, EnvSettingsSource)
        env_settings.env_vars = _with_new_variables(env_settings.env_vars)
        file = TomlConfigSettingsSource(settings_cls, Path(FILE))
        return init_settings, env_settings, InitSettingsSource(settings_cls, _with_new_tables(file.toml_data))


if TYPE_CHECKING:
    Settings = CoreSettings

__all__ = ["CoreSettings", "load_settings", "without_password"]


@cache
def settings_model() -> type[CoreSettings]:
    """The settings with a table for each installed plug-in. Raises InvalidInput for one that cannot be loaded."""
    return model_with(plugins().values())


def model_with(declared: Iterable[Plugin]) -> type[CoreSettings]:
    """The settings with a table for each of these plug-ins. Raises InvalidInput for one that cannot be loaded."""
    tables: dict[str, Any] = {
        plugin.name: (model, Field(default_factory=model, description=plugin.purpose))
        for plugin, model in check_tables(declared)
    }
    return create_model("Settings", __base__=CoreSettings, __module__=__name__, **tables)


def check_tables(declared: Iterable[Plugin]) -> list[tuple[Plugin, type[BaseModel]]]:
    """Those of the plug-ins that have a table, each with its model.

    Raises InvalidInput for a model that cannot be loaded, or used.
    """
    found = [(plugin, model) for plugin in declared if (model := plugin.settings_model()) is not None]
    for plugin, model in found:
        if not (isinstance(model, type) and issubclass(model, BaseModel)):
            raise InvalidInput(f"plug-in {plugin.name}: {plugin.settings} is {model!r}; make it a pydantic BaseModel")
        _check_defaults(plugin, model)
    if taken := sorted({plugin.name for plugin, _ in found} & CoreSettings.model_fields.keys()):
        raise InvalidInput(f"plug-in {taken[0]!r}: a setting has this name already; the plug-in needs another")
    return found


def _check_defaults(plugin: Plugin, model: type[BaseModel]) -> None:
    if missing := [name for name, field in model.model_fields.items() if field.is_required()]:
        raise InvalidInput(
            f"plug-in {plugin.name}: its setting {missing[0]!r} has no default; its author must give one"
        )


def __getattr__(name: str) -> Any:
    if name == "Settings":
        return settings_model()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def former_names() -> dict[str, str]:
    """The present names of plug-ins, by their former names."""
    taken = {*plugins(), *CoreSettings.model_fields}
    return {old: plugin.name for plugin in plugins().values() for old in plugin.formerly if old not in taken}


def _with_new_tables(data: Mapping[str, Any]) -> dict[str, Any]:
    """The file's tables under the names that plug-ins have now. Raises InvalidInput for one that is there twice."""
    found = dict(data)
    for old, new in former_names().items():
        if old in found:
            if new in found:
                raise InvalidInput(f"{FILE}: both [{old}] and [{new}], its new name, are there; join them")
            found[new] = found.pop(old)
    return found


def _with_new_variables(environment: Mapping[str, V]) -> dict[str, V]:
    """The environment with the names that plug-ins have now; what is set under a new name goes before an old one."""
    found = dict(environment)
    for variable, now in _former_variables(environment):
        found.setdefault(now, found.pop(variable))
    return found


def _former_variables(environment: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each variable that names a table, or a part of it, by an old name of its plug-in; and its new name."""
    for old, new in former_names().items():
        before, after = f"{PREFIX}{old}".upper(), f"{PREFIX}{new}"
        for variable in environment:
            if variable.upper() == before or variable.upper().startswith(f"{before}__"):
                yield variable, (after.upper() if variable.isupper() else after.lower()) + variable[len(before) :]


def load_settings(**given: Any) -> CoreSettings:
    """The settings of this process; `given` values that are not None go before environment and file.

    What they say of redaction holds for the process from then on.
    Only the tables of plug-ins that something is set in are imported; `table` makes the others of their defaults.
    Raises InvalidInput that lists every fault, with the name of the setting, where it came from and what is accepted.
    """
    settings = _loaded({name: value for name, value in given.items() if value is not None})
    key = settings.redaction_key
    configure(
        enabled=settings.redaction,
        names=settings.redaction_names,
        spared=settings.redaction_spared,
        key=key.reveal() if key is not None else None,
    )
    return settings


def _loaded(given: Mapping[str, Any]) -> CoreSettings:
    tables = _tables_in_file()
    try:
        _warn_of_former_names(tables)
        _warn_of_misspelt_prefixes()
        set_in = {*given, *_variables_set(), *_with_new_tables(tables)}
        model = model_with(plugin for plugin in plugins().values() if plugin.name in set_in)
        if not unknown_variables(_with_new_variables(os.environ), PREFIX, model):
            return model(**given)
    except (ValidationError, SettingsError):
        pass  # read again with every table, so that each fault is named with the nearest of all settings
    return _all_tables(given)


def _tables_in_file() -> dict[str, Any]:
    """The tables of the settings file, none where there is no file. Raises InvalidInput."""
    if Path(FILE).is_dir():  # pydantic would go on as if there was none
        raise InvalidInput(f"{FILE}: is a folder; make it a file, or take it away")
    try:
        return TomlConfigSettingsSource(CoreSettings, Path(FILE)).toml_data
    except OSError as error:
        raise InvalidInput(f"{FILE}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{FILE}: is not UTF-8 text: {error}; save it as UTF-8") from error
    except (ValueError, RecursionError) as error:  # tomllib's own is a ValueError
        raise InvalidInput(f"{FILE}: not a valid TOML file: {error}") from error


def _all_tables(given: Mapping[str, Any]) -> CoreSettings:
    """The settings with every table. Raises InvalidInput that lists every fault."""
    model = settings_model()
    unknown = unknown_variables(_with_new_variables(os.environ), PREFIX, model)
    try:
        settings = model(**given)
    except ValidationError as error:
        found = error.errors(include_url=False)
        faults = [_fault(one["loc"], one["type"], fault_words(one), given) for one in found]
        raise InvalidInput("the settings are not usable", [*faults, *unknown.values()]) from error
    except SettingsError as error:
        raise InvalidInput("the settings are not usable", [_no_json(error), *unknown.values()]) from error
    for variable in secret_variables(settings):
        unknown.pop(variable, None)
    if unknown:
        raise InvalidInput("the settings are not usable", list(unknown.values()))
    return settings


def _no_json(error: SettingsError) -> str:
    """The fault of a variable whose value should be JSON: the error names the setting, in its text alone."""
    name = str(error).partition('"')[2].partition('"')[0]
    whole = f"{PREFIX}{name}".upper()
    set_in = [one for one in os.environ if one.upper() == whole or one.upper().startswith(f"{whole}__")]
    where = " or ".join(sorted(set_in)) or whole
    return f"{name} (from {where}): is no JSON; write an object, or a variable for each setting in it"


def _variables_set() -> set[str]:
    """The settings and tables that the environment sets a value in."""
    return {
        variable[len(PREFIX) :].partition("__")[0].lower()
        for variable in _with_new_variables(os.environ)
        if variable.upper().startswith(PREFIX)
    }


def _warn_of_former_names(tables: Mapping[str, Any]) -> None:
    """Log each table of the file, each variable and each entry of `consumers` that has an old name."""
    consumers = [*_names(tables.get("consumers")), *_names(os.environ.get(f"{PREFIX}CONSUMERS"))]
    for old, new in former_names().items():
        if old in consumers:
            log.warning("a plug-in has a new name; rename it in consumers", plugin=old, now=new)
        if old in tables:
            log.warning("a settings table has a new name; rename it", file=FILE, table=old, now=new)
    for variable, now in _former_variables(os.environ):
        log.warning("a variable has a new name; rename it", variable=variable, now=now)


def _warn_of_misspelt_prefixes() -> None:
    """Log each variable that seems meant for us. It may be another program's, so that it is not refused."""
    for variable, rest in with_misspelt_prefix(os.environ, PREFIX).items():
        if (meant := meant_variable(rest, PREFIX, settings_model())) is not None:
            log.warning(f"a variable is not ours and looks misspelt; did you mean {meant}?", variable=variable)


def _names(value: object) -> list[str]:
    """The names in a list, or in a text with commas between them; none in anything else."""
    if isinstance(value, str):
        return [name.strip() for name in value.split(",")]
    return [name for name in value if isinstance(name, str)] if isinstance(value, list) else []


def without_password(url: str) -> str:
    """The URL as it may be shown and logged."""
    return masked(url)


def _fault(place: tuple[int | str, ...], kind: str, message: str, given: Mapping[str, Any]) -> str:
    path = ".".join(map(str, place))
    known = names_at(settings_model(), place[:-1]) if kind == "extra_forbidden" else []
    if len(place) == 1 and known:
        return f"{path} in {FILE}: no such setting; {remedy(path, known)}"
    variable = f"{PREFIX}{'__'.join(map(str, place)).upper()}"
    where = path if str(place[0]) in given else f"{path} (from {variable} or {FILE})"
    if known:
        return f"{where}: no such setting; {remedy(str(place[-1]), known)}"
    return f"{where}: {message}"
